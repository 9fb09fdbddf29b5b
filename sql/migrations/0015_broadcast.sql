-- Broadcast: a power campaign without agents, whose answered people hear a message.

ALTER TABLE campaigns
    -- The sound file that they hear, by the name that Asterisk knows it under; null: agents take the calls.
    ADD COLUMN broadcast text CHECK (broadcast ~ '^[A-Za-z0-9_][A-Za-z0-9_/-]{0,127}$');
ALTER TABLE campaigns ADD CHECK (broadcast IS NULL OR dial_mode = 'power');

-- As before, and 'played': a person who heard the message has been reached.
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
        WHEN p_outcome IN ('no_answer', 'machine') THEN 'MISSED'
        WHEN p_outcome IN ('hung_up', 'abandoned', 'rejected') THEN 'HANGUP'
        WHEN p_outcome = 'busy' THEN 'BUSY'
        ELSE 'UNKNOWN'
    END
$$;
