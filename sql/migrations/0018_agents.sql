-- Agents: what they log in with, what they say of calls, and contacts that are held for one of them to look at.

ALTER TABLE agents
    ADD COLUMN login_number  text UNIQUE CHECK (login_number ~ '^[0-9]{2,12}$'),  -- typed at the login extension
    ADD COLUMN pin_hash      text,                    -- core.pin; null: cannot log in by phone or page
    ADD COLUMN phone_trunk   text CHECK (phone_trunk <> '');  -- the phone is called at `phone` over this trunk; null: at
                                                              -- its PJSIP endpoint
DROP TRIGGER agents_notify ON agents;
CREATE TRIGGER agents_notify
    AFTER INSERT OR DELETE OR UPDATE OF name, active, endpoint, phone, phone_trunk, login_number, pin_hash ON agents
    FOR EACH ROW EXECUTE FUNCTION notify_campaign();

ALTER TABLE campaigns
    ADD COLUMN script               text NOT NULL DEFAULT '',     -- what the agent reads, as plain text
    ADD COLUMN preview_seconds      integer NOT NULL DEFAULT 120 CHECK (preview_seconds BETWEEN 10 AND 3600),
    ADD COLUMN default_disposition  text NOT NULL DEFAULT 'none'  -- what a call is given of which nothing is said
                                    CHECK (default_disposition ~ '^[a-z][a-z0-9_]{0,31}$');

-- What agents may say of a call. A campaign that has any of its own has these and no others; else the tenant's hold
-- (campaign_id null), else those of core.disposition.
CREATE TABLE dispositions (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    integer NOT NULL REFERENCES tenants,
    campaign_id  bigint,
    code         text NOT NULL CHECK (code ~ '^[a-z][a-z0-9_]{0,31}$'),
    label        text NOT NULL CHECK (label <> ''),
    meaning      text NOT NULL CHECK (meaning IN ('sale', 'refusal', 'callback', 'dnc', 'wrong_number', 'machine',
                                                  'no_interest', 'other')),
    key          smallint CHECK (key BETWEEN 1 AND 9),            -- on the phone and on the page; null: none
    active       boolean NOT NULL DEFAULT true,
    FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaigns (tenant_id, id) ON DELETE CASCADE,
    UNIQUE NULLS NOT DISTINCT (tenant_id, campaign_id, code)
);
CREATE UNIQUE INDEX dispositions_key ON dispositions (tenant_id, campaign_id, key) NULLS NOT DISTINCT
    WHERE active AND key IS NOT NULL;

-- Lockouts follow upon meanings, so what a code means is a part of what allows calls.
CREATE FUNCTION count_dispositions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tenants SET schedule_version = schedule_version + 1 WHERE id IN (SELECT tenant_id FROM changed);
    RETURN NULL;
END $$;
CREATE TRIGGER dispositions_added AFTER INSERT ON dispositions
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_dispositions();
CREATE TRIGGER dispositions_changed AFTER UPDATE ON dispositions
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_dispositions();
CREATE TRIGGER dispositions_removed AFTER DELETE ON dispositions
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_dispositions();

-- A contact that an agent looks at before the call. It waits until then by its own next_at: a hold that nobody ends
-- ends itself, whatever becomes of the daemon. One at a time for an agent.
CREATE TABLE previews (
    contact_id   bigint PRIMARY KEY,
    tenant_id    integer NOT NULL,
    campaign_id  bigint NOT NULL,
    agent_id     bigint NOT NULL UNIQUE REFERENCES agents ON DELETE CASCADE,
    until        timestamptz NOT NULL,
    FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaigns (tenant_id, id) ON DELETE CASCADE
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['dispositions', 'previews'] LOOP
        EXECUTE format('CREATE POLICY own ON %I USING ((tenant_id = (SELECT session_tenant()))'
                    || ' IS NOT FALSE)', name);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
    END LOOP;
END $$;

-- What store.consents.opt_out does, as a part of the record's transaction, which holds dnc_lock_key() already.
CREATE FUNCTION opt_out_v1(p_tenant integer, p_e164 text, p_source text, p_attempt uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    list  integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('dialerd.consent:' || p_e164, p_tenant));
    INSERT INTO consents (tenant_id, e164, kind, source, attempt_id, at)
    VALUES (p_tenant, p_e164, 'opt_out', p_source, p_attempt, clock_timestamp());
    INSERT INTO dnc_lists (tenant_id, name, kind) VALUES (p_tenant, 'opt-outs', 'own') ON CONFLICT DO NOTHING;
    SELECT id INTO list FROM dnc_lists WHERE tenant_id = p_tenant AND campaign_id IS NULL AND name = 'opt-outs';
    INSERT INTO dnc_numbers (list_id, number, source) VALUES (list, substr(p_e164, 2)::bigint, p_source)
    ON CONFLICT DO NOTHING;
END $$;

-- What an agent said of an attempt, once: {attempt_id, tenant_id, campaign_id, at, by, code, meaning, message,
--   agent_id, contact: "keep", "done", "waiting" or "suppressed", next_at, number: "same", "next" or "dead", callback}
-- contact: what becomes of it; keep: as the end of the call has it. next_at: until when it waits. number: whose turn it
-- is then, as in record_v2; without another one the contact of a dead number is done. callback: whether next_at was
-- agreed with the person, and agent_id is who calls back.
CREATE FUNCTION dispose_v1(p jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    a              attempts;
    q              contacts;
    other_position smallint;
    other_zone_set integer;
BEGIN
    UPDATE attempts SET disposition = p ->> 'code', message = coalesce(p ->> 'message', message)
    WHERE id = (p ->> 'attempt_id')::uuid AND disposition IS NULL
    RETURNING * INTO a;
    IF NOT FOUND THEN
        RETURN;                                   -- said already
    END IF;
    INSERT INTO call_events (tenant_id, campaign_id, attempt_id, at, kind, detail)
    VALUES (a.tenant_id, a.campaign_id, a.id, (p ->> 'at')::timestamptz, 'disposed', jsonb_strip_nulls(
                jsonb_build_object('code', p ->> 'code', 'meaning', p ->> 'meaning', 'by', p ->> 'by',
                                   'agent_id', p -> 'agent_id', 'next_at', p -> 'next_at')));
    -- Not the contact of a call that came later.
    SELECT * INTO q FROM contacts c WHERE c.id = a.contact_id AND c.state <> 'claimed'
        AND NOT EXISTS (SELECT FROM attempts l WHERE l.contact_id = c.id AND l.tenant_id = a.tenant_id
                        AND l.e164 = a.e164 AND l.claimed_at > a.claimed_at)
    FOR UPDATE;
    IF FOUND THEN
        IF p ->> 'number' = 'dead' THEN
            UPDATE numbers SET dead = p ->> 'meaning' WHERE id = a.number_id;
        END IF;
        IF p ->> 'number' IN ('next', 'dead') THEN
            SELECT o.next_position, o.next_zone_set INTO other_position, other_zone_set
            FROM number_after(q.id, q.position) AS o;
        END IF;
        UPDATE contacts c SET
            state = CASE WHEN p ->> 'number' = 'dead' AND other_position IS NULL THEN 'done'
                         WHEN p ->> 'contact' = 'keep' THEN c.state ELSE p ->> 'contact' END,
            position = coalesce(other_position, c.position),
            zone_set = coalesce(other_zone_set, c.zone_set),
            tries = CASE WHEN p ->> 'meaning' = 'machine' THEN c.tries || jsonb_build_object(
                              'machine', coalesce((c.tries ->> 'machine')::integer, 0) + 1) ELSE c.tries END,
            next_at = coalesce((p ->> 'next_at')::timestamptz, c.next_at),
            callback_at = CASE WHEN (p ->> 'callback')::boolean THEN (p ->> 'next_at')::timestamptz
                               ELSE c.callback_at END,
            callback_agent_id = CASE WHEN (p ->> 'callback')::boolean THEN (p ->> 'agent_id')::bigint
                                     ELSE c.callback_agent_id END,
            last_disposition = p ->> 'code',
            last_outcome = CASE WHEN p ->> 'meaning' = 'dnc' THEN 'dnc' ELSE c.last_outcome END,
            last_message = coalesce(p ->> 'message', c.last_message)
        WHERE c.id = q.id;
    END IF;
    IF p ->> 'meaning' = 'dnc' THEN
        PERFORM opt_out_v1(a.tenant_id, a.e164, 'an agent, after call ' || a.id, a.id);
    END IF;
END $$;

-- The record's writer, which takes one more kind of row: {"disposition": …}, as dispose_v1 reads it, applied after the
-- others of its batch. Claims wait for additions to the lists of numbers not to be called: that lock comes first.
CREATE FUNCTION record_v4(p_run uuid, p_node text, p_batch bigint, p_rows jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    said jsonb;
BEGIN
    IF p_rows @> '[{"disposition": {"meaning": "dnc"}}]' THEN
        PERFORM pg_advisory_xact_lock(dnc_lock_key());
    END IF;
    IF NOT record_v3(p_run, p_node, p_batch, p_rows) THEN
        RETURN false;
    END IF;
    FOR said IN SELECT r.value -> 'disposition' FROM jsonb_array_elements(p_rows) WITH ORDINALITY AS r (value, n)
                WHERE r.value ? 'disposition' ORDER BY r.n
    LOOP
        PERFORM dispose_v1(said);
    END LOOP;
    RETURN true;
END $$;

-- Ends the hold of an agent (or those of a campaign that are over): the contact's turn comes again after p_seconds.
CREATE FUNCTION preview_end_v1(p_agent bigint, p_seconds double precision) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    held previews;
BEGIN
    DELETE FROM previews WHERE agent_id = p_agent RETURNING * INTO held;
    IF NOT FOUND OR held.until <= now() THEN
        RETURN NULL;                              -- its time has come again by itself
    END IF;
    UPDATE contacts SET next_at = now() + make_interval(secs => p_seconds)
    WHERE id = held.contact_id AND state = 'waiting';
    RETURN held.contact_id;
END $$;

-- Holds the next contact of a campaign for an agent: their own callback that is due, else who comes first in the open
-- zone sets and is on no list of numbers not to be called. One row, or none. Every other gate is the claim's.
CREATE FUNCTION preview_next_v1(p_campaign bigint, p_agent bigint, p_open integer[], p_seconds double precision)
RETURNS TABLE (contact_id bigint, number_id bigint, e164 text, until timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c campaigns;
    r record;
BEGIN
    SELECT * INTO c FROM campaigns WHERE id = p_campaign;
    PERFORM preview_end_v1(p_agent, 0);
    DELETE FROM previews WHERE campaign_id = p_campaign AND until <= now();
    FOR r IN
        SELECT q.id, n.id AS number_id, n.e164
        FROM (
            (SELECT h.id, h.rank, h.position FROM contacts h
             WHERE h.campaign_id = p_campaign AND h.callback_agent_id = p_agent AND h.state = 'queued'
               AND h.zone_set = ANY (p_open)
             ORDER BY h.callback_at LIMIT 1)
            UNION ALL
            SELECT h.* FROM unnest(p_open) AS s (id), LATERAL (
                SELECT h.id, h.rank, h.position FROM contacts h
                WHERE h.campaign_id = p_campaign AND h.zone_set = s.id AND h.state = 'queued'
                  AND h.callback_agent_id IS NULL
                ORDER BY h.rank, h.id LIMIT 50
            ) AS h
        ) AS q
        JOIN numbers n ON n.contact_id = q.id AND n.position = q.position
        WHERE NOT EXISTS (SELECT FROM dnc_bars(c.tenant_id, c.id, n.e164))
        ORDER BY q.rank, q.id
    LOOP
        PERFORM FROM contacts h WHERE h.id = r.id AND h.state = 'queued' FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;                  -- another agent's by now
        contact_id := r.id;
        number_id := r.number_id;
        e164 := r.e164;
        until := now() + make_interval(secs => p_seconds);
        UPDATE contacts h SET state = 'waiting', next_at = until WHERE h.id = r.id;
        INSERT INTO previews (contact_id, tenant_id, campaign_id, agent_id, until)
        VALUES (r.id, c.tenant_id, c.id, p_agent, until)
        ON CONFLICT (contact_id) DO UPDATE SET agent_id = EXCLUDED.agent_id, until = EXCLUDED.until;
        RETURN NEXT;
        RETURN;
    END LOOP;
END $$;

-- Claims the contact that is held for an agent, with every gate of claim_v2 (0014_tenant_calls.sql, where they are
-- explained) and these:
--   not_held            the hold is over, or another agent's
-- and the rules about one contact by their own names: max_retries, dnc, live_call, a limit's or a lockout's; such a
-- contact is put aside as claim_v2 does. Never takes another contact instead.
CREATE FUNCTION claim_held_v1(p_campaign bigint, p_agent bigint, p_node text, p_terms jsonb)
RETURNS TABLE (
    attempt_id uuid, contact_id bigint, number_id bigint, e164 text, attempts integer, tries jsonb, for_agent bigint,
    refusal text, list_id bigint
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c        campaigns;
    t        tenants;
    k        trunks;
    q        contacts;
    n        numbers;
    stale    text;
    on_trunk integer;
    of_ours  integer;
    of_tenant integer := 0;
    person   text[];
    past     record;
    barred   text;
    held     record;
    made     attempts;
    sets     integer[] := ARRAY(SELECT jsonb_array_elements_text(p_terms -> 'open'))::integer[];
    limits   jsonb := p_terms -> 'limits';
    lockouts jsonb := p_terms -> 'lockouts';
BEGIN
    SELECT * INTO c FROM campaigns WHERE id = p_campaign FOR NO KEY UPDATE;
    SELECT * INTO t FROM tenants WHERE id = c.tenant_id;
    IF t.balance IS NOT NULL OR t.max_calls IS NOT NULL THEN
        SELECT * INTO t FROM tenants WHERE id = c.tenant_id FOR NO KEY UPDATE;
    END IF;
    SELECT * INTO k FROM trunks
    WHERE name = c.trunk AND node = p_node AND (tenant_id IS NULL OR tenant_id = c.tenant_id) FOR NO KEY UPDATE;
    stale := dnc_gate(c.tenant_id, c.id);
    SELECT count(*), count(*) FILTER (WHERE a.campaign_id = c.id) INTO on_trunk, of_ours
    FROM attempts a WHERE a.trunk = k.name AND a.ended_at IS NULL;
    IF t.max_calls IS NOT NULL THEN
        SELECT count(*) INTO of_tenant
        FROM trunks x JOIN attempts a ON a.trunk = x.name AND a.ended_at IS NULL
        WHERE NOT x.outside AND a.tenant_id = t.id;
    END IF;
    SELECT h.* INTO q FROM contacts h JOIN previews p ON p.contact_id = h.id
    WHERE p.agent_id = p_agent AND p.campaign_id = c.id AND p.until > clock_timestamp() AND h.state = 'waiting'
    FOR UPDATE OF h;
    SELECT * INTO n FROM numbers WHERE contact_id = q.id AND position = q.position;
    refusal := CASE
        WHEN c.id IS NULL OR c.state <> 'active' THEN 'not_active'
        WHEN NOT t.enabled OR NOT (SELECT enabled FROM installation) THEN 'disabled'
        WHEN t.balance IS NOT NULL AND (t.balance <= 0 OR t.balance < t.price_attempt) THEN 'insufficient_funds'
        WHEN k.name IS NULL OR k.outside THEN 'unknown_trunk'
        WHEN NOT k.active THEN 'trunk_inactive'
        WHEN (p_terms ->> 'version') IS DISTINCT FROM t.schedule_version || '.' || c.version
          OR (clock_timestamp() < (p_terms ->> 'valid_until')::timestamptz) IS NOT TRUE
          OR jsonb_typeof(limits) IS DISTINCT FROM 'array' OR jsonb_typeof(lockouts) IS DISTINCT FROM 'array'
            THEN 'judgement_too_old'
        WHEN stale IS NOT NULL THEN 'dnc_stale'
        WHEN on_trunk >= k.max_calls THEN 'trunk_full'
        WHEN of_tenant >= t.max_calls THEN 'tenant_full'
        WHEN of_ours >= c.max_concurrent_calls THEN 'campaign_full'
        WHEN q.id IS NULL OR n.id IS NULL THEN 'not_held'
        WHEN (q.zone_set = ANY (sets)) IS NOT TRUE THEN 'outside_allowed_time_window'
    END;
    IF refusal IS NOT NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;
    person := CASE WHEN limits || lockouts @> '[{"whom": "person"}]'
                   THEN ARRAY(SELECT o.e164 FROM numbers o WHERE o.contact_id = q.id) ELSE ARRAY[n.e164] END;
    SELECT count(*) FILTER (WHERE a.claimed_at > now() - interval '24 hours') AS calls_24h,
           count(*) FILTER (WHERE a.claimed_at > now() - interval '7 days') AS calls_7d,
           count(*) FILTER (WHERE a.claimed_at > now() - interval '30 days') AS calls_30d,
           count(*) FILTER (WHERE a.ended_at IS NULL) AS live
    INTO past FROM attempts a WHERE a.tenant_id = c.tenant_id AND a.e164 = ANY (person);
    barred := (SELECT list FROM dnc_bars(c.tenant_id, c.id, n.e164) AS list LIMIT 1);
    SELECT h.rule, h.until INTO held FROM number_held(c.tenant_id, c.id, n.e164, person, limits, lockouts) AS h;
    refusal := CASE WHEN q.attempts > c.max_retries AND q.callback_at IS NULL THEN 'max_retries'
                    WHEN barred IS NOT NULL THEN 'dnc'
                    WHEN held.rule IS NOT NULL THEN held.rule
                    WHEN past.live > 0 THEN 'live_call' END;
    DELETE FROM previews WHERE contact_id = q.id;
    IF refusal IS NULL THEN
        INSERT INTO attempts (id, tenant_id, campaign_id, contact_id, number_id, e164, node, trunk, list_id, cost,
                              claimed_at)
        VALUES (uuid7(), c.tenant_id, c.id, q.id, n.id, n.e164, p_node, k.name, q.list_id,
                CASE WHEN t.balance IS NULL THEN 0 ELSE t.price_attempt END, clock_timestamp())
        ON CONFLICT DO NOTHING RETURNING * INTO made;
        refusal := CASE WHEN made.id IS NULL THEN 'live_call' END;   -- another campaign calls it at this moment
    END IF;
    IF refusal IS NOT NULL THEN
        PERFORM put_aside_v1(c.tenant_id, c.id, jsonb_build_array(jsonb_build_object(
            'id', q.id, 'position', q.position, 'number_id', n.id, 'e164', n.e164, 'rule', refusal,
            'until', held.until, 'list', barred, 'attempts', q.attempts, 'calls_24h', past.calls_24h,
            'calls_7d', past.calls_7d, 'calls_30d', past.calls_30d)), p_terms -> 'version');
        RETURN NEXT;
        RETURN;
    END IF;
    UPDATE contacts h SET state = 'claimed', attempts = h.attempts + 1, callback_at = NULL, callback_agent_id = NULL
    WHERE h.id = q.id;
    IF t.balance IS NOT NULL AND t.price_attempt > 0 THEN
        UPDATE tenants SET balance = balance - t.price_attempt WHERE id = t.id;
    END IF;
    INSERT INTO call_events (tenant_id, campaign_id, attempt_id, at, kind, detail)
    VALUES (c.tenant_id, c.id, made.id, made.claimed_at, 'claimed', jsonb_build_object(
                'attempt_number', q.attempts + 1, 'version', p_terms -> 'version',
                'zones', (SELECT zones FROM zone_sets z WHERE z.id = q.zone_set),
                'open_until', p_terms -> 'valid_until', 'calls_24h', past.calls_24h, 'calls_7d', past.calls_7d,
                'calls_30d', past.calls_30d, 'agent_id', p_agent));
    attempt_id := made.id;
    contact_id := q.id;
    number_id := n.id;
    e164 := n.e164;
    attempts := q.attempts + 1;
    tries := q.tries;
    for_agent := p_agent;
    list_id := q.list_id;
    RETURN NEXT;
END $$;
