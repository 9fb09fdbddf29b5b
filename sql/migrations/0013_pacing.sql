-- Predictive and power pacing: what a campaign and a tenant say about it, what is read for it, and what it decided.

-- pacing_ratio, as the mode means it: predictive, at most so many lines for each agent at work; power, so many for each
-- free one; the others do not use it (core.campaign).
ALTER TABLE campaigns
    -- Dials one call at a time, and rests so long after each one; null: as many as pacing says.
    ADD COLUMN serial_interval_seconds  double precision CHECK (serial_interval_seconds BETWEEN 0 AND 86400),
    -- Its share of agents and trunks that several campaigns want, beside the others' weights.
    ADD COLUMN weight                   integer NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000);

-- Calls of a tenant at a time, all its campaigns and trunks together; null: no limit. An outside dialer's are its own.
ALTER TABLE tenants ADD COLUMN max_calls integer CHECK (max_calls >= 0);
DROP TRIGGER tenants_notify ON tenants;
CREATE TRIGGER tenants_notify AFTER UPDATE OF name, enabled, default_region, max_calls ON tenants
    FOR EACH ROW EXECUTE FUNCTION notify_campaign();

-- The live answers of our own lines (core.causes.LIVE_ANSWERS) by when they were answered: the budget of abandoned calls
-- is counted from this index alone, whatever the campaign has behind it. tenant_id is in it for the row-level security.
CREATE INDEX attempts_answers ON attempts (campaign_id, answered_at) INCLUDE (tenant_id, outcome)
    WHERE outcome IN ('connected', 'abandoned', 'hung_up') AND batch_id IS NULL;

-- What decisions were made from: the curves that a campaign had learned by then (pacing.kept). `at`: when they were last
-- in use, to within an hour.
CREATE TABLE pacing_models (
    tenant_id    integer NOT NULL,
    campaign_id  bigint NOT NULL,
    digest       text NOT NULL,                       -- of the curves
    curves       jsonb NOT NULL,
    at           timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, campaign_id, digest),
    FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaigns (tenant_id, id) ON DELETE CASCADE
);

-- What pacing decided and from what, at most once a second of a campaign: enough to decide the same again. No foreign
-- key to the models: both go when they are old.
CREATE TABLE pacing_decisions (
    tenant_id      integer NOT NULL,
    campaign_id    bigint NOT NULL,
    at             timestamptz NOT NULL,
    node           text NOT NULL,
    digest         text,                              -- of the model; null: made without one
    grace_seconds  double precision NOT NULL,         -- how long an answered call may wait for an agent
    snapshot       jsonb NOT NULL,
    lines          integer NOT NULL,
    reason         text NOT NULL,
    PRIMARY KEY (tenant_id, campaign_id, at, node),
    FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaigns (tenant_id, id) ON DELETE CASCADE
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['pacing_models', 'pacing_decisions'] LOOP
        EXECUTE format('CREATE POLICY own ON %I USING ((tenant_id = (SELECT session_tenant()))'
                    || ' IS NOT FALSE)', name);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
    END LOOP;
END $$;
