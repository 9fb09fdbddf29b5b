"""The carrier's dialplan, written from what its subscribers are like."""

from pathlib import Path

from lab.subscribers import Subscribers

# Speech with pauses, from the core sounds. The first minute of either is different from the others'.
_CUSTOMER_TALK = "demo-congrats&silence/2&vm-review&silence/3"
_AGENT_TALK = "queue-periodic-announce&silence/3&tt-weasels&silence/5"
_MACHINE_GREETING = "vm-theperson&vm-isunavail&vm-leavemsg"


def carrier_dialplan(subscribers: Subscribers, invites: Path, pbx_port: int) -> str:
    """extensions.conf of the carrier. `pbx_port`: where people call to who call back."""
    mix = "\n".join(
        f" same => n,GotoIf($[${{LOT}} < {limit}]?carrier-{behaviour:02d},${{EXTEN}},1)"
        for limit, behaviour in subscribers.thresholds()
    )
    return _TEXT.format(
        seed=subscribers.seed,
        invites=invites,
        pbx_port=pbx_port,
        tab="\t",
        mix=mix,
        ring=round(subscribers.ring_seconds * 1000),
        talk=round(subscribers.talk_seconds * 1000),
        greeting=subscribers.greeting,
        customer_talk="Wait(3600)" if subscribers.silent else f"Playback({_CUSTOMER_TALK})",
        agent_talk="Wait(3600)" if subscribers.silent else f"Playback({_AGENT_TALK})",
        machine_greeting=_MACHINE_GREETING,
    )


# A lot: the first four decimal digits of a hash over seed, purpose and number (lab.subscribers.draw does the same).
# SPREAD is an even spread from half to one and a half times a mean in milliseconds, given back in seconds.
_TEXT = """\
[general]
static = yes
writeprotect = yes

[globals]
SEED = {seed}
RING_MS = {ring}
TALK_MS = {talk}
GREETING = {greeting}
; a folder: what people hear is written there, by their number
HEARD =

[carrier]
exten => _+X.,1,Set(LINE=${{STRFTIME(,UTC,%s%3q)}}{tab}${{EXTEN}}{tab}${{CALLERID(num)}})
 same => n,Set(FILE({invites},,,al,u)=${{LINE}}{tab}${{PJSIP_HEADER(read,X-Dialer-Attempt)}})
 same => n,Goto(carrier-${{EXTEN:7:2}},${{EXTEN}},1)
; many send no plus
exten => _[1-9]X.,1,Goto(+${{EXTEN}},1)
; (a bare n is a pattern character)
exten => _age[n]t.,1,Answer()
 same => n,GotoIf($["${{TONES}}" != ""]?tones,${{EXTEN}},1)
 same => n(talk),{agent_talk}
 same => n,Goto(talk)
; a behaviour that does not exist: nobody has such a number
exten => i,1,Hangup(1)

[lot]
exten => s,1,Set(DIGITS=${{FILTER(0-9,${{MD5(${{SEED}}-${{ARG1}}-${{ARG2}})}})}})
 same => n,Return(${{DIGITS:0:4}})

[spread]
exten => s,1,Gosub(lot,s,1(${{ARG1}},${{ARG2}}))
 same => n,Return($[(${{GOSUB_RETVAL}} + 5000) * ${{ARG3}} / 10000000])

[ring]
exten => s,1,Ringing()
 same => n,Gosub(spread,s,1(ring,${{ARG1}},${{RING_MS}}))
 same => n,Wait(${{GOSUB_RETVAL}})
 same => n,Return()

[carrier-00]
exten => _+X.,1,Gosub(lot,s,1(mix,${{EXTEN}}))
 same => n,Set(LOT=${{GOSUB_RETVAL}})
{mix}
 same => n,Hangup(1)

[carrier-10]
exten => _+X.,1,Gosub(ring,s,1(${{EXTEN}}))
 same => n,Goto(person,${{EXTEN}},1)

[carrier-11]
exten => _+X.,1,Gosub(ring,s,1(${{EXTEN}}))
 same => n,Answer()
 same => n,ExecIf($["${{HEARD}}" != ""]?MixMonitor(,r(${{HEARD}}/${{EXTEN:1}}.wav)))
 same => n,Wait(0.3)
 same => n,Playback({machine_greeting})
 same => n,Playback(beep)
 same => n,Wait(10)
 same => n,Hangup(16)

[carrier-12]
exten => _+X.,1,Hangup(17)

[carrier-13]
exten => _+X.,1,Ringing()
 same => n,Wait(300)
 same => n,Hangup(19)

[carrier-14]
exten => _+X.,1,PJSIPHangup(603)

[carrier-15]
exten => _+X.,1,Hangup(1)

[carrier-16]
exten => _+X.,1,Ringing()
 same => n,Gosub(lot,s,1(ring,${{EXTEN}}))
 same => n,Wait($[15 + ${{GOSUB_RETVAL}} / 2000])
 same => n,Goto(person,${{EXTEN}},1)

[carrier-17]
exten => _+X.,1,Gosub(ring,s,1(${{EXTEN}}))
 same => n,Answer()
 same => n,Hangup(16)

[carrier-18]
exten => _+X.,1,Set(DIGIT=1)
 same => n,Goto(carrier-10,${{EXTEN}},1)

[carrier-19]
exten => _+X.,1,Set(DIGIT=2)
 same => n,Goto(carrier-10,${{EXTEN}},1)

[person]
exten => _+X.,1,Answer()
 same => n,ExecIf($["${{HEARD}}" != ""]?MixMonitor(,r(${{HEARD}}/${{EXTEN:1}}.wav)))
 same => n,GotoIf($["${{TONES}}" != ""]?tones,${{EXTEN}},1)
 same => n,Gosub(spread,s,1(talk,${{EXTEN}},${{TALK_MS}}))
 same => n,Set(TIMEOUT(absolute)=${{GOSUB_RETVAL}})
 same => n,Wait(0.2)
 same => n,Playback(${{GREETING}})
 same => n,Wait(2)
 same => n,ExecIf($["${{DIGIT}}" != ""]?SendDTMF(${{DIGIT}}))
 same => n(talk),{customer_talk}
 same => n,Goto(talk)

; somebody presses keys, and talks on
[press]
exten => _[0-9*#]!,1,SendDTMF(${{EXTEN}},200)
 same => n,Goto(phone,talk,talk)

; a subscriber calls back: the person, and what they dial
[returns]
exten => _+X.,1,Answer()
 same => n,ExecIf($["${{HEARD}}" != ""]?MixMonitor(,r(${{HEARD}}/${{EXTEN:1}}.wav)))
 same => n,Wait(3)
 same => n,ExecIf($["${{EXTEN:7:2}}" = "18"]?SendDTMF(1))
 same => n,ExecIf($["${{EXTEN:7:2}}" = "19"]?SendDTMF(2))
 same => n(talk),{customer_talk}
 same => n,Goto(talk)
[returning]
exten => _+X.,1,Set(ME=${{CUT(CHANNEL,@,1)}})
 same => n,Set(CALLERID(num)=${{ME:6}})
 same => n,Dial(PJSIP/pbx/sip:${{EXTEN}}@127.0.0.1:{pbx_port})

[phone]
exten => talk,1,Answer()
 same => n(talk),GotoIf($["${{PHONE}}" != ""]?tones,${{PHONE}},1)
 same => n,{agent_talk}
 same => n,Goto(talk)

; everybody is a tone of their own, and what they hear is told to TONES, host:port (tests/tones.py)
[tones]
exten => _age[n]t.,1,Set(PHONE=${{EXTEN}})
 same => n,AudioSocket(00000000-0000-0000-0000-00000000000${{EXTEN:6}},${{TONES}})
 same => n,Hangup(16)
exten => _+X.,1,AudioSocket(00000000-0000-0000-0000-${{EXTEN:1}},${{TONES}})
 same => n,Hangup(16)
"""
