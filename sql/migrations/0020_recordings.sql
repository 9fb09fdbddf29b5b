-- Recordings: which calls are recorded, and what became of each recording.

ALTER TABLE campaigns
    ADD COLUMN recording               text NOT NULL DEFAULT 'never'
                                       CHECK (recording IN ('never', 'always', 'demand', 'share')),
    ADD COLUMN recording_share         double precision NOT NULL DEFAULT 0.1 CHECK (recording_share BETWEEN 0 AND 1),
    ADD COLUMN recording_announcement  text CHECK (recording_announcement ~ '^[A-Za-z0-9_][A-Za-z0-9_/-]{0,127}$'),
    ADD COLUMN recording_days          integer CHECK (recording_days BETWEEN 1 AND 36500);   -- null: the tenant's

-- How long recordings are kept where their campaign does not say; null: as long as the record (retention), and where
-- that is kept for ever, for ever.
ALTER TABLE tenants ADD COLUMN recording_days integer CHECK (recording_days BETWEEN 1 AND 36500);

CREATE TABLE recordings (
    name          text PRIMARY KEY                     -- core.recording: attempt and a random number
                  CHECK (name ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9a-f]{16}$'),
    tenant_id     integer NOT NULL REFERENCES tenants,
    campaign_id   bigint NOT NULL,
    attempt_id    uuid NOT NULL,
    node          text NOT NULL,                       -- whose Asterisk recorded it, and whose folder holds it
    why           text NOT NULL CHECK (why IN ('always', 'share', 'demand')),
    state         text NOT NULL DEFAULT 'recording'
                  CHECK (state IN ('recording', 'stored', 'lost', 'erased')),
    begun_at      timestamptz NOT NULL,
    announced     boolean NOT NULL DEFAULT false,      -- both sides were told before it began
    place         text CHECK (place IN ('folder', 's3')),
    key           text,                                -- where in that place
    bytes         bigint,
    seconds       double precision,
    sha256        text CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    stored_at     timestamptz,
    erased_at     timestamptz,
    erased_by     text,                                -- dialerd: its days were over
    FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaigns (tenant_id, id),
    CHECK (state <> 'stored' OR num_nulls(place, key, bytes, seconds, sha256, stored_at) = 0),
    CHECK ((state = 'erased') = (erased_at IS NOT NULL))
);
CREATE INDEX recordings_attempt ON recordings (attempt_id);
CREATE INDEX recordings_campaign ON recordings (tenant_id, campaign_id, begun_at DESC);
CREATE INDEX recordings_open ON recordings (node) WHERE state = 'recording';
CREATE INDEX recordings_kept ON recordings (node, begun_at) WHERE state = 'stored';

CREATE POLICY own ON recordings USING ((tenant_id = (SELECT session_tenant())) IS NOT FALSE);
ALTER TABLE recordings ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
