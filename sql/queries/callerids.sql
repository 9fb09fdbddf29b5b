-- The caller-ID pool, and what the attempts say of its use.

-- name: pool
-- Every number of every pool.
SELECT id, tenant_id, campaign_id, e164, hourly_limit, daily_limit, active, carrier, area_code, meta, resting_until
FROM caller_ids ORDER BY id;

-- name: usage
-- Per number: its attempts since the hour ($1) and the day ($2) began, the newest, and the live one since $3, if any.
-- An attempt belongs to the campaign's own row of the number where there is one, else to the tenant's.
WITH day AS (
    SELECT a.id, a.tenant_id, a.campaign_id, a.caller_id, a.state, a.claimed_at
    FROM campaigns k JOIN attempts a ON a.campaign_id = k.id AND a.claimed_at >= LEAST($2::timestamptz, $3::timestamptz)
    WHERE a.caller_id IS NOT NULL
)
SELECT c.id,
       count(*) FILTER (WHERE d.claimed_at >= $1) AS used_this_hour,
       count(*) FILTER (WHERE d.claimed_at >= $2) AS used_today,
       max(d.claimed_at) AS last_used,
       (array_agg(d.id::text ORDER BY d.claimed_at DESC) FILTER (WHERE d.state <> 'ended' AND d.claimed_at >= $3))[1]
           AS holder
FROM day d
JOIN caller_ids c ON c.tenant_id = d.tenant_id AND c.e164 = d.caller_id
WHERE c.campaign_id = d.campaign_id
   OR c.campaign_id IS NULL AND NOT EXISTS (
        SELECT FROM caller_ids own WHERE own.tenant_id = d.tenant_id AND own.campaign_id = d.campaign_id)
GROUP BY c.id;
