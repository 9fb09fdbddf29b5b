-- The whole first schema. Words and rules: docs/design; every row belongs to a tenant.
-- Times are timestamptz; durations are integers or floats whose name ends in _seconds.

CREATE TABLE installation (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    enabled  boolean NOT NULL DEFAULT true          -- the kill switch of the whole installation
);
INSERT INTO installation DEFAULT VALUES;

CREATE TABLE tenants (
    id              integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text NOT NULL UNIQUE CHECK (name <> ''),
    enabled         boolean NOT NULL DEFAULT true,  -- the tenant's kill switch
    default_region  text NOT NULL DEFAULT 'FI' CHECK (default_region ~ '^[A-Z]{2}$'),
    balance         numeric(14, 4),                 -- null: unlimited
    price_attempt   numeric(10, 4) NOT NULL DEFAULT 0,
    price_minute    numeric(10, 4) NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tenants (name) VALUES ('default');

-- Trunks are declared in the node's configuration; the daemon copies them here at its start so that
-- the claim can count against them. `active` is the panel's switch and survives the copy.
CREATE TABLE trunks (
    name       text PRIMARY KEY,
    node       text NOT NULL,
    max_calls  integer NOT NULL CHECK (max_calls >= 0),
    active     boolean NOT NULL DEFAULT true
);

CREATE TABLE campaigns (
    id                    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id             integer NOT NULL REFERENCES tenants,
    name                  text NOT NULL CHECK (name <> ''),
    description           text NOT NULL DEFAULT '',
    state                 text NOT NULL DEFAULT 'draft'
                          CHECK (state IN ('draft', 'active', 'paused', 'stopped', 'completed')),
    dial_mode             text NOT NULL
                          CHECK (dial_mode IN ('preview', 'progressive', 'predictive', 'power')),
    pacing_ratio          double precision NOT NULL DEFAULT 3.0 CHECK (pacing_ratio BETWEEN 0 AND 10),
    queue_name            text NOT NULL CHECK (queue_name <> ''),
    trunk                 text NOT NULL CHECK (trunk <> ''),
    caller_id             text,                      -- the fallback when the pool has nothing free
    max_retries           integer NOT NULL DEFAULT 3 CHECK (max_retries BETWEEN 0 AND 100),
    retry_delay_seconds   integer NOT NULL DEFAULT 300 CHECK (retry_delay_seconds >= 0),
    max_concurrent_calls  integer NOT NULL DEFAULT 50 CHECK (max_concurrent_calls >= 0),
    ring_timeout_seconds  integer NOT NULL DEFAULT 30 CHECK (ring_timeout_seconds BETWEEN 5 AND 120),
    wrap_up_seconds       integer NOT NULL DEFAULT 15 CHECK (wrap_up_seconds BETWEEN 0 AND 3600),
    machine_detection     text NOT NULL DEFAULT 'off' CHECK (machine_detection IN ('off', 'drop')),
    started_at            timestamptz,
    completed_at          timestamptz,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, id)                           -- for the foreign key of contacts
);

-- When numbers may be called, in the number's own zone. No row: never.
CREATE TABLE campaign_windows (
    campaign_id  bigint NOT NULL REFERENCES campaigns ON DELETE CASCADE,
    weekday      smallint NOT NULL CHECK (weekday BETWEEN 1 AND 7),   -- ISO: Monday is 1
    opens        time NOT NULL,
    closes       time NOT NULL CHECK (closes > opens),                -- 24:00 is a legal time
    PRIMARY KEY (campaign_id, weekday, opens)
);

-- Each foreign key costs a long list some 4 µs a row: one says the same as two where a parent already agrees.
CREATE TABLE contacts (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id     integer NOT NULL,
    campaign_id   bigint NOT NULL,
    external_id   text,
    name          text NOT NULL DEFAULT '',
    priority      integer NOT NULL DEFAULT 0,
    custom        jsonb NOT NULL DEFAULT '{}',
    state         text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'claimed', 'done', 'suppressed')),
    attempts      integer NOT NULL DEFAULT 0,
    position      smallint NOT NULL DEFAULT 0,       -- which of its numbers comes next
    next_at       timestamptz NOT NULL DEFAULT '-infinity',
    last_outcome  text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaigns (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX contacts_queue ON contacts (campaign_id, priority DESC, next_at, id) WHERE state = 'queued';
CREATE INDEX contacts_campaign_state ON contacts (campaign_id, state);

CREATE TABLE numbers (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    integer NOT NULL,                   -- the contact's
    campaign_id  bigint NOT NULL,                    -- the contact's
    contact_id   bigint NOT NULL REFERENCES contacts ON DELETE CASCADE,
    position     smallint NOT NULL DEFAULT 0,
    e164         text NOT NULL CHECK (e164 ~ '^\+[1-9][0-9]{5,14}$'),
    zones        text[] NOT NULL,                    -- IANA names; empty: unknown, so never dialled
    UNIQUE (contact_id, position),
    UNIQUE (campaign_id, e164)
);
CREATE INDEX numbers_e164 ON numbers (tenant_id, e164);

CREATE TABLE agents (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    integer NOT NULL REFERENCES tenants,
    name         text NOT NULL CHECK (name ~ '^[A-Za-z0-9_.-]{1,64}$'),
    full_name    text NOT NULL DEFAULT '',
    endpoint     text NOT NULL CHECK (endpoint ~ '^[A-Za-z0-9_.-]{1,64}$'),  -- a PJSIP endpoint's name
    active       boolean NOT NULL DEFAULT true,
    node         text,                               -- where the leg lives; null: nowhere
    channel_id   text,                               -- the standing leg
    bridge_id    text,                               -- the agent's own bridge
    state        text NOT NULL DEFAULT 'offline'
                 CHECK (state IN ('offline', 'connecting', 'ready', 'reserved', 'on_call', 'wrap_up', 'paused')),
    state_at     timestamptz NOT NULL DEFAULT now(),
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name),
    UNIQUE (endpoint)
);

CREATE TABLE agent_queues (
    agent_id    bigint NOT NULL REFERENCES agents ON DELETE CASCADE,
    queue_name  text NOT NULL CHECK (queue_name <> ''),
    PRIMARY KEY (agent_id, queue_name)
);

-- One row per stay in a state: occupancy and every agent report come from here.
CREATE TABLE agent_states (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   integer NOT NULL REFERENCES tenants,
    agent_id    bigint NOT NULL REFERENCES agents ON DELETE CASCADE,
    state       text NOT NULL,
    reason      text NOT NULL DEFAULT '',
    attempt_id  uuid,
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz
);
CREATE INDEX agent_states_agent ON agent_states (agent_id, started_at);
CREATE UNIQUE INDEX agent_states_open ON agent_states (agent_id) WHERE ended_at IS NULL;

CREATE TABLE caller_ids (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id     integer NOT NULL REFERENCES tenants,
    campaign_id   bigint REFERENCES campaigns ON DELETE CASCADE,   -- null: the tenant's pool
    e164          text NOT NULL CHECK (e164 ~ '^\+[1-9][0-9]{5,14}$'),
    carrier       text NOT NULL DEFAULT '',
    area_code     text NOT NULL DEFAULT '',
    daily_limit   integer NOT NULL DEFAULT 1000 CHECK (daily_limit >= 0),
    hourly_limit  integer NOT NULL DEFAULT 100 CHECK (hourly_limit >= 0),
    meta          jsonb NOT NULL DEFAULT '{}',
    active        boolean NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (tenant_id, campaign_id, e164)
);

CREATE TABLE attempts (
    id             uuid PRIMARY KEY,                  -- = the channel's id, everywhere (rule 2)
    tenant_id      integer NOT NULL REFERENCES tenants,
    campaign_id    bigint NOT NULL REFERENCES campaigns,
    contact_id     bigint NOT NULL REFERENCES contacts,
    number_id      bigint NOT NULL REFERENCES numbers,
    e164           text NOT NULL,
    node           text NOT NULL,
    trunk          text NOT NULL,
    agent_id       bigint REFERENCES agents,
    caller_id      text,
    state          text NOT NULL DEFAULT 'claimed'
                   CHECK (state IN ('claimed', 'dialing', 'ringing', 'answered', 'connected', 'unknown', 'ended')),
    outcome        text,
    cause          smallint,                          -- Q.850
    dial_status    text,
    detail         text,                              -- words for the operator
    machine        text,                              -- AMD's verdict as Asterisk gave it
    claimed_at     timestamptz NOT NULL DEFAULT now(),
    dialed_at      timestamptz,
    ringing_at     timestamptz,
    answered_at    timestamptz,
    connected_at   timestamptz,
    ended_at       timestamptz,
    CHECK ((state = 'ended') = (outcome IS NOT NULL)),
    CHECK ((state = 'ended') = (ended_at IS NOT NULL))
);
-- The invariants of the claim, kept by the database itself: one live attempt per contact and per number.
CREATE UNIQUE INDEX attempts_live_contact ON attempts (contact_id) WHERE state <> 'ended';
CREATE UNIQUE INDEX attempts_live_number ON attempts (tenant_id, e164) WHERE state <> 'ended';
CREATE INDEX attempts_live_trunk ON attempts (trunk, campaign_id) WHERE state <> 'ended';
CREATE INDEX attempts_campaign ON attempts (campaign_id, claimed_at);
CREATE INDEX attempts_number ON attempts (tenant_id, e164, claimed_at);

-- Append-only: what happened, in the order in which the daemon learned it.
CREATE TABLE call_events (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    integer NOT NULL REFERENCES tenants,
    campaign_id  bigint,
    attempt_id   uuid,                                -- null: a decision not to dial
    at           timestamptz NOT NULL,
    kind         text NOT NULL,
    detail       jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX call_events_attempt ON call_events (attempt_id, id) WHERE attempt_id IS NOT NULL;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER call_events_append_only BEFORE UPDATE OR DELETE ON call_events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE consents (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   integer NOT NULL REFERENCES tenants,
    e164        text NOT NULL CHECK (e164 ~ '^\+[1-9][0-9]{5,14}$'),
    kind        text NOT NULL CHECK (kind IN ('opt_in', 'opt_out')),
    source      text NOT NULL,
    attempt_id  uuid,
    at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX consents_number ON consents (tenant_id, e164, at);

CREATE TABLE inputs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   integer NOT NULL REFERENCES tenants,
    attempt_id  uuid NOT NULL,
    digits      text NOT NULL,
    node_name   text NOT NULL DEFAULT '',             -- where in the flow
    at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX inputs_attempt ON inputs (attempt_id, at);

-- Daemons LISTEN: a change is acted on when it is made, not at the next poll.
CREATE FUNCTION notify_campaign() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('dialerd', TG_TABLE_NAME || ':' || COALESCE(NEW.id, OLD.id));
    RETURN NULL;
END $$;
CREATE TRIGGER campaigns_notify AFTER INSERT OR UPDATE OR DELETE ON campaigns
    FOR EACH ROW EXECUTE FUNCTION notify_campaign();
CREATE TRIGGER agents_notify AFTER INSERT OR DELETE OR UPDATE OF active, endpoint ON agents
    FOR EACH ROW EXECUTE FUNCTION notify_campaign();
CREATE TRIGGER caller_ids_notify AFTER INSERT OR UPDATE OR DELETE ON caller_ids
    FOR EACH ROW EXECUTE FUNCTION notify_campaign();
-- Not for the balance: each paid claim changes it, and nobody need read anything again for that.
CREATE TRIGGER tenants_notify AFTER UPDATE OF name, enabled, default_region ON tenants
    FOR EACH ROW EXECUTE FUNCTION notify_campaign();
