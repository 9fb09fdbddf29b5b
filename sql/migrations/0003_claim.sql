-- The claim (rule 3): the one statement that takes contacts and writes attempts, every gate inside it.
-- Functions carry a version: an old and a new daemon may run side by side on one schema.

-- UUID version 7 (RFC 9562): ordered by time, so that the index of attempts grows at one end.
CREATE FUNCTION uuid7() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                    FROM 1 FOR 6),
            52, 1), 53, 1),
        'hex')::uuid
$$;

-- Takes up to p_want contacts of a campaign and writes their attempts. Either rows with an attempt, or one row whose
-- `refusal` says which gate is shut:
--   disabled            the installation's or the tenant's kill switch is off
--   not_active          the campaign is not active
--   insufficient_funds  the tenant's balance does not cover one attempt
--   unknown_trunk, trunk_inactive, trunk_full, campaign_full
--   judgement_too_old   p_valid_until is past: the windows must be judged again
--   outside_allowed_time_window  no zone is open
--   dnc_stale           a do-not-call list that this campaign needs is older than its limit
--   list_used_up        nothing is left in the queue
--   nothing_due         something is left, but not now (retry times, windows, live calls to the same number)
-- Contacts whose number has no known zone are never due, and do not keep a campaign from completing.
-- p_zones: the zones in which calling is allowed until p_valid_until, as core.calendar judged them. A number whose
-- zones are not all among them, or are unknown, is not taken.
-- The rows of campaign and trunk are locked first, so that caps are counted by one claim at a time; plpgsql takes a
-- new snapshot for each statement, so the counts below see what the claim before this one has committed.
CREATE FUNCTION claim_v1(
    p_campaign bigint, p_want integer, p_node text, p_zones text[], p_valid_until timestamptz
) RETURNS TABLE (
    attempt_id uuid, contact_id bigint, e164 text, attempts integer, refusal text
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c         campaigns;
    t         tenants;
    k         trunks;
    r         record;
    on_trunk  bigint;
    of_ours   bigint;
    room      integer;
    batch     integer;
    seen      integer;
    taken     integer := 0;
    stale     text;
BEGIN
    SELECT * INTO c FROM campaigns WHERE id = p_campaign FOR NO KEY UPDATE;
    SELECT * INTO t FROM tenants WHERE id = c.tenant_id;
    IF t.balance IS NOT NULL THEN                 -- two trunks' claims must not spend the same money
        SELECT * INTO t FROM tenants WHERE id = c.tenant_id FOR NO KEY UPDATE;
    END IF;
    SELECT * INTO k FROM trunks WHERE name = c.trunk AND node = p_node FOR NO KEY UPDATE;
    stale := dnc_gate(c.tenant_id, c.id);
    SELECT count(*), count(*) FILTER (WHERE a.campaign_id = c.id) INTO on_trunk, of_ours
    FROM attempts a WHERE a.trunk = k.name AND a.state <> 'ended';
    room := least(
        p_want,
        k.max_calls - on_trunk,
        c.max_concurrent_calls - of_ours,
        CASE WHEN t.balance IS NULL OR t.price_attempt = 0 THEN p_want
             ELSE floor(t.balance / t.price_attempt) END
    );
    refusal := CASE
        WHEN c.id IS NULL OR c.state <> 'active' THEN 'not_active'
        WHEN NOT t.enabled OR NOT (SELECT enabled FROM installation) THEN 'disabled'
        WHEN t.balance IS NOT NULL AND (t.balance <= 0 OR t.balance < t.price_attempt) THEN 'insufficient_funds'
        WHEN k.name IS NULL THEN 'unknown_trunk'
        WHEN NOT k.active THEN 'trunk_inactive'
        WHEN clock_timestamp() >= p_valid_until THEN 'judgement_too_old'
        WHEN cardinality(p_zones) = 0 THEN 'outside_allowed_time_window'
        WHEN stale IS NOT NULL THEN 'dnc_stale'
        WHEN on_trunk >= k.max_calls THEN 'trunk_full'
        WHEN room <= 0 THEN 'campaign_full'
    END;
    IF refusal IS NOT NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;

    -- As a rule one round. Contacts that a DNC list bars are put aside and the next ones looked at, in growing
    -- batches, so that ten thousand of them at the head of a list do not hold it up.
    batch := room;
    LOOP
        seen := 0;
        FOR r IN
            WITH picked AS (
                SELECT q.id, q.priority, q.next_at, n.id AS number_id, n.e164,
                       (SELECT list FROM dnc_bars(c.tenant_id, c.id, n.e164) AS list LIMIT 1) AS barred
                FROM contacts q
                JOIN numbers n ON n.contact_id = q.id AND n.position = q.position
                WHERE q.campaign_id = c.id AND q.state = 'queued' AND q.next_at <= now()
                  AND q.attempts <= c.max_retries
                  AND cardinality(n.zones) > 0 AND n.zones <@ p_zones
                  AND NOT EXISTS (SELECT FROM attempts a
                                  WHERE a.tenant_id = c.tenant_id AND a.e164 = n.e164 AND a.state <> 'ended')
                ORDER BY q.priority DESC, q.next_at, q.id
                LIMIT batch
                FOR UPDATE OF q SKIP LOCKED
            ), suppressed AS (
                UPDATE contacts q SET state = 'suppressed', last_outcome = 'dnc'
                FROM picked WHERE picked.barred IS NOT NULL AND q.id = picked.id
                RETURNING q.id, picked.e164, picked.barred
            ), chosen AS (
                SELECT * FROM picked WHERE barred IS NULL ORDER BY priority DESC, next_at, id LIMIT room - taken
            ), made AS (
                INSERT INTO attempts (id, tenant_id, campaign_id, contact_id, number_id, e164, node, trunk, claimed_at)
                SELECT uuid7(), c.tenant_id, c.id, chosen.id, chosen.number_id, chosen.e164, p_node, k.name,
                       clock_timestamp()
                FROM chosen
                ON CONFLICT DO NOTHING            -- another campaign is calling this number at this moment
                RETURNING id, contact_id, e164, claimed_at
            ), counted AS (
                UPDATE contacts q SET state = 'claimed', attempts = q.attempts + 1
                FROM made WHERE q.id = made.contact_id
                RETURNING q.id, q.attempts
            ), noted AS (
                INSERT INTO call_events (tenant_id, campaign_id, attempt_id, at, kind, detail)
                SELECT c.tenant_id, c.id, made.id, made.claimed_at, 'claimed',
                       jsonb_build_object('attempt_number', counted.attempts, 'zones_open_until', p_valid_until)
                FROM made JOIN counted ON counted.id = made.contact_id
                UNION ALL
                SELECT c.tenant_id, c.id, NULL, clock_timestamp(), 'not_dialed',
                       jsonb_build_object('rule', 'dnc', 'contact', suppressed.id, 'number', suppressed.e164,
                                          'list', suppressed.barred)
                FROM suppressed
            )
            SELECT made.id AS attempt_id, picked.id AS contact_id, picked.e164, counted.attempts
            FROM picked
            LEFT JOIN made ON made.contact_id = picked.id
            LEFT JOIN counted ON counted.id = picked.id
        LOOP
            seen := seen + 1;
            IF r.attempt_id IS NOT NULL THEN
                taken := taken + 1;
                attempt_id := r.attempt_id;
                contact_id := r.contact_id;
                e164 := r.e164;
                attempts := r.attempts;
                RETURN NEXT;
            END IF;
        END LOOP;
        EXIT WHEN taken >= room OR seen < batch;
        batch := least(batch * 2, 1000);
    END LOOP;

    IF taken > 0 THEN
        IF t.balance IS NOT NULL AND t.price_attempt > 0 THEN
            UPDATE tenants SET balance = balance - taken * t.price_attempt WHERE id = t.id;
        END IF;
        RETURN;
    END IF;
    refusal := CASE
        WHEN EXISTS (SELECT FROM contacts q
                     WHERE q.campaign_id = c.id AND q.state IN ('queued', 'claimed')
                       AND q.attempts <= c.max_retries + (q.state = 'claimed')::integer
                       AND EXISTS (SELECT FROM numbers n WHERE n.contact_id = q.id AND n.position = q.position
                                                           AND cardinality(n.zones) > 0))
            THEN 'nothing_due' ELSE 'list_used_up' END;
    RETURN NEXT;
END $$;
