-- The record: what happened to attempts and agents, written in batches, one round trip and one transaction each.

-- Which batches of a daemon's run are in: a batch whose COMMIT reply was lost is sent again and does nothing.
CREATE TABLE ledger_runs (
    run         uuid PRIMARY KEY,
    node        text NOT NULL,
    batch       bigint NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now()
);

-- p_rows is an array of objects, applied in order:
--   {"event": {tenant_id, campaign_id, attempt_id, at, kind, detail}}
--   {"attempt": {id, state, outcome, cause, …}}                every column of the attempt that may have changed
--   {"contact": {attempt_id, next_at, counts}}                 what becomes of the contact; comes with the end
--   {"agent": {agent_id, tenant_id, state, reason, attempt_id, at, node, channel_id, bridge_id}}
-- An attempt that has ended is not touched again, and neither is its contact. False: this batch is in already.
CREATE FUNCTION record_v1(p_run uuid, p_node text, p_batch bigint, p_rows jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    a jsonb;
BEGIN
    INSERT INTO ledger_runs (run, node, batch) VALUES (p_run, p_node, p_batch)
    ON CONFLICT (run) DO UPDATE SET batch = EXCLUDED.batch WHERE ledger_runs.batch < EXCLUDED.batch;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    INSERT INTO call_events (tenant_id, campaign_id, attempt_id, at, kind, detail)
    SELECT e.tenant_id, e.campaign_id, e.attempt_id, e.at, e.kind, coalesce(e.detail, '{}')
    FROM jsonb_array_elements(p_rows) WITH ORDINALITY AS r (value, n),
         jsonb_to_record(r.value -> 'event') AS e (
             tenant_id integer, campaign_id bigint, attempt_id uuid, at timestamptz, kind text, detail jsonb)
    WHERE r.value ? 'event'
    ORDER BY r.n;

    -- The last word on each attempt of the batch; of two ends the first one.
    WITH word AS (
        SELECT DISTINCT ON (x.id) x.*
        FROM jsonb_array_elements(p_rows) WITH ORDINALITY AS r (value, n),
             jsonb_to_record(r.value -> 'attempt') AS x (
                 id uuid, state text, outcome text, cause smallint, dial_status text, detail text, machine text,
                 agent_id bigint, caller_id text, dialed_at timestamptz, ringing_at timestamptz,
                 answered_at timestamptz, connected_at timestamptz, ended_at timestamptz)
        WHERE r.value ? 'attempt'
        ORDER BY x.id, x.state = 'ended' DESC, CASE WHEN x.state = 'ended' THEN r.n ELSE -r.n END
    ), written AS (
        UPDATE attempts SET
            state = word.state, outcome = word.outcome, cause = word.cause, dial_status = word.dial_status,
            detail = word.detail, machine = word.machine, agent_id = coalesce(word.agent_id, attempts.agent_id),
            caller_id = coalesce(word.caller_id, attempts.caller_id), dialed_at = word.dialed_at,
            ringing_at = word.ringing_at, answered_at = word.answered_at, connected_at = word.connected_at,
            ended_at = word.ended_at
        FROM word WHERE attempts.id = word.id AND attempts.state <> 'ended'
        RETURNING attempts.id, attempts.contact_id, attempts.outcome
    )
    UPDATE contacts SET
        state = CASE WHEN f.next_at IS NULL THEN 'done' ELSE 'queued' END,
        next_at = coalesce(f.next_at, contacts.next_at),
        attempts = contacts.attempts - (NOT f.counts)::integer,
        last_outcome = written.outcome
    FROM written
    JOIN (
        SELECT DISTINCT ON (x.attempt_id) x.*
        FROM jsonb_array_elements(p_rows) WITH ORDINALITY AS r (value, n),
             jsonb_to_record(r.value -> 'contact') AS x (attempt_id uuid, next_at timestamptz, counts boolean)
        WHERE r.value ? 'contact'
        ORDER BY x.attempt_id, r.n
    ) AS f ON f.attempt_id = written.id
    WHERE contacts.id = written.contact_id;

    FOR a IN SELECT r.value -> 'agent' FROM jsonb_array_elements(p_rows) WITH ORDINALITY AS r (value, n)
             WHERE r.value ? 'agent' ORDER BY r.n
    LOOP
        UPDATE agent_states SET ended_at = (a ->> 'at')::timestamptz
        WHERE agent_id = (a ->> 'agent_id')::bigint AND ended_at IS NULL;
        INSERT INTO agent_states (tenant_id, agent_id, state, reason, attempt_id, started_at)
        VALUES ((a ->> 'tenant_id')::integer, (a ->> 'agent_id')::bigint, a ->> 'state', coalesce(a ->> 'reason', ''),
                (a ->> 'attempt_id')::uuid, (a ->> 'at')::timestamptz);
        UPDATE agents SET state = a ->> 'state', state_at = (a ->> 'at')::timestamptz, node = a ->> 'node',
                          channel_id = a ->> 'channel_id', bridge_id = a ->> 'bridge_id'
        WHERE id = (a ->> 'agent_id')::bigint;
    END LOOP;
    RETURN true;
END $$;
