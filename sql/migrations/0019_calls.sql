-- Single calls: a campaign of their own for each tenant, the claim of one contact by its id, and the keys by which a
-- request that comes twice is one call.

-- The tenant's campaign for calls that programs ask for one by one: nothing is dialled for it by itself, and its list
-- is never used up.
ALTER TABLE campaigns ADD COLUMN single_calls boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX campaigns_single_calls ON campaigns (tenant_id) WHERE single_calls;

-- What requests for single calls are known by again, for two days: the key that the client gave, and calls that a dry
-- run did not place, of which there is no attempt.
CREATE TABLE call_requests (
    id         uuid PRIMARY KEY,                     -- the call's
    tenant_id  integer NOT NULL REFERENCES tenants,
    key        text CHECK (length(key) BETWEEN 1 AND 255),
    digest     bytea NOT NULL,                       -- SHA-256 of what was asked for
    dry_e164   text,                                 -- the number that a dry run did not call; null: it was no dry run
    at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, key)
);
CREATE INDEX call_requests_at ON call_requests (at);
ALTER TABLE call_requests ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON call_requests USING ((tenant_id = (SELECT session_tenant())) IS NOT FALSE);

-- The claim with one more argument; all else in it is as it was in 0014_tenant_calls.sql, and whoever calls it with
-- seven finds it as it was. p_contact: this contact and no other, through the same gates. It must be in the queue, or,
-- where p_agents names an agent, held for this one to look at (previews); then its answer is for that agent. What keeps
-- it from being called is the refusal, beside the campaign's:
--   not_queued, not_held   it is not there to be claimed
--   unknown_zone, outside_allowed_time_window, max_retries, dnc, live_call, the name of a limit or a lockout
DROP FUNCTION claim_held_v1(bigint, bigint, text, jsonb);
DROP FUNCTION claim_v2(bigint, integer, text, jsonb, bigint[], text, uuid);
CREATE FUNCTION claim_v2(
    p_campaign bigint, p_want integer, p_node text, p_terms jsonb, p_agents bigint[] DEFAULT '{}',
    p_trunk text DEFAULT NULL, p_batch uuid DEFAULT NULL, p_contact bigint DEFAULT NULL
) RETURNS TABLE (
    attempt_id uuid, contact_id bigint, number_id bigint, e164 text, attempts integer, tries jsonb, for_agent bigint,
    refusal text
) LANGUAGE plpgsql
-- Every access here is by index, at every size, and planning anew would cost as much as the claim. The subqueries below
-- that fetch a contact and a number are such that no plan can read the whole table instead, whatever the figures say.
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    c         campaigns;
    t         tenants;
    k         trunks;
    stale     text;
    on_trunk  integer;
    of_ours   integer;
    of_tenant integer;
    room      integer;
    taken     integer := 0;
    looked    integer := 0;
    seen      integer;
    batch     integer;
    few       integer;
    agents    bigint[] := CASE WHEN p_contact IS NULL THEN p_agents END;
    sets      integer[] := ARRAY(SELECT jsonb_array_elements_text(p_terms -> 'open'))::integer[];
    heads_of  integer[] := CASE WHEN p_contact IS NULL THEN sets END;
    previewed boolean := p_contact IS NOT NULL AND cardinality(p_agents) > 0;
    held_by   text;                               -- the rule that keeps p_contact from being called
    limits    jsonb := p_terms -> 'limits';
    lockouts  jsonb := p_terms -> 'lockouts';
    -- Below both of these number_held has nothing to say, and is not asked.
    fewest    integer := (SELECT min(calls) FROM jsonb_to_recordset(p_terms -> 'limits') AS l (calls integer));
    locking   text[] := ARRAY(SELECT DISTINCT w FROM jsonb_to_recordset(p_terms -> 'lockouts') AS l (after jsonb),
                                                     jsonb_array_elements_text(l.after) AS w);
    persons   boolean := (p_terms -> 'limits') || (p_terms -> 'lockouts') @> '[{"whom": "person"}]';
    refused   jsonb := '[]';
    r         record;
BEGIN
    SELECT * INTO c FROM campaigns WHERE id = p_campaign FOR NO KEY UPDATE;
    SELECT * INTO t FROM tenants WHERE id = c.tenant_id;
    IF t.balance IS NOT NULL OR t.max_calls IS NOT NULL THEN   -- two trunks' claims must not spend the same money
        SELECT * INTO t FROM tenants WHERE id = c.tenant_id FOR NO KEY UPDATE;
    END IF;
    SELECT * INTO k FROM trunks
    WHERE name = coalesce(p_trunk, c.trunk) AND node = p_node AND (tenant_id IS NULL OR tenant_id = c.tenant_id)
    FOR NO KEY UPDATE;
    stale := dnc_gate(c.tenant_id, c.id);
    SELECT count(*), count(*) FILTER (WHERE a.campaign_id = c.id) INTO on_trunk, of_ours
    FROM attempts a WHERE a.trunk = k.name AND a.ended_at IS NULL;
    IF t.max_calls IS NOT NULL THEN               -- by attempts_live_trunk: hand-outs, which may be many, are not read
        SELECT count(*) INTO of_tenant
        FROM trunks x JOIN attempts a ON a.trunk = x.name AND a.ended_at IS NULL
        WHERE NOT x.outside AND a.tenant_id = t.id;
    END IF;
    room := least(
        p_want,
        k.max_calls - on_trunk,
        CASE WHEN k.outside THEN p_want ELSE c.max_concurrent_calls - of_ours END,
        CASE WHEN k.outside OR t.max_calls IS NULL THEN p_want ELSE t.max_calls - of_tenant END,
        CASE WHEN t.balance IS NULL OR t.price_attempt = 0 THEN p_want
             ELSE floor(t.balance / t.price_attempt) END
    );
    refusal := CASE
        WHEN c.id IS NULL OR c.state <> 'active' THEN 'not_active'
        WHEN NOT t.enabled OR NOT (SELECT enabled FROM installation) THEN 'disabled'
        WHEN t.balance IS NOT NULL AND (t.balance <= 0 OR t.balance < t.price_attempt) THEN 'insufficient_funds'
        WHEN k.name IS NULL THEN 'unknown_trunk'
        WHEN NOT k.active THEN 'trunk_inactive'
        WHEN (p_terms ->> 'version') IS DISTINCT FROM t.schedule_version || '.' || c.version
          OR (clock_timestamp() < (p_terms ->> 'valid_until')::timestamptz) IS NOT TRUE
          OR jsonb_typeof(limits) IS DISTINCT FROM 'array' OR jsonb_typeof(lockouts) IS DISTINCT FROM 'array'
            THEN 'judgement_too_old'
        WHEN cardinality(sets) = 0 THEN 'outside_allowed_time_window'
        WHEN stale IS NOT NULL THEN 'dnc_stale'
        WHEN on_trunk >= k.max_calls THEN 'trunk_full'
        WHEN NOT k.outside AND of_tenant >= t.max_calls THEN 'tenant_full'
        WHEN room <= 0 THEN 'campaign_full'
    END;
    IF refusal IS NOT NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;

    -- As a rule one round, with some to spare. Each one looks at more, so that thousands at the head of a list who may
    -- not be called do not hold it up.
    batch := room + room / 8 + 2;
    LOOP
        seen := 0;
        few := least(batch, 8 + 2 * batch / cardinality(sets));
        FOR r IN
            WITH heads AS (                       -- the first few of each open zone set: no closed zone is looked at
                SELECT s.id AS zone_set, q.id, q.rank, q.n
                FROM unnest(heads_of) AS s (id), LATERAL (
                    SELECT q.id, q.rank, row_number() OVER (ORDER BY q.rank, q.id) AS n FROM contacts q
                    WHERE q.campaign_id = c.id AND q.zone_set = s.id AND q.state = 'queued'
                      AND q.callback_agent_id IS NULL
                    ORDER BY q.rank, q.id LIMIT few
                ) AS q
            ), last AS (
                SELECT rank, id FROM heads ORDER BY rank, id OFFSET batch - 1 LIMIT 1
            ), found AS (
                SELECT f.id FROM (
                    SELECT h.id, h.rank FROM heads h
                    UNION ALL
                    -- The rest of a zone set whose first few all come before the last one needed.
                    SELECT q.id, q.rank
                    FROM heads h, LATERAL (
                        SELECT q.id, q.rank FROM contacts q
                        WHERE q.campaign_id = c.id AND q.zone_set = h.zone_set AND q.state = 'queued'
                          AND q.callback_agent_id IS NULL
                        ORDER BY q.rank, q.id OFFSET few LIMIT batch
                    ) AS q
                    WHERE h.n = few AND NOT EXISTS (SELECT FROM last WHERE (h.rank, h.id) > (last.rank, last.id))
                    UNION ALL
                    SELECT p.id, p.rank
                    FROM unnest(agents) AS g (id), LATERAL (
                        SELECT q.id, q.rank FROM contacts q
                        WHERE q.campaign_id = c.id AND q.callback_agent_id = g.id AND q.state = 'queued'
                          AND q.zone_set = ANY (sets)
                        ORDER BY q.callback_at LIMIT 1
                    ) AS p
                    UNION ALL
                    SELECT p.id, p.rank FROM (
                        SELECT q.id, q.rank FROM contacts q
                        WHERE q.id = p_contact AND q.campaign_id = c.id
                          AND (q.callback_agent_id IS NULL OR q.callback_agent_id = ANY (p_agents))
                        LIMIT 1
                    ) AS p
                ) AS f
                ORDER BY f.rank, f.id LIMIT batch
            ), picked AS (
                SELECT q.*, n.id AS number_id, n.e164, substr(n.e164, 2)::bigint AS digits
                FROM found, LATERAL (
                    SELECT q.id, q.rank, q.position, q.zone_set, q.attempts, q.tries, q.list_id, q.callback_at,
                           q.callback_agent_id
                    FROM contacts q
                    WHERE q.id = found.id AND CASE WHEN previewed THEN q.state = 'waiting' AND EXISTS (
                        SELECT FROM previews p
                        WHERE p.contact_id = q.id AND p.agent_id = ANY (p_agents) AND p.until > clock_timestamp()
                    ) ELSE q.state = 'queued' END
                    FOR UPDATE SKIP LOCKED
                ) AS q, LATERAL (
                    SELECT n.id, n.e164 FROM numbers n
                    WHERE n.contact_id = q.id AND n.position = q.position LIMIT 1
                ) AS n
            ), judged AS (
                SELECT picked.*, past.*, held.held[2]::timestamptz AS until,
                       CASE WHEN p_contact IS NOT NULL AND (picked.zone_set = ANY (sets)) IS NOT TRUE THEN
                                 CASE picked.zone_set WHEN 0 THEN 'unknown_zone' ELSE 'outside_allowed_time_window' END
                            WHEN picked.attempts > c.max_retries AND picked.callback_at IS NULL THEN 'max_retries'
                            WHEN barred.list IS NOT NULL THEN 'dnc'
                            WHEN held.held IS NOT NULL THEN held.held[1]
                            WHEN past.live > 0 THEN 'live_call'
                       END AS rule,
                       barred.list
                FROM picked
                LEFT JOIN LATERAL (
                    SELECT list FROM dnc_bars(c.tenant_id, c.id, picked.digits) AS list LIMIT 1
                ) AS barred ON true
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN persons THEN ARRAY(SELECT n.e164 FROM numbers n WHERE n.contact_id = picked.id)
                                ELSE ARRAY[picked.e164] END AS e164s
                ) AS person
                CROSS JOIN LATERAL (
                    SELECT count(*) AS ever,
                           count(*) FILTER (WHERE a.claimed_at > now() - interval '24 hours') AS calls_24h,
                           count(*) FILTER (WHERE a.claimed_at > now() - interval '7 days') AS calls_7d,
                           count(*) FILTER (WHERE a.claimed_at > now() - interval '30 days') AS calls_30d,
                           count(*) FILTER (WHERE a.outcome = ANY (locking) OR a.disposition = ANY (locking)) AS locked,
                           count(*) FILTER (WHERE a.ended_at IS NULL) AS live
                    FROM attempts a WHERE a.tenant_id = c.tenant_id AND a.e164 = ANY (person.e164s)
                ) AS past
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN past.ever >= fewest OR past.locked > 0 THEN (
                        SELECT ARRAY[h.rule, h.until::text]
                        FROM number_held(c.tenant_id, c.id, picked.e164, person.e164s, limits, lockouts) AS h
                    ) END AS held OFFSET 0        -- else it is asked three times
                ) AS held
            ), chosen AS (
                SELECT * FROM judged WHERE rule IS NULL ORDER BY rank, id LIMIT room - taken
            ), made AS (
                INSERT INTO attempts (id, tenant_id, campaign_id, contact_id, number_id, e164, node, trunk, list_id,
                                      batch_id, cost, claimed_at)
                SELECT uuid7(), c.tenant_id, c.id, chosen.id, chosen.number_id, chosen.e164, p_node, k.name,
                       chosen.list_id, p_batch, CASE WHEN t.balance IS NULL THEN 0 ELSE t.price_attempt END,
                       clock_timestamp()
                FROM chosen
                ON CONFLICT DO NOTHING            -- another campaign is calling this number at this moment
                RETURNING id, contact_id, claimed_at
            ), counted AS (
                UPDATE contacts q SET state = 'claimed', attempts = q.attempts + 1, callback_at = NULL,
                                      callback_agent_id = NULL
                WHERE q.id = ANY (ARRAY(SELECT made.contact_id FROM made))
            ), noted AS (
                INSERT INTO call_events (tenant_id, campaign_id, attempt_id, at, kind, detail)
                SELECT c.tenant_id, c.id, made.id, made.claimed_at, 'claimed', jsonb_build_object(
                           'attempt_number', judged.attempts + 1, 'version', p_terms -> 'version',
                           'zones', (SELECT zones FROM zone_sets z WHERE z.id = judged.zone_set),
                           'open_until', p_terms -> 'valid_until', 'calls_24h', judged.calls_24h,
                           'calls_7d', judged.calls_7d, 'calls_30d', judged.calls_30d)
                       || CASE WHEN previewed THEN jsonb_build_object('agent_id', p_agents[1]) ELSE '{}' END
                FROM made JOIN judged ON judged.id = made.contact_id
            )
            SELECT judged.*, made.id AS made_id FROM judged LEFT JOIN made ON made.contact_id = judged.id
        LOOP
            seen := seen + 1;
            held_by := coalesce(r.rule, 'live_call');
            IF r.rule IS NOT NULL AND r.zone_set = ANY (sets) THEN   -- else its window is shut, and only that
                refused := refused || to_jsonb(r);
            ELSIF r.made_id IS NOT NULL THEN
                taken := taken + 1;
                agents := array_remove(agents, r.callback_agent_id);
                attempt_id := r.made_id;
                contact_id := r.id;
                number_id := r.number_id;
                e164 := r.e164;
                attempts := r.attempts + 1;
                tries := r.tries;
                for_agent := CASE WHEN previewed THEN p_agents[1] ELSE r.callback_agent_id END;
                RETURN NEXT;
            END IF;
        END LOOP;
        IF previewed AND (taken > 0 OR refused <> '[]') THEN
            DELETE FROM previews WHERE contact_id = p_contact;
        END IF;
        IF refused <> '[]' THEN
            PERFORM put_aside_v1(c.tenant_id, c.id, refused, p_terms -> 'version');
            refused := '[]';
        END IF;
        looked := looked + seen;
        EXIT WHEN taken >= room OR seen = 0 OR looked >= 5000 OR p_contact IS NOT NULL;
        batch := least(batch * 2, 1000);
    END LOOP;

    IF taken > 0 THEN
        IF t.balance IS NOT NULL AND t.price_attempt > 0 THEN
            UPDATE tenants SET balance = balance - taken * t.price_attempt WHERE id = t.id;
        END IF;
        RETURN;
    END IF;
    refusal := CASE
        WHEN p_contact IS NOT NULL THEN coalesce(held_by, CASE WHEN previewed THEN 'not_held' ELSE 'not_queued' END)
        WHEN looked >= 5000 THEN 'still_looking'
        WHEN EXISTS (SELECT FROM contacts q WHERE q.campaign_id = c.id AND q.state IN ('waiting', 'claimed'))
          OR EXISTS (SELECT FROM contacts q WHERE q.campaign_id = c.id AND q.state = 'queued' AND q.zone_set > 0)
            THEN 'nothing_due'
        ELSE 'list_used_up' END;
    RETURN NEXT;
END $$;
