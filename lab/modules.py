"""The Asterisk modules that the lab loads: what the shipped files need, and nothing that complains unconfigured."""

_MEDIA = """
codec_alaw codec_ulaw codec_gsm codec_resample
format_gsm format_pcm format_sln format_wav
bridge_simple bridge_softmix bridge_holding bridge_native_rtp
res_timing_timerfd res_rtp_asterisk
"""

_DIALPLAN = """
pbx_config app_dial app_exec app_playback app_senddtmf app_stack app_verbose
func_callerid func_channel func_cut func_env func_global func_logic func_math func_md5 func_strings func_timeout
"""

_SIP = """
res_pjproject res_sorcery_astdb res_sorcery_config res_sorcery_memory
res_pjsip res_pjsip_session res_pjsip_sdp_rtp res_pjsip_pubsub
res_pjsip_caller_id res_pjsip_header_funcs res_pjsip_rfc3326 res_pjsip_dtmf_info
res_pjsip_endpoint_identifier_ip res_pjsip_endpoint_identifier_user
res_pjsip_authenticator_digest res_pjsip_outbound_authenticator_digest
res_pjsip_registrar res_pjsip_outbound_registration
chan_pjsip
"""

_PBX = """
app_amd app_stasis res_musiconhold cdr_csv chan_bridge_media func_hangupcause func_cdr res_speech res_agi
app_waitforsilence
res_http_websocket res_websocket_client res_stasis res_stasis_answer res_stasis_device_state
res_stasis_playback res_stasis_recording res_stasis_snoop
res_ari res_ari_model res_ari_applications res_ari_asterisk res_ari_bridges res_ari_channels
res_ari_device_states res_ari_endpoints res_ari_events res_ari_playbacks res_ari_recordings res_ari_sounds
"""

_CARRIER = "res_clioriginate app_mixmonitor"

PBX = " ".join((_MEDIA, _DIALPLAN, _SIP, _PBX)).split()
CARRIER = " ".join((_MEDIA, _DIALPLAN, _SIP, _CARRIER)).split()
