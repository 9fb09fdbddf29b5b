-- The record is sealed: every event, once committed, becomes a link of its tenant's chain of hashes; and what the
-- tenant need not keep any longer is erased so that the chain still holds.

-- Ids commit out of order, so the chain follows (xid, id): once every transaction up to some xid has ended, nothing can
-- appear below it any more.
-- number: the one that was not dialled. A column, because an index on an expression of detail is of no use under
-- row-level security: ->> is not leakproof.
ALTER TABLE call_events
    ADD COLUMN xid    xid8 NOT NULL DEFAULT pg_current_xact_id(),
    ADD COLUMN number text GENERATED ALWAYS AS (CASE WHEN kind = 'not_dialed' THEN detail ->> 'number' END) STORED;
CREATE INDEX call_events_unsealed ON call_events (tenant_id, xid, id);
-- Why a number was not dialled. A row of another kind costs nothing here.
CREATE INDEX call_events_not_dialed ON call_events (tenant_id, number, id) WHERE number IS NOT NULL;
CREATE INDEX call_events_erasures ON call_events (tenant_id) WHERE kind = 'retention.erased';

-- One link per event. With || for bytes one after the other:
--   content  sha256(salt || detail), detail being the text that jsonb prints in UTF-8: members in order of the length
--            in bytes of their names, then of the bytes; ", " and ": " between; strings with the escapes that JSON
--            demands and no others; numbers as numeric prints them
--   digest   sha256(header || content), header being the text, in UTF-8,
--            id|tenant_id|campaign_id|attempt_id|at|xid|kind
--            with nothing for null, the uuid in lower case with hyphens, `at` in microseconds since 2000-01-01 UTC as
--            16 hexadecimal digits in lower case, the other numbers in decimal
--   hash     sha256(hash of the seal before || seq, 8 bytes, big-endian || digest); before the first: 32 zero bytes
-- dialerd/core/seal.py computes the same without PostgreSQL.
CREATE TABLE seals (
    tenant_id  integer NOT NULL REFERENCES tenants,
    seq        bigint NOT NULL CHECK (seq > 0),
    event_id   bigint NOT NULL UNIQUE,
    xid        xid8 NOT NULL,
    salt       bytea CHECK (octet_length(salt) = 16),          -- null: the event's detail was erased
    content    bytea CHECK (octet_length(content) = 32),       -- what is left of a detail that was erased
    digest     bytea NOT NULL CHECK (octet_length(digest) = 32),
    hash       bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (tenant_id, seq),
    CHECK ((salt IS NULL) = (content IS NOT NULL))
);

CREATE FUNCTION event_header(e call_events) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT e.id || '|' || e.tenant_id || '|' || coalesce(e.campaign_id::text, '') || '|'
        || coalesce(e.attempt_id::text, '') || '|' || encode(timestamptz_send(e.at), 'hex') || '|' || e.xid || '|'
        || e.kind
$$;

CREATE FUNCTION event_content(p_salt bytea, p_detail jsonb) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(p_salt || convert_to(p_detail::text, 'UTF8'))
$$;

-- Seals at most p_most events of all tenants; how many. One sealer at a time: a second one does nothing. To be called
-- outside a transaction block or at READ COMMITTED: the heads must be read after the lock was taken. The settings: each
-- question is answered by the end of an index, also while the tables have grown and were not analyzed yet.
CREATE FUNCTION seal_v1(p_most integer) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    -- Every transaction below this has ended. Taken before the events are looked at, so that all of theirs are seen.
    horizon  constant xid8 := pg_snapshot_xmin(pg_current_snapshot());
    sealed   integer := 0;
    t        integer;
    head     seals;
    e        call_events;
    salt     bytea;
    digest   bytea;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('dialerd.seal', 0)) THEN
        RETURN 0;
    END IF;
    FOR t IN SELECT id FROM tenants ORDER BY id LOOP
        EXIT WHEN sealed >= p_most;
        SELECT * INTO head FROM seals s WHERE s.tenant_id = t ORDER BY s.seq DESC LIMIT 1;
        IF NOT FOUND THEN
            head.seq := 0;
            head.xid := '0';
            head.event_id := 0;
            head.hash := decode(repeat('00', 32), 'hex');
        END IF;
        FOR e IN
            SELECT * FROM call_events c
            WHERE c.tenant_id = t AND (c.xid, c.id) > (head.xid, head.event_id) AND c.xid < horizon
            ORDER BY c.xid, c.id LIMIT p_most - sealed
        LOOP
            salt := uuid_send(gen_random_uuid());
            digest := sha256(convert_to(event_header(e), 'UTF8') || event_content(salt, e.detail));
            head.seq := head.seq + 1;
            head.hash := sha256(head.hash || int8send(head.seq) || digest);
            INSERT INTO seals (tenant_id, seq, event_id, xid, salt, digest, hash)
            VALUES (t, head.seq, e.id, e.xid, salt, digest, head.hash);
            sealed := sealed + 1;
        END LOOP;
    END LOOP;
    RETURN sealed;
END $$;

-- How long a tenant's record is kept. No row, or days null: for ever.
CREATE TABLE retention (
    tenant_id      integer PRIMARY KEY REFERENCES tenants,
    days           integer CHECK (days > 0),
    -- Of the pseudonyms. Whoever has it can tell whether a number is behind one: it never leaves the database.
    key            bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()),
    erased_seq     bigint NOT NULL DEFAULT 0,                    -- events up to here are erased
    attempts_until timestamptz NOT NULL DEFAULT '-infinity',     -- attempts claimed before have a pseudonym
    ran_at         timestamptz                                   -- when everything that was due had been erased
);
-- When the contacts of a campaign that is over were erased.
CREATE TABLE contacts_erased (
    campaign_id  bigint PRIMARY KEY REFERENCES campaigns ON DELETE CASCADE,
    tenant_id    integer NOT NULL,
    at           timestamptz NOT NULL DEFAULT now()
);

-- The same number has the same pseudonym within a tenant; without the key it says nothing.
CREATE FUNCTION pseudonym(p_key bytea, p_e164 text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT '~' || encode(substr(sha256(p_key || sha256(p_key || convert_to(p_e164, 'UTF8'))), 1, 16), 'hex')
$$;

-- Append-only, but for erasure: a detail may become empty, and its seal may forget the salt, while erase_events_v1 says
-- so by a setting of its transaction. This keeps statements of ours and slips of an operator's from changing the record.
-- It does not keep out who means to: any session can make the setting, and the owner can drop the triggers. The chain
-- tells of both (`dialer-admin audit verify`).
CREATE FUNCTION refuse_event_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('dialerd.erasing', true) = 'on' THEN
        IF NEW.detail = '{}' AND OLD.kind <> 'retention.erased'
           AND to_jsonb(NEW) - '{detail,number}'::text[] = to_jsonb(OLD) - '{detail,number}'::text[] THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'call_events is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE FUNCTION refuse_seal_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('dialerd.erasing', true) = 'on' THEN
        IF OLD.salt IS NOT NULL AND NEW.salt IS NULL
           AND to_jsonb(NEW) - '{salt,content}'::text[] = to_jsonb(OLD) - '{salt,content}'::text[] THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'seals is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
DROP TRIGGER call_events_append_only ON call_events;
CREATE TRIGGER call_events_append_only BEFORE UPDATE OR DELETE ON call_events
    FOR EACH ROW EXECUTE FUNCTION refuse_event_change();
CREATE TRIGGER seals_append_only BEFORE UPDATE OR DELETE ON seals
    FOR EACH ROW EXECUTE FUNCTION refuse_seal_change();
CREATE TRIGGER call_events_no_truncate BEFORE TRUNCATE ON call_events EXECUTE FUNCTION refuse_change();
CREATE TRIGGER seals_no_truncate BEFORE TRUNCATE ON seals EXECUTE FUNCTION refuse_change();

-- Erases the details of a tenant's sealed events from before p_before, in the chain's order, at most p_most of them; how
-- many it has passed, 0 when nothing is left. Each run is an event itself, which says what it covers and is not erased.
-- The first event that is younger ends it.
CREATE FUNCTION erase_events_v1(p_tenant integer, p_before timestamptz, p_most integer, p_by text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    r      retention;
    before timestamptz;
    upto   bigint;
    erased integer;
BEGIN
    SELECT * INTO r FROM retention WHERE tenant_id = p_tenant FOR UPDATE;
    IF r.days IS NULL THEN
        RAISE EXCEPTION 'tenant % keeps its record for ever', p_tenant;
    END IF;
    before := least(p_before, now() - make_interval(days => r.days));
    WITH next AS (
        SELECT s.seq, e.at FROM seals s LEFT JOIN call_events e ON e.id = s.event_id
        WHERE s.tenant_id = p_tenant AND s.seq > r.erased_seq ORDER BY s.seq LIMIT p_most
    )
    SELECT coalesce(min(seq) FILTER (WHERE at >= before) - 1, max(seq)) INTO upto FROM next;
    IF upto IS NULL OR upto <= r.erased_seq THEN
        RETURN 0;
    END IF;
    PERFORM set_config('dialerd.erasing', 'on', true);
    UPDATE seals s SET content = event_content(s.salt, e.detail), salt = NULL
    FROM call_events e
    WHERE s.tenant_id = p_tenant AND s.seq > r.erased_seq AND s.seq <= upto AND e.id = s.event_id
      AND e.kind <> 'retention.erased' AND s.salt IS NOT NULL;
    GET DIAGNOSTICS erased = ROW_COUNT;
    UPDATE call_events e SET detail = '{}' FROM seals s
    WHERE s.tenant_id = p_tenant AND s.seq > r.erased_seq AND s.seq <= upto AND e.id = s.event_id
      AND s.salt IS NULL AND e.detail <> '{}';
    PERFORM set_config('dialerd.erasing', 'off', true);
    UPDATE retention SET erased_seq = upto WHERE tenant_id = p_tenant;
    IF erased > 0 THEN
        INSERT INTO call_events (tenant_id, at, kind, detail)
        VALUES (p_tenant, clock_timestamp(), 'retention.erased', jsonb_build_object(
                    'first', r.erased_seq + 1, 'last', upto, 'events', erased, 'before', before, 'by', p_by));
    END IF;
    RETURN upto - r.erased_seq;
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['seals', 'retention', 'contacts_erased'] LOOP
        EXECUTE format('CREATE POLICY own ON %I USING ((tenant_id = (SELECT session_tenant()))'
                    || ' IS NOT FALSE)', name);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
    END LOOP;
END $$;
