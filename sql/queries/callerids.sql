-- The caller-ID pool, and who draws from it.

-- name: pool
-- The next $2 numbers of all pools, behind the id $1.
SELECT id, tenant_id, campaign_id, e164, hourly_limit, daily_limit, active, carrier, area_code, meta, resting_until
FROM caller_ids WHERE id > $1 ORDER BY id LIMIT $2;

-- name: campaigns
-- What a selection needs of every campaign, whatever its state.
SELECT c.id, c.tenant_id, c.name, c.caller_id, c.local_presence, c.sticky_caller_id, t.default_region
FROM campaigns c JOIN tenants t ON t.id = c.tenant_id;

-- name: tenants
-- Whose pools there are.
SELECT id, name, default_region FROM tenants ORDER BY id;
