-- What an operator asks: campaigns, agents, caller IDs, trunks, single calls. Every query is bound to a tenant.

-- name: tenant
-- A tenant by its name.
SELECT id, name, default_region FROM tenants WHERE name = $1;

-- name: add_event
-- The audit row of an operator's change.
INSERT INTO call_events (tenant_id, campaign_id, at, kind, detail) VALUES ($1, $2, now(), $3, $4);

-- name: create_campaign
-- A new campaign in state draft, its settings in one object; its id.
INSERT INTO campaigns (tenant_id,
    name, description, dial_mode, pacing_ratio, queue_name, trunk, caller_id, max_retries, retry_delay_seconds,
    max_concurrent_calls, ring_timeout_seconds, wrap_up_seconds, machine_detection, legal_profile, skip_holidays,
    purpose, retry_rules, limits, abandon_lockout_seconds, callback_patience_seconds, filter, order_by,
    serial_interval_seconds, weight, broadcast, flow, local_presence, sticky_caller_id, script, preview_seconds,
    default_disposition, seller_name, seller_number, message_language, opt_out_key, returned, recording,
    recording_share, recording_announcement, recording_days, voicemail_sound, machine_parameters, machine_message,
    machine_wait_seconds, machine_flow, machine_check)
SELECT $1,
    s.name, s.description, s.dial_mode, s.pacing_ratio, s.queue_name, s.trunk, s.caller_id, s.max_retries,
    s.retry_delay_seconds, s.max_concurrent_calls, s.ring_timeout_seconds, s.wrap_up_seconds, s.machine_detection,
    s.legal_profile, s.skip_holidays, s.purpose, s.retry_rules, s.limits, s.abandon_lockout_seconds,
    s.callback_patience_seconds, s.filter, s.order_by, s.serial_interval_seconds, s.weight, s.broadcast, s.flow,
    s.local_presence, s.sticky_caller_id, s.script, s.preview_seconds, s.default_disposition,
    s.seller_name, s.seller_number, s.message_language, s.opt_out_key, s.returned, s.recording, s.recording_share,
    s.recording_announcement, s.recording_days, s.voicemail_sound, s.machine_parameters, s.machine_message,
    s.machine_wait_seconds, s.machine_flow, s.machine_check
FROM jsonb_populate_record(NULL::campaigns, $2) AS s
RETURNING id;

-- name: change_campaign
-- Gives settings new values: those that the object names.
UPDATE campaigns AS c SET (updated_at,
    name, description, dial_mode, pacing_ratio, queue_name, trunk, caller_id, max_retries, retry_delay_seconds,
    max_concurrent_calls, ring_timeout_seconds, wrap_up_seconds, machine_detection, legal_profile, skip_holidays,
    purpose, retry_rules, limits, abandon_lockout_seconds, callback_patience_seconds, filter, order_by,
    serial_interval_seconds, weight, broadcast, flow, local_presence, sticky_caller_id, script, preview_seconds,
    default_disposition, seller_name, seller_number, message_language, opt_out_key, returned, recording,
    recording_share, recording_announcement, recording_days, voicemail_sound, machine_parameters, machine_message,
    machine_wait_seconds, machine_flow, machine_check)
= (SELECT now(),
    s.name, s.description, s.dial_mode, s.pacing_ratio, s.queue_name, s.trunk, s.caller_id, s.max_retries,
    s.retry_delay_seconds, s.max_concurrent_calls, s.ring_timeout_seconds, s.wrap_up_seconds, s.machine_detection,
    s.legal_profile, s.skip_holidays, s.purpose, s.retry_rules, s.limits, s.abandon_lockout_seconds,
    s.callback_patience_seconds, s.filter, s.order_by, s.serial_interval_seconds, s.weight, s.broadcast, s.flow,
    s.local_presence, s.sticky_caller_id, s.script, s.preview_seconds, s.default_disposition,
    s.seller_name, s.seller_number, s.message_language, s.opt_out_key, s.returned, s.recording, s.recording_share,
    s.recording_announcement, s.recording_days, s.voicemail_sound, s.machine_parameters, s.machine_message,
    s.machine_wait_seconds, s.machine_flow, s.machine_check
   FROM jsonb_populate_record(c, $3) AS s)
WHERE c.tenant_id = $1 AND c.id = $2;

-- name: add_windows
-- The calling windows of a campaign. As text, because Python's time knows no 24:00.
INSERT INTO campaign_windows (campaign_id, weekday, opens, closes)
SELECT $1, weekday, opens::time, closes::time FROM unnest($2::smallint[], $3::text[], $4::text[]) AS w (weekday, opens, closes);

-- name: campaigns
-- A tenant's campaigns, newest first, with how far each is; one of them when $2 is not null.
SELECT c.id, c.name, c.description, c.state, c.dial_mode, c.pacing_ratio, c.queue_name, c.trunk, c.caller_id,
       c.max_retries, c.retry_delay_seconds, c.max_concurrent_calls, c.ring_timeout_seconds, c.wrap_up_seconds,
       c.machine_detection, c.legal_profile, c.skip_holidays, c.purpose, c.retry_rules, c.limits,
       c.abandon_lockout_seconds, c.callback_patience_seconds, c.filter, c.order_by, c.serial_interval_seconds,
       c.weight, c.broadcast, c.flow, c.local_presence, c.sticky_caller_id, c.script, c.preview_seconds,
       c.default_disposition, c.seller_name, c.seller_number, c.message_language, c.opt_out_key, c.returned,
       c.recording, c.recording_share, c.recording_announcement, c.recording_days, c.voicemail_sound,
       c.machine_parameters, c.machine_message, c.machine_wait_seconds, c.machine_flow, c.machine_check,
       c.created_at, c.started_at, c.completed_at,
       COALESCE((SELECT jsonb_agg(jsonb_build_array(w.weekday, left(w.opens::text, 5), left(w.closes::text, 5)))
                 FROM campaign_windows w WHERE w.campaign_id = c.id), '[]') AS windows,
       (SELECT count(*) FROM contacts k WHERE k.campaign_id = c.id) AS contacts,
       (SELECT count(*) FROM contacts k WHERE k.campaign_id = c.id AND k.state = 'queued') AS queued,
       (SELECT count(*) FROM contacts k WHERE k.campaign_id = c.id AND k.state = 'held') AS held,
       (SELECT count(*) FROM attempts a WHERE a.campaign_id = c.id) AS attempts
FROM campaigns c
WHERE c.tenant_id = $1 AND ($2::bigint IS NULL OR c.id = $2)
ORDER BY c.id DESC;

-- name: campaign_id
-- A campaign by its name.
SELECT id FROM campaigns WHERE tenant_id = $1 AND name = $2;

-- name: lock_campaign
-- The campaign as it is, held until the end of the transaction; foreign keys to it are not held up.
SELECT * FROM campaigns WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE;

-- name: set_state
-- A campaign's new state; started_at keeps the first start.
UPDATE campaigns SET state = $3, updated_at = now(),
       started_at = CASE WHEN $3 = 'active' THEN COALESCE(started_at, now()) ELSE started_at END,
       completed_at = CASE $3 WHEN 'completed' THEN now() WHEN 'active' THEN NULL ELSE completed_at END
WHERE tenant_id = $1 AND id = $2;

-- name: windows
-- A campaign's weekly windows; 24:00 as PostgreSQL's time has it.
SELECT weekday, left(opens::text, 5) AS opens, left(closes::text, 5) AS closes
FROM campaign_windows WHERE campaign_id = $1 ORDER BY weekday, opens;

-- name: remove_windows
-- A campaign without windows: never calls.
DELETE FROM campaign_windows WHERE campaign_id = $1;

-- name: add_holiday
-- A day off of the tenant; a second time it gets the new name.
INSERT INTO holidays_extra (tenant_id, day, name) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, day) DO UPDATE SET name = EXCLUDED.name;

-- name: remove_holiday
-- Takes a day off away; the day, or nothing when it was none.
DELETE FROM holidays_extra WHERE tenant_id = $1 AND day = $2 RETURNING day;

-- name: holidays
-- A tenant's days off beside the public holidays.
SELECT day, name FROM holidays_extra WHERE tenant_id = $1 ORDER BY day;

-- name: tenant_schedule
-- The tenant's switch for public holidays, and how often its schedule was changed.
SELECT skip_holidays, schedule_version FROM tenants WHERE id = $1;

-- name: set_skip_holidays
-- Whether nobody is called on public holidays, where a campaign does not say.
UPDATE tenants SET skip_holidays = $2 WHERE id = $1;

-- name: trunks
-- The trunks that daemons have declared, with their live attempts.
SELECT name, node, max_calls, active,
       (SELECT count(*) FROM attempts a WHERE a.trunk = t.name AND a.ended_at IS NULL) AS live
FROM trunks t WHERE NOT outside ORDER BY name;

-- name: add_agent
-- A new agent; its id.
INSERT INTO agents (tenant_id, name, full_name, endpoint, phone) VALUES ($1, $2, $3, $4, $5) RETURNING id;

-- name: add_queues
-- The queues that an agent serves.
INSERT INTO agent_queues (agent_id, queue_name) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING;

-- name: agents
-- A tenant's agents with their queues and where they are now.
SELECT a.id, a.name, a.full_name, a.endpoint, a.phone, a.phone_trunk, a.login_number, a.pin_hash IS NOT NULL AS has_pin,
       a.supervisor, a.active, a.state, a.state_at, a.node,
       COALESCE((SELECT array_agg(q.queue_name ORDER BY q.queue_name) FROM agent_queues q WHERE q.agent_id = a.id),
                '{}') AS queues
FROM agents a WHERE a.tenant_id = $1 ORDER BY a.name;

-- name: call
-- One attempt in full.
SELECT a.id::text, a.state, a.outcome, a.e164, a.caller_id, a.trunk, a.node, a.cause, a.dial_status, a.detail, a.machine,
       a.claimed_at, a.dialed_at, a.ringing_at, a.answered_at, a.connected_at, a.ended_at, a.contact_id,
       a.campaign_id, c.name AS campaign, g.name AS agent
FROM attempts a JOIN campaigns c ON c.id = a.campaign_id LEFT JOIN agents g ON g.id = a.agent_id
WHERE a.tenant_id = $1 AND a.id = $2;

-- name: call_events
-- What happened to an attempt, in the order in which it was learned.
SELECT at, kind, detail FROM call_events WHERE tenant_id = $1 AND attempt_id = $2 ORDER BY id LIMIT 1000;
