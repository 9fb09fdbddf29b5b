-- Numbers handed out in batches to an outside dialer, and the older panel's view of them.

-- The status that the older panel's API shows for the numbers of a contact: dialerd/core/numberstatus.py in SQL.
CREATE FUNCTION number_status_v1(p_state text, p_outcome text, p_disposition text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN p_state IN ('queued', 'waiting', 'held', 'claimed') THEN 'IN_QUEUE'
        WHEN p_disposition = 'banned' THEN 'BANNED'
        WHEN p_disposition = 'disconnected' THEN 'DISCONNECTED'
        WHEN p_disposition = 'not_interested' AND p_outcome = 'connected' THEN 'NOT_INTERESTED'
        WHEN p_disposition = 'power_off' AND p_outcome = 'no_answer' THEN 'POWER_OFF'
        WHEN p_outcome = 'dnc' THEN 'BANNED'
        WHEN p_outcome = 'connected' THEN 'CONNECTED'
        WHEN p_outcome IN ('failed', 'invalid', 'not_sent') THEN 'FAILED'
        WHEN p_outcome IN ('no_answer', 'machine') THEN 'MISSED'
        WHEN p_outcome IN ('hung_up', 'abandoned', 'rejected') THEN 'HANGUP'
        WHEN p_outcome = 'busy' THEN 'BUSY'
        ELSE 'UNKNOWN'
    END
$$;

-- Which hand-outs are the oldest: asked before every batch.
CREATE INDEX attempts_handed_out ON attempts (campaign_id, claimed_at) WHERE trunk = 'batch' AND ended_at IS NULL;

-- The claim locks its trunk's row, and row-level security takes that for a change. A tenant's session may lock the
-- trunk of the batches, which is everybody's, and change nothing of it.
CREATE POLICY locked ON trunks FOR UPDATE USING (outside) WITH CHECK (false);

-- Rows for the record from a writer that is no daemon: its transaction is what makes them come once, so no run is
-- kept of it.
CREATE FUNCTION record_once_v1(p_rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    this_run uuid := gen_random_uuid();
BEGIN
    PERFORM record_v2(this_run, 'batch', 1, p_rows);
    DELETE FROM ledger_runs WHERE run = this_run;
END $$;

-- Ends up to p_limit hand-outs of a campaign that are older than p_seconds and had no result; how many. What became of
-- such a call is not known: it counts for the limits of its number, but not as an attempt that the panel shows, and
-- the contact goes back into the queue.
CREATE FUNCTION end_handouts_v1(p_campaign bigint, p_seconds double precision, p_limit integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    old   uuid[];
    rows  jsonb;
BEGIN
    old := ARRAY(SELECT a.id FROM attempts a
                 WHERE a.campaign_id = p_campaign AND a.trunk = 'batch' AND a.ended_at IS NULL
                   AND a.claimed_at < now() - make_interval(secs => p_seconds)
                 ORDER BY a.claimed_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
    IF cardinality(old) = 0 THEN
        RETURN 0;
    END IF;
    SELECT jsonb_agg(r.value ORDER BY a.claimed_at, r.n) INTO rows
    FROM attempts a, LATERAL (VALUES
        (1, jsonb_build_object('event', jsonb_build_object(
                'tenant_id', a.tenant_id, 'campaign_id', a.campaign_id, 'attempt_id', a.id, 'at', now(),
                'kind', 'handout.expired', 'detail', jsonb_build_object('after_seconds', p_seconds)))),
        (2, jsonb_build_object('attempt', jsonb_build_object(
                'id', a.id, 'state', 'ended', 'outcome', 'unknown', 'detail', 'no result came', 'ended_at', now()))),
        (3, jsonb_build_object('contact', jsonb_build_object(
                'attempt_id', a.id, 'next_at', now(), 'counts', false, 'number', 'same')))
    ) AS r (n, value)
    WHERE a.id = ANY (old);
    PERFORM record_once_v1(rows);
    RETURN cardinality(old);
END $$;

-- The numbers of a campaign that a selection means (core.selection; ids are those of numbers), as the older panel
-- shows them. Written so that PostgreSQL puts it in the place of its call.
CREATE FUNCTION numbers_found_v1(
    p_tenant integer, p_campaign bigint, p_ids bigint[], p_excluded bigint[], p_states text[], p_search text,
    p_digits text, p_from timestamptz, p_to timestamptz, p_statuses text[]
) RETURNS TABLE (
    id bigint, contact_id bigint, e164 text, status text, state text, attempts integer, created_at timestamptz,
    last_message text, agent_id bigint, agent_name text, agent_phone text
) LANGUAGE sql STABLE AS $$
    SELECT n.id, c.id, n.e164, number_status_v1(c.state, c.last_outcome, c.last_disposition), c.state, c.attempts,
           c.created_at, c.last_message, g.id, coalesce(nullif(g.full_name, ''), g.name), g.phone
    FROM numbers n
    JOIN contacts c ON c.id = n.contact_id
    LEFT JOIN agents g ON g.id = c.agent_id
    WHERE n.tenant_id = p_tenant AND n.campaign_id = p_campaign
      AND (p_ids IS NULL OR n.id = ANY (p_ids))
      AND n.id <> ALL (p_excluded)
      AND (p_states IS NULL OR c.state = ANY (p_states))
      AND (p_search IS NULL OR n.e164 LIKE p_digits OR c.name ILIKE p_search OR c.external_id ILIKE p_search
           OR g.name ILIKE p_search OR g.full_name ILIKE p_search OR g.phone ILIKE p_search)
      AND (p_from IS NULL OR c.created_at >= p_from)
      AND (p_to IS NULL OR c.created_at < p_to)
      AND (p_statuses IS NULL
           OR number_status_v1(c.state, c.last_outcome, c.last_disposition) = ANY (p_statuses))
$$;
