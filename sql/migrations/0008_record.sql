-- The record's writer with what an attempt costs, what it does to the contact's numbers, and what the agent said.
-- record_v1 stays for a daemon of the release before, so that calls which it has placed are written to their end.

-- p_rows is an array of objects, applied in order:
--   {"event": {tenant_id, campaign_id, attempt_id, at, kind, detail}}
--   {"attempt": {id, state, outcome, cause, …}}                every column of the attempt that may have changed
--   {"contact": {attempt_id, next_at, counts, number}}         what becomes of the contact; comes with the end:
--       next_at null: it is done; counts: whether the attempt is used up; number: "same", "next", or "dead" (this one is
--       not dialled again, so the next one)
--   {"agent": {agent_id, tenant_id, state, reason, attempt_id, at, node, channel_id, bridge_id}}
-- An attempt that has ended is not touched again, neither is its contact, and it is paid once: a started minute of
-- talk costs, an attempt that never left is paid back. False: this batch is in already.
CREATE FUNCTION record_v2(p_run uuid, p_node text, p_batch bigint, p_rows jsonb) RETURNS boolean
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
                 agent_id bigint, caller_id text, disposition text, message text, dialed_at timestamptz,
                 ringing_at timestamptz, answered_at timestamptz, connected_at timestamptz, ended_at timestamptz)
        WHERE r.value ? 'attempt'
        ORDER BY x.id, x.state = 'ended' DESC, CASE WHEN x.state = 'ended' THEN r.n ELSE -r.n END
    ), written AS (
        UPDATE attempts SET
            state = word.state, outcome = word.outcome, cause = word.cause, dial_status = word.dial_status,
            detail = word.detail, machine = word.machine, agent_id = coalesce(word.agent_id, attempts.agent_id),
            caller_id = coalesce(word.caller_id, attempts.caller_id),
            disposition = coalesce(word.disposition, attempts.disposition),
            message = coalesce(word.message, attempts.message), dialed_at = word.dialed_at,
            ringing_at = word.ringing_at, answered_at = word.answered_at, connected_at = word.connected_at,
            ended_at = word.ended_at, cost = attempts.cost + owed.cost
        FROM word
        JOIN attempts AS before ON before.id = word.id
        JOIN tenants t ON t.id = before.tenant_id
        CROSS JOIN LATERAL (
            SELECT CASE
                WHEN t.balance IS NULL OR word.state <> 'ended' THEN 0
                WHEN word.outcome = 'not_sent' THEN -before.cost
                WHEN word.answered_at IS NULL THEN 0
                ELSE t.price_minute * greatest(ceil(extract(epoch FROM word.ended_at - word.answered_at) / 60), 1)
            END AS cost
        ) AS owed
        WHERE attempts.id = word.id AND attempts.ended_at IS NULL
        RETURNING attempts.id, attempts.tenant_id, attempts.contact_id, attempts.number_id, attempts.outcome,
                  attempts.disposition, attempts.message, attempts.agent_id, owed.cost
    ), paid AS (
        UPDATE tenants SET balance = balance - sums.cost
        FROM (SELECT tenant_id, sum(cost) AS cost FROM written GROUP BY tenant_id) AS sums
        WHERE tenants.id = sums.tenant_id AND sums.cost <> 0
    ), fate AS (
        SELECT DISTINCT ON (x.attempt_id) x.*, written.*
        FROM jsonb_array_elements(p_rows) WITH ORDINALITY AS r (value, n),
             jsonb_to_record(r.value -> 'contact') AS x (
                 attempt_id uuid, next_at timestamptz, counts boolean, number text)
        JOIN written ON written.id = x.attempt_id
        WHERE r.value ? 'contact'
        ORDER BY x.attempt_id, r.n
    ), given_up AS (
        UPDATE numbers n SET dead = fate.outcome FROM fate WHERE fate.number = 'dead' AND n.id = fate.number_id
    )
    UPDATE contacts q SET
        state = CASE WHEN fate.next_at IS NULL
                       OR fate.number = 'dead' AND other.next_position IS NULL THEN 'done' ELSE 'waiting' END,
        position = coalesce(other.next_position, q.position),
        zone_set = coalesce(other.next_zone_set, q.zone_set),
        next_at = coalesce(fate.next_at, q.next_at),
        attempts = q.attempts - (NOT fate.counts)::integer,
        tries = CASE WHEN fate.counts THEN q.tries || jsonb_build_object(
                          fate.outcome, coalesce((q.tries ->> fate.outcome)::integer, 0) + 1) ELSE q.tries END,
        last_outcome = fate.outcome,
        last_disposition = fate.disposition,
        last_message = coalesce(fate.message, q.last_message),
        agent_id = coalesce(fate.agent_id, q.agent_id)
    FROM fate
    JOIN contacts AS c ON c.id = fate.contact_id
    LEFT JOIN LATERAL (
        SELECT a.next_position, a.next_zone_set FROM number_after(c.id, c.position) AS a
        -- The number given up in this statement still looks alive to it, and is the last one in the round.
        WHERE fate.number IN ('next', 'dead') AND (fate.number = 'next' OR a.next_position <> c.position)
    ) AS other ON true
    WHERE q.id = c.id;

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

CREATE OR REPLACE FUNCTION record_v1(p_run uuid, p_node text, p_batch bigint, p_rows jsonb) RETURNS boolean
LANGUAGE sql AS $$ SELECT record_v2(p_run, p_node, p_batch, p_rows) $$;
