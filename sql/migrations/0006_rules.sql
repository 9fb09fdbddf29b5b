-- Who comes next, and when again: zone sets, the states of a queue, several numbers of a contact, retry rules,
-- limits, callbacks. What a campaign says of these is read and checked by dialerd/core; here it is kept.

-- Each combination of zones in which a number may lie, once. 0: no zone is known, so never dialled.
CREATE TABLE zone_sets (
    id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    zones  text[] NOT NULL UNIQUE
);
INSERT INTO zone_sets (id, zones) OVERRIDING SYSTEM VALUE VALUES (0, '{}');

-- The id of a combination; a new one is made.
CREATE FUNCTION zone_set_of(p_zones text[]) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO zone_sets (zones) VALUES (p_zones) ON CONFLICT DO NOTHING;
    RETURN (SELECT id FROM zone_sets WHERE zones = p_zones);
END $$;

-- Where contacts came from.
CREATE TABLE lists (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id      integer NOT NULL REFERENCES tenants,
    campaign_id    bigint NOT NULL REFERENCES campaigns ON DELETE CASCADE,
    name           text NOT NULL CHECK (name <> ''),
    contacts       integer NOT NULL DEFAULT 0,
    first_contact  bigint,                           -- no contact of the list has a lower id
    imported_at    timestamptz NOT NULL DEFAULT now(),
    imported_by    text NOT NULL
);
CREATE INDEX lists_campaign ON lists (campaign_id);

ALTER TABLE campaigns
    ADD COLUMN retry_rules               jsonb NOT NULL DEFAULT '{}',        -- outcome → rule (core.retry)
    ADD COLUMN limits                    jsonb NOT NULL DEFAULT '[]',        -- calls to one number (core.limits)
    ADD COLUMN abandon_lockout_seconds   integer NOT NULL DEFAULT 259200 CHECK (abandon_lockout_seconds >= 0),
    ADD COLUMN callback_patience_seconds integer NOT NULL DEFAULT 1800 CHECK (callback_patience_seconds >= 0),
    ADD COLUMN filter                    text NOT NULL DEFAULT '',           -- core.filters
    ADD COLUMN order_by                  text NOT NULL DEFAULT 'oldest'
        CHECK (order_by IN ('oldest', 'fewest_attempts', 'last_result', 'random')),
    ADD COLUMN version                   integer NOT NULL DEFAULT 1;         -- grows with every change of a setting

CREATE FUNCTION count_campaign() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    besides constant text[] := '{state,started_at,completed_at,updated_at,version}';
BEGIN
    IF to_jsonb(NEW) - besides <> to_jsonb(OLD) - besides THEN
        NEW.version := OLD.version + 1;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER campaigns_version BEFORE UPDATE ON campaigns FOR EACH ROW EXECUTE FUNCTION count_campaign();

-- queued: due, its zone permitting. waiting: until next_at; then it is promoted. held: the campaign's filter leaves it
-- out. claimed: a call of it lives. done, suppressed: over.
ALTER TABLE contacts
    DROP CONSTRAINT contacts_state_check,
    ADD CONSTRAINT contacts_state_check
        CHECK (state IN ('queued', 'waiting', 'held', 'claimed', 'done', 'suppressed')),
    ADD COLUMN list_id            bigint,
    ADD COLUMN zone_set           integer NOT NULL DEFAULT 0,    -- of the number that comes next
    ADD COLUMN rank               bigint NOT NULL DEFAULT 0,     -- lower comes first: contact_rank()
    ADD COLUMN tries              jsonb NOT NULL DEFAULT '{}',   -- outcome → how often, since the last reset
    ADD COLUMN callback_at        timestamptz,                   -- agreed with the person
    ADD COLUMN callback_agent_id  bigint,                        -- null: anyone
    ADD COLUMN last_disposition   text,
    ADD COLUMN last_message       text,                          -- what an agent wrote of the last call
    ADD COLUMN agent_id           bigint;                        -- whose contact it is

-- Numbers go with their contact by a trigger: a foreign key would be asked for each row of an import, by a plan that was
-- made while the table was empty (with a second index on contacts that ends in id it took minutes).
ALTER TABLE numbers
    DROP CONSTRAINT numbers_contact_id_fkey,
    ADD COLUMN zone_set  integer NOT NULL DEFAULT 0,
    ADD COLUMN dead      text;                                   -- why this number is not dialled in this campaign
UPDATE numbers SET zone_set = zone_set_of(zones) WHERE zones <> '{}';
UPDATE contacts c SET zone_set = n.zone_set FROM numbers n WHERE n.contact_id = c.id AND n.position = c.position;
ALTER TABLE numbers DROP COLUMN zones;

CREATE FUNCTION numbers_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM numbers n USING gone WHERE n.contact_id = gone.id;
    RETURN NULL;
END $$;
CREATE TRIGGER contacts_gone AFTER DELETE ON contacts
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION numbers_go();

-- One index does for both questions: is it in this campaign, and where is this number at all.
ALTER TABLE numbers
    DROP CONSTRAINT numbers_campaign_id_e164_key,
    ADD CONSTRAINT numbers_e164_campaign_id_key UNIQUE (e164, campaign_id);
DROP INDEX numbers_e164;

DROP INDEX contacts_queue;
CREATE INDEX contacts_queue ON contacts (campaign_id, zone_set, rank, id) INCLUDE (tenant_id)  -- row-level security's
    WHERE state = 'queued' AND callback_agent_id IS NULL;
CREATE INDEX contacts_personal ON contacts (campaign_id, callback_agent_id, callback_at)
    WHERE state = 'queued' AND callback_agent_id IS NOT NULL;
CREATE INDEX contacts_waiting ON contacts (campaign_id, next_at) WHERE state = 'waiting';
CREATE INDEX contacts_callbacks ON contacts (tenant_id, callback_at) WHERE callback_at IS NOT NULL;
UPDATE contacts SET state = 'waiting' WHERE state = 'queued' AND next_at > now();

-- The record outlives the list: no foreign keys to contacts and numbers, which may be deleted. Tenant and campaign come
-- from rows that the claim has locked; their keys would cost a claim of 100 two milliseconds. A campaign stays as long
-- as there are attempts of it.
ALTER TABLE attempts
    DROP CONSTRAINT attempts_contact_id_fkey,
    DROP CONSTRAINT attempts_number_id_fkey,
    DROP CONSTRAINT attempts_tenant_id_fkey,
    DROP CONSTRAINT attempts_campaign_id_fkey,
    ADD COLUMN list_id      bigint,
    ADD COLUMN batch_id     uuid,                                -- handed to an outside dialer with these others
    ADD COLUMN cost         numeric(14, 4) NOT NULL DEFAULT 0,   -- what the tenant's balance paid for it
    ADD COLUMN disposition  text,                                -- what the agent said of it
    ADD COLUMN message      text;                                -- and wrote

ALTER TABLE call_events DROP CONSTRAINT call_events_tenant_id_fkey;

CREATE FUNCTION refuse_forgetting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM attempts a WHERE a.campaign_id = OLD.id) THEN
        RAISE EXCEPTION 'campaign % has attempts on record', OLD.id USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER campaigns_on_record BEFORE DELETE ON campaigns FOR EACH ROW EXECUTE FUNCTION refuse_forgetting();

-- By ended_at, which changes once, and not by state, which changes with every step: then the steps between touch no
-- index. An attempt has ended when, and only when, ended_at is there.
DROP INDEX attempts_live_contact, attempts_live_number, attempts_live_trunk;
CREATE UNIQUE INDEX attempts_live_contact ON attempts (contact_id) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX attempts_live_number ON attempts (tenant_id, e164) WHERE ended_at IS NULL;
CREATE INDEX attempts_live_trunk ON attempts (trunk, campaign_id) WHERE ended_at IS NULL;
-- Room for those steps on the page; and what is over leaves the indexes before the claim has to walk past too much of it.
ALTER TABLE attempts SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE contacts SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

ALTER TABLE agents ADD COLUMN phone text;                        -- where outside dialers reach them

-- tenant_id: whose line it is; null: everybody's. outside: the dialer that fetches its numbers in batches.
ALTER TABLE trunks
    ADD COLUMN tenant_id  integer REFERENCES tenants,
    ADD COLUMN outside    boolean NOT NULL DEFAULT false;
INSERT INTO trunks (name, node, max_calls, outside) VALUES ('batch', 'batch', 1000000, true);

-- Who comes first: callbacks that are due, then the higher priority, then what the campaign's order_by says, then the
-- lower id. Bits: priority (±1,000,000) above 2^40, the rest below.
CREATE FUNCTION contact_rank(
    p_order text, p_priority integer, p_attempts integer, p_outcome text, p_callback boolean, p_id bigint
) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN p_callback THEN -(1::bigint << 61) ELSE 0 END - p_priority * (1::bigint << 40)
         + CASE p_order
               WHEN 'fewest_attempts' THEN p_attempts::bigint
               WHEN 'last_result' THEN
                   coalesce(array_position('{busy,no_answer,machine,hung_up,failed,rejected}'::text[], p_outcome),
                            CASE WHEN p_outcome IS NULL THEN 0 ELSE 9 END)::bigint
               WHEN 'random' THEN hashint8(p_id)::bigint + (1::bigint << 31)
               ELSE 0
           END
$$;

-- The number of a contact that comes after the one at p_position: round and round those that may be dialled.
CREATE FUNCTION number_after(p_contact bigint, p_position integer)
RETURNS TABLE (next_position smallint, next_zone_set integer) LANGUAGE sql STABLE AS $$
    SELECT n.position, n.zone_set FROM numbers n
    WHERE n.contact_id = p_contact AND n.dead IS NULL AND n.zone_set <> 0
    ORDER BY n.position <= p_position, n.position LIMIT 1
$$;

-- Why a number may not be called again yet, and until when; no row: it may. `until` infinity: never in this campaign.
-- p_person: all numbers of the same contact.
-- p_limits: [{"rule", "calls" (at least 1), "seconds" (null: for ever), "scope": "campaign" or "tenant",
--             "whom": "number" or "person"}]
-- p_lockouts: [{"rule", "after": [outcomes and dispositions], "seconds" (null: for ever), "scope", "whom"}]
-- An attempt counts from its claim, unless it is proved that it never left.
-- In plpgsql, whose plans outlive the call: as SQL it would be planned again by every claim.
CREATE FUNCTION number_held(
    p_tenant integer, p_campaign bigint, p_e164 text, p_person text[], p_limits jsonb, p_lockouts jsonb
) RETURNS TABLE (rule text, until timestamptz) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT h.rule, h.until FROM (
        SELECT l.rule, coalesce(nth.claimed_at + make_interval(secs => l.seconds), 'infinity') AS until
        FROM jsonb_to_recordset(p_limits) AS l (
            rule text, calls integer, seconds double precision, scope text, whom text),
        LATERAL (
            SELECT a.claimed_at FROM attempts a
            WHERE a.tenant_id = p_tenant AND a.outcome IS DISTINCT FROM 'not_sent'
              AND a.e164 = ANY (CASE l.whom WHEN 'person' THEN p_person ELSE ARRAY[p_e164] END)
              AND (l.scope = 'tenant' OR a.campaign_id = p_campaign)
            ORDER BY a.claimed_at DESC OFFSET l.calls - 1 LIMIT 1
        ) AS nth
        UNION ALL
        SELECT l.rule, coalesce(last.at + make_interval(secs => l.seconds), 'infinity')
        FROM jsonb_to_recordset(p_lockouts) AS l (
            rule text, after jsonb, seconds double precision, scope text, whom text),
        LATERAL (
            SELECT coalesce(a.ended_at, a.claimed_at) AS at FROM attempts a
            WHERE a.tenant_id = p_tenant AND (l.after ? a.outcome OR l.after ? a.disposition)
              AND a.e164 = ANY (CASE l.whom WHEN 'person' THEN p_person ELSE ARRAY[p_e164] END)
              AND (l.scope = 'tenant' OR a.campaign_id = p_campaign)
            ORDER BY a.claimed_at DESC LIMIT 1
        ) AS last
    ) AS h
    WHERE h.until > now()
    ORDER BY h.until DESC LIMIT 1;
END $$;

-- The test by digits that are known to be a number's: it looks at the text once, not fifteen times. The one by the text
-- asks this one, so that who is barred is written once.
CREATE FUNCTION dnc_bars(p_tenant integer, p_campaign bigint, p_digits bigint) RETURNS SETOF text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT l.name
    FROM (SELECT d.list_id FROM dnc_numbers d WHERE d.number = p_digits
          UNION ALL
          SELECT d.list_id FROM dnc_prefixes d WHERE d.prefix = ANY (dnc_prefixes_of(p_digits))) AS e
    JOIN dnc_lists l ON l.id = e.list_id
    WHERE (l.tenant_id IS NULL OR l.tenant_id = p_tenant) AND (l.campaign_id IS NULL OR l.campaign_id = p_campaign)
$$;
CREATE OR REPLACE FUNCTION dnc_bars(p_tenant integer, p_campaign bigint, p_e164 text) RETURNS SETOF text
LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT * FROM dnc_bars(p_tenant, p_campaign, dnc_digits(p_e164)) $$;
