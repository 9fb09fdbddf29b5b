-- Caller-ID selection as a service: for our own campaigns, and for any dialplan that asks.

ALTER TABLE caller_ids
    -- A number that is probably labelled as spam rests until then, and comes back by itself.
    ADD COLUMN resting_until  timestamptz,
    ADD COLUMN resting_since  timestamptz,                -- health looks at what came after the last rest only
    ADD COLUMN rests          integer NOT NULL DEFAULT 0, -- how often it has rested: each time longer
    ADD COLUMN health         jsonb NOT NULL DEFAULT '{}';-- what was found last, and why (core.callerid_health)

ALTER TABLE campaigns
    -- Numbers near the destination first; off: least recently used alone.
    ADD COLUMN local_presence    boolean NOT NULL DEFAULT true,
    -- Whoever was called before sees the same number again, when it is free.
    ADD COLUMN sticky_caller_id  boolean NOT NULL DEFAULT false;

-- Every request for a caller ID, whichever door it came in by, and what was answered. Uses and reservations are brought
-- back from here when Redis has lost them; health is read from here. Numbers of foreign calls are in here as well.
CREATE TABLE caller_id_requests (
    id            bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id     integer REFERENCES tenants,         -- null: whose it would be cannot be told, and it was refused
    at            timestamptz NOT NULL,
    node          text NOT NULL,
    door          text NOT NULL CHECK (door IN ('daemon', 'fastagi', 'http')),
    peer          text NOT NULL DEFAULT '',           -- the address that asked
    campaign_id   bigint,                             -- one of ours; null: another system's
    campaign      text NOT NULL DEFAULT '',           -- as it was asked for
    agent         text NOT NULL DEFAULT '',
    holder        text NOT NULL,                      -- the call; an attempt's id, or node/foreign id
    to_e164       text NOT NULL DEFAULT '',           -- '': what was asked for is no number that may be dialled
    status        text NOT NULL CHECK (status IN ('OK', 'FALLBACK', 'NONE')),
    caller_id_id  bigint,                             -- of the pool; no foreign key: the log outlives the number
    caller_id     text,
    reasons       jsonb NOT NULL DEFAULT '{}',
    -- The same call had asked before and got the same answer: no use of its own, and no release.
    again         boolean NOT NULL DEFAULT false,
    -- What the release said of the call. Null: it has not come (yet).
    released_at   timestamptz,
    result        text CHECK (result IN ('answered', 'no_answer', 'busy', 'rejected', 'failed', 'unknown')),
    talk_seconds  real,
    PRIMARY KEY (at, id)
);
CREATE INDEX caller_id_requests_uses ON caller_id_requests (caller_id_id, at) WHERE status = 'OK' AND NOT again;
CREATE INDEX caller_id_requests_holder ON caller_id_requests (holder, at)
    WHERE status = 'OK' AND NOT again AND result IS NULL;
CREATE INDEX caller_id_requests_to ON caller_id_requests (tenant_id, to_e164, at DESC) WHERE status = 'OK';
CREATE INDEX caller_id_requests_recent ON caller_id_requests (tenant_id, at DESC);

-- What is nobody's is for 'all' only.
CREATE POLICY own ON caller_id_requests USING ((coalesce(tenant_id, -1) = (SELECT session_tenant())) IS NOT FALSE);
ALTER TABLE caller_id_requests ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

-- Today's uses before there was a log, so that none is forgotten when Redis is.
INSERT INTO caller_id_requests
    (tenant_id, at, node, door, campaign_id, campaign, holder, to_e164, status, caller_id_id, caller_id, released_at)
SELECT a.tenant_id, a.claimed_at, a.node, 'daemon', a.campaign_id, a.campaign_id::text, a.id::text, a.e164, 'OK', c.id,
       c.e164, a.ended_at
FROM campaigns k
JOIN attempts a ON a.campaign_id = k.id AND a.claimed_at >= date_trunc('day', now(), 'UTC') - interval '1 hour'
JOIN caller_ids c ON c.tenant_id = a.tenant_id AND c.e164 = a.caller_id
WHERE c.campaign_id = a.campaign_id
   OR c.campaign_id IS NULL AND NOT EXISTS (
        SELECT FROM caller_ids own WHERE own.tenant_id = a.tenant_id AND own.campaign_id = a.campaign_id);

-- A tenant more or less is learned as well: whose calls an unknown campaign's are depends on it.
DROP TRIGGER tenants_notify ON tenants;
CREATE TRIGGER tenants_notify AFTER INSERT OR DELETE OR UPDATE OF name, enabled, default_region, max_calls ON tenants
    FOR EACH ROW EXECUTE FUNCTION notify_campaign();

-- Health is judged every few minutes and changes nobody's choice; everything else does, and daemons read it again.
DROP TRIGGER caller_ids_notify ON caller_ids;
CREATE TRIGGER caller_ids_notify AFTER INSERT OR DELETE OR UPDATE OF tenant_id, campaign_id, e164, carrier, area_code,
    daily_limit, hourly_limit, meta, active, resting_until ON caller_ids
    FOR EACH ROW EXECUTE FUNCTION notify_campaign();
