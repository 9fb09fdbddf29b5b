-- What people hear for whom nobody is free, and people who call back.

ALTER TABLE campaigns
    -- The safe-harbour message in words: who called, and where they are reached; null, both: the dialplan's own message.
    ADD COLUMN seller_name       text CHECK (length(seller_name) BETWEEN 1 AND 100),
    ADD COLUMN seller_number     text CHECK (seller_number ~ '^\+?[0-9]{3,15}$'),
    ADD COLUMN message_language  text NOT NULL DEFAULT 'en' CHECK (message_language IN ('en', 'fi', 'es', 'de', 'fr')),
    -- Pressed while it plays: never call this number again.
    ADD COLUMN opt_out_key       text NOT NULL DEFAULT '2' CHECK (opt_out_key ~ '^[0-9]$'),
    -- Who calls back hears that message, or is given to the campaign's agents.
    ADD COLUMN returned          text NOT NULL DEFAULT 'message' CHECK (returned IN ('message', 'agents'));

-- A call that somebody made to us: the attempt that it returns. Null: we dialled. Its outcome is 'returned', which is in
-- no share of answered or abandoned calls.
ALTER TABLE attempts ADD COLUMN returns uuid;

-- The attempt of a call that is returned and goes to agents: of the same contact, campaign and number as the one that it
-- returns. No row: the contact or the number is in a live call already, the contact is gone, or p_of is unknown.
CREATE FUNCTION returned_v1(p_of uuid, p_node text)
RETURNS TABLE (attempt_id uuid, contact_id bigint, e164 text, attempts integer, tries jsonb, claimed_at timestamptz)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    made attempts;
BEGIN
    INSERT INTO attempts (id, tenant_id, campaign_id, contact_id, number_id, e164, node, trunk, list_id, returns,
                          claimed_at)
    SELECT uuid7(), a.tenant_id, a.campaign_id, a.contact_id, a.number_id, a.e164, p_node, a.trunk, a.list_id, a.id,
           clock_timestamp()
    FROM attempts a JOIN contacts c ON c.id = a.contact_id JOIN numbers n ON n.id = a.number_id
    WHERE a.id = p_of
    ON CONFLICT DO NOTHING RETURNING * INTO made;
    IF made.id IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO call_events (tenant_id, campaign_id, attempt_id, at, kind, detail)
    VALUES (made.tenant_id, made.campaign_id, made.id, made.claimed_at, 'returned',
            jsonb_build_object('returns', made.returns));
    RETURN QUERY SELECT made.id, made.contact_id, made.e164, c.attempts, c.tries, made.claimed_at
                 FROM contacts c WHERE c.id = made.contact_id;
END $$;

-- As in 0015_broadcast.sql, and whoever was talked to when they called back is a connected one.
CREATE OR REPLACE FUNCTION number_status_v1(p_state text, p_outcome text, p_disposition text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN p_state IN ('queued', 'waiting', 'held', 'claimed') THEN 'IN_QUEUE'
        WHEN p_disposition = 'banned' THEN 'BANNED'
        WHEN p_disposition = 'disconnected' THEN 'DISCONNECTED'
        WHEN p_disposition = 'not_interested' AND p_outcome IN ('connected', 'returned') THEN 'NOT_INTERESTED'
        WHEN p_disposition = 'power_off' AND p_outcome = 'no_answer' THEN 'POWER_OFF'
        WHEN p_outcome = 'dnc' THEN 'BANNED'
        WHEN p_outcome IN ('connected', 'played', 'returned') THEN 'CONNECTED'
        WHEN p_outcome IN ('failed', 'invalid', 'not_sent') THEN 'FAILED'
        WHEN p_outcome IN ('no_answer', 'machine', 'message_left') THEN 'MISSED'
        WHEN p_outcome IN ('hung_up', 'abandoned', 'rejected') THEN 'HANGUP'
        WHEN p_outcome = 'busy' THEN 'BUSY'
        ELSE 'UNKNOWN'
    END
$$;
