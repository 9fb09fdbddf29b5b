-- What a dialplan may look up of a number, without changing anything.

-- name: campaigns
-- The campaigns, of any tenant, whose id is $2 or that are called $1; that by id first. More than one name: ambiguous.
SELECT c.id, c.tenant_id, t.default_region, c.id IS NOT DISTINCT FROM $2 AS by_id
FROM campaigns c JOIN tenants t ON t.id = c.tenant_id
WHERE c.name = $1 OR c.id = $2
ORDER BY c.id IS NOT DISTINCT FROM $2 DESC LIMIT 3;

-- name: state_of_campaign
-- Whether somebody has stopped a campaign.
SELECT state FROM campaigns WHERE id = $1;

-- name: tenants
-- The tenant that is called $1; of null, all, two of them at the most.
SELECT id, default_region FROM tenants WHERE $1::text IS NULL OR name = $1 LIMIT 2;

-- name: stale
-- A list, in the scope of tenant $1 and campaign $2 (with $3: of any campaign), that is older than it may be; or null.
SELECT l.name FROM dnc_lists l
WHERE l.as_of + make_interval(days => l.max_age_days) < now()
  AND (l.tenant_id IS NULL OR l.tenant_id = $1) AND (l.campaign_id IS NULL OR l.campaign_id = $2 OR $3)
LIMIT 1;

-- name: bars
-- The names of the lists, in the same scope, that bar the digits $4.
SELECT DISTINCT l.name
FROM (SELECT d.list_id FROM dnc_numbers d WHERE d.number = $4
      UNION ALL
      SELECT d.list_id FROM dnc_prefixes d WHERE d.prefix = ANY (dnc_prefixes_of($4))) AS e
JOIN dnc_lists l ON l.id = e.list_id
WHERE (l.tenant_id IS NULL OR l.tenant_id = $1) AND (l.campaign_id IS NULL OR l.campaign_id = $2 OR $3)
ORDER BY l.name LIMIT 20;

-- name: contact
-- The newest contact of tenant $1 that has the number $3; with $2, of that campaign.
SELECT q.id AS contact_id, q.campaign_id, q.name, q.state, q.attempts, q.last_outcome
FROM numbers n JOIN contacts q ON q.id = n.contact_id
WHERE n.tenant_id = $1 AND n.e164 = $3 AND ($2::bigint IS NULL OR n.campaign_id = $2)
ORDER BY q.id DESC LIMIT 1;
