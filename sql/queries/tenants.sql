-- Tenants, their prices and switches, and the switch of the installation. For sessions that see every tenant.

-- name: all
-- Every tenant by name, or the one called $1.
SELECT t.id, t.name, t.enabled, t.default_region, t.balance, t.price_attempt, t.price_minute, t.max_calls,
       t.skip_holidays, t.schedule_version, t.created_at,
       (SELECT count(*) FROM campaigns c WHERE c.tenant_id = t.id) AS campaigns,
       (SELECT count(*) FROM campaigns c WHERE c.tenant_id = t.id AND c.state = 'active') AS active_campaigns
FROM tenants t WHERE $1::text IS NULL OR t.name = $1 ORDER BY t.name;

-- name: add
-- A new tenant; its id, or nothing when the name is taken.
INSERT INTO tenants (name, default_region) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING RETURNING id;

-- name: lock
-- A tenant as it is, held until the end of the transaction: no claim charges it meanwhile.
SELECT id, enabled, balance, price_attempt, price_minute, max_calls FROM tenants WHERE name = $1 FOR NO KEY UPDATE;

-- name: set_money
-- New prices and balance (null: unlimited).
UPDATE tenants SET balance = $2, price_attempt = $3, price_minute = $4 WHERE id = $1;

-- name: set_max_calls
-- How many calls the tenant may have at a time (null: no limit).
UPDATE tenants SET max_calls = $2 WHERE id = $1;

-- name: set_enabled
-- The tenant's kill switch; a row when this turned it.
UPDATE tenants SET enabled = $2 WHERE id = $1 AND enabled <> $2 RETURNING id;

-- name: installation
-- The installation's kill switch.
SELECT enabled FROM installation;

-- name: set_installation
-- Flips the installation's kill switch; true when it was the other way before.
UPDATE installation SET enabled = $1 WHERE enabled <> $1 RETURNING true;

-- name: note_installation
-- One event per tenant: each one's record says why its calls stopped.
INSERT INTO call_events (tenant_id, at, kind, detail)
SELECT id, now(), $1, $2 FROM tenants ORDER BY id;

-- name: live_calls
-- Calls that go on when a switch goes off: those of tenant $1, or of all.
SELECT count(*) FROM attempts WHERE ended_at IS NULL AND ($1::integer IS NULL OR tenant_id = $1);
