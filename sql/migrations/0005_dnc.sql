-- Do-not-call lists: named, with a kind, a scope, a source and a date; entries by number and by prefix.

-- Whom a list binds: tenant_id null, the whole installation; campaign_id null, the whole tenant; else one campaign.
-- own: kept by hand and by opt-outs. register: replaced whole by each import. scrub: what an external check barred.
CREATE TABLE dnc_lists (
    id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id     integer REFERENCES tenants ON DELETE CASCADE,
    campaign_id   bigint REFERENCES campaigns ON DELETE CASCADE,
    name          text NOT NULL CHECK (name <> ''),
    kind          text NOT NULL CHECK (kind IN ('own', 'register', 'scrub')),
    source        text NOT NULL DEFAULT '',              -- of the entries that name none themselves
    as_of         timestamptz NOT NULL DEFAULT now(),    -- how old the data is
    max_age_days  integer CHECK (max_age_days > 0),      -- older than this: no campaign in the scope may dial
    CHECK (campaign_id IS NULL OR tenant_id IS NOT NULL),
    UNIQUE NULLS NOT DISTINCT (tenant_id, campaign_id, name)
);

-- Made for ten million rows: `number` is the digits of the E.164 number (no such number begins with 0), the primary
-- key is all that the check reads. No foreign key to dnc_lists: its check would cost more than the row itself, and
-- the entries of a list that is gone bar nobody.
CREATE TABLE dnc_numbers (
    number    bigint NOT NULL CHECK (number BETWEEN 100000 AND 999999999999999),
    added_at  timestamptz NOT NULL DEFAULT now(),
    list_id   integer NOT NULL,
    source    text,                                      -- null: the list's
    PRIMARY KEY (number, list_id)
);
-- Insertions only: have the visibility map set early, so that the check stays index-only after an import.
ALTER TABLE dnc_numbers SET (autovacuum_vacuum_insert_scale_factor = 0.02);

CREATE TABLE dnc_prefixes (
    prefix    bigint NOT NULL CHECK (prefix BETWEEN 1 AND 999999999999999),
    added_at  timestamptz NOT NULL DEFAULT now(),
    list_id   integer NOT NULL,
    source    text,
    PRIMARY KEY (prefix, list_id)
);

INSERT INTO dnc_lists (tenant_id, campaign_id, name, kind)
SELECT DISTINCT coalesce(d.tenant_id, c.tenant_id), d.campaign_id, 'own', 'own'
FROM dnc d LEFT JOIN campaigns c ON c.id = d.campaign_id;
INSERT INTO dnc_numbers (number, added_at, list_id, source)
SELECT substr(d.e164, 2)::bigint, min(d.created_at), l.id, min(d.source)
FROM dnc d LEFT JOIN campaigns c ON c.id = d.campaign_id
JOIN dnc_lists l ON l.tenant_id IS NOT DISTINCT FROM coalesce(d.tenant_id, c.tenant_id)
                AND l.campaign_id IS NOT DISTINCT FROM d.campaign_id
GROUP BY d.e164, l.id;
DROP TABLE dnc;

-- A table that was never analyzed is taken for ten pages: the check would probe the index of the prefixes 15 times.
ANALYZE dnc_lists, dnc_prefixes, dnc_numbers;

-- A number's digits and everything that they begin with. 0 is no prefix and matches nothing.
CREATE FUNCTION dnc_prefixes_of(n bigint) RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ARRAY[n, n / 10, n / 100, n / 1000, n / 10000, n / 100000, n / 1000000, n / 10000000, n / 100000000,
                 n / 1000000000, n / 10000000000, n / 100000000000, n / 1000000000000, n / 10000000000000,
                 n / 100000000000000]
$$;

-- The digits of an E.164 number. Any other text is an error: it would be on no list.
CREATE FUNCTION dnc_digits(e164 text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (CASE WHEN e164 ~ '^\+[1-9][0-9]{5,14}$' THEN substr(e164, 2) ELSE 'no E.164 number: ' || e164 END)::bigint
$$;

-- The one test of a number: the names of the lists that bar it from a campaign, none when it may be called. Of a form
-- that PostgreSQL inlines: as `(SELECT … FROM dnc_bars(…) LIMIT 1)` it costs two index probes a row and no call.
CREATE FUNCTION dnc_bars(p_tenant integer, p_campaign bigint, p_e164 text) RETURNS SETOF text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT l.name
    FROM (SELECT d.list_id FROM dnc_numbers d WHERE d.number = dnc_digits(p_e164)
          UNION ALL
          SELECT d.list_id FROM dnc_prefixes d WHERE d.prefix = ANY (dnc_prefixes_of(dnc_digits(p_e164)))) AS e
    JOIN dnc_lists l ON l.id = e.list_id
    WHERE (l.tenant_id IS NULL OR l.tenant_id = p_tenant) AND (l.campaign_id IS NULL OR l.campaign_id = p_campaign)
$$;

-- Claims and additions exclude each other: a claim holds this lock shared from before it looks at the lists until it
-- is committed, an addition holds it alone from the end of its statement until it is committed. So of a claim and an
-- addition either the claim is committed first, or it sees the addition: whoever adds, and however (I2). An addition
-- should be the last thing that its transaction does: no claim of the installation gets further until it commits.
CREATE FUNCTION dnc_lock_key() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT 6580835::bigint $$;

CREATE FUNCTION dnc_wait_for_claims() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(dnc_lock_key());
    RETURN NULL;
END $$;
CREATE TRIGGER dnc_numbers_added AFTER INSERT OR UPDATE ON dnc_numbers
    FOR EACH STATEMENT EXECUTE FUNCTION dnc_wait_for_claims();
CREATE TRIGGER dnc_prefixes_added AFTER INSERT OR UPDATE ON dnc_prefixes
    FOR EACH STATEMENT EXECUTE FUNCTION dnc_wait_for_claims();
CREATE TRIGGER dnc_lists_changed AFTER INSERT OR UPDATE ON dnc_lists
    FOR EACH STATEMENT EXECUTE FUNCTION dnc_wait_for_claims();

-- What a claim asks before its contacts: the name of a list in the campaign's scope that is older than its limit
-- (then nothing may be dialled), or null. From here on until its commit nothing is added to any list.
CREATE FUNCTION dnc_gate(p_tenant integer, p_campaign bigint) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(dnc_lock_key());
    RETURN (SELECT l.name FROM dnc_lists l
            WHERE l.as_of + make_interval(days => l.max_age_days) < now()
              AND (l.tenant_id IS NULL OR l.tenant_id = p_tenant)
              AND (l.campaign_id IS NULL OR l.campaign_id = p_campaign)
            LIMIT 1);
END $$;

-- The claim of 0002 with three changes: dnc_gate before it looks at contacts, with the refusal
--   dnc_stale           a do-not-call list that this campaign needs is older than its limit
-- dnc_bars for `barred`, and the list's name on record.
CREATE OR REPLACE FUNCTION claim_v1(
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
