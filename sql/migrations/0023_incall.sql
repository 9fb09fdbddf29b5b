-- In the call: supervisors, and the message that an agent has left on a machine.

ALTER TABLE agents
    ADD COLUMN supervisor boolean NOT NULL DEFAULT false;  -- may listen to the tenant's agents, whisper, barge, take over
DROP TRIGGER agents_notify ON agents;
CREATE TRIGGER agents_notify
    AFTER INSERT OR DELETE
    OR UPDATE OF name, active, endpoint, phone, phone_trunk, login_number, pin_hash, supervisor ON agents
    FOR EACH ROW EXECUTE FUNCTION notify_campaign();

ALTER TABLE campaigns
    ADD COLUMN voicemail_sound text CHECK (voicemail_sound ~ '^[A-Za-z0-9_][A-Za-z0-9_/-]{0,127}$');

-- As before, and 'message_left': a machine, as any other.
CREATE OR REPLACE FUNCTION number_status_v1(p_state text, p_outcome text, p_disposition text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN p_state IN ('queued', 'waiting', 'held', 'claimed') THEN 'IN_QUEUE'
        WHEN p_disposition = 'banned' THEN 'BANNED'
        WHEN p_disposition = 'disconnected' THEN 'DISCONNECTED'
        WHEN p_disposition = 'not_interested' AND p_outcome = 'connected' THEN 'NOT_INTERESTED'
        WHEN p_disposition = 'power_off' AND p_outcome = 'no_answer' THEN 'POWER_OFF'
        WHEN p_outcome = 'dnc' THEN 'BANNED'
        WHEN p_outcome IN ('connected', 'played') THEN 'CONNECTED'
        WHEN p_outcome IN ('failed', 'invalid', 'not_sent') THEN 'FAILED'
        WHEN p_outcome IN ('no_answer', 'machine', 'message_left') THEN 'MISSED'
        WHEN p_outcome IN ('hung_up', 'abandoned', 'rejected') THEN 'HANGUP'
        WHEN p_outcome = 'busy' THEN 'BUSY'
        ELSE 'UNKNOWN'
    END
$$;
