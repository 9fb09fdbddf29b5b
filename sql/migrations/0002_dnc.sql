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
