-- What agents may say of a call. Bound to a tenant, but for the daemon's reading of all.

-- name: all
-- Every disposition, in the order in which they were made.
SELECT tenant_id, campaign_id, code, label, meaning, key, active FROM dispositions ORDER BY id;

-- name: listed
-- Those of a tenant: of a campaign of its, or (null) its own, or with $3 all of them.
SELECT d.tenant_id, d.campaign_id, c.name AS campaign, d.code, d.label, d.meaning, d.key, d.active
FROM dispositions d LEFT JOIN campaigns c ON c.id = d.campaign_id
WHERE d.tenant_id = $1 AND ($3 OR d.campaign_id IS NOT DISTINCT FROM $2)
ORDER BY d.campaign_id NULLS FIRST, d.key NULLS LAST, d.id;

-- name: lock
-- One change of a tenant's dispositions at a time.
SELECT pg_advisory_xact_lock(hashtextextended('dialerd.dispositions', $1));

-- name: other_meaning
-- Another meaning that this code has elsewhere in the tenant.
SELECT meaning FROM dispositions
WHERE tenant_id = $1 AND code = $3 AND meaning <> $4 AND campaign_id IS DISTINCT FROM $2 LIMIT 1;

-- name: put
-- Makes a disposition, or gives it another label, meaning, key or switch.
INSERT INTO dispositions (tenant_id, campaign_id, code, label, meaning, key, active) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (tenant_id, campaign_id, code) DO UPDATE SET
    label = EXCLUDED.label, meaning = EXCLUDED.meaning, key = EXCLUDED.key, active = EXCLUDED.active;

-- name: remove
-- Takes one away; its code, or nothing when there was none.
DELETE FROM dispositions WHERE tenant_id = $1 AND campaign_id IS NOT DISTINCT FROM $2 AND code = $3 RETURNING code;
