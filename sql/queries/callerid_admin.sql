-- The caller-ID pools as an operator keeps them. Every query is bound to a tenant ($1).

-- name: add
-- A new caller ID of a campaign's pool, or of the tenant's when the campaign is null; its id.
INSERT INTO caller_ids (tenant_id, campaign_id, e164, carrier, area_code, daily_limit, hourly_limit, meta)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id;

-- name: page
-- Caller IDs: those of these ids ($2), or of a campaign ($3; 0 the tenant's own pool), active or not ($4), with a text
-- ($5) in number, carrier, area code or campaign; from $6 on, at most $7. `total`: how many there are on all pages.
SELECT i.id, i.e164, i.carrier, i.area_code, i.daily_limit, i.hourly_limit, i.active, i.campaign_id,
       c.name AS campaign, i.meta, i.created_at, i.resting_until, i.resting_since, i.rests, i.health,
       count(*) OVER () AS total
FROM caller_ids i LEFT JOIN campaigns c ON c.id = i.campaign_id
WHERE i.tenant_id = $1
  AND ($2::bigint[] IS NULL OR i.id = ANY ($2))
  AND ($3::bigint IS NULL OR COALESCE(i.campaign_id, 0) = $3)
  AND ($4::boolean IS NULL OR i.active = $4)
  AND ($5 = '' OR position(lower($5) IN lower(concat_ws(' ', i.e164, i.carrier, i.area_code, c.name))) > 0)
ORDER BY c.name NULLS FIRST, i.e164, i.id
OFFSET $6 LIMIT $7;

-- name: of_number
-- The rows of a number, one for each pool that has it.
SELECT id FROM caller_ids WHERE tenant_id = $1 AND e164 = $2 ORDER BY campaign_id NULLS FIRST;

-- name: lock
-- A caller ID that is about to be changed.
SELECT id, e164, carrier, area_code, daily_limit, hourly_limit, active, campaign_id, meta, resting_until
FROM caller_ids WHERE tenant_id = $1 AND id = $2 FOR UPDATE;

-- name: change
-- Gives a caller ID new values: those that the object ($3) names.
UPDATE caller_ids AS i SET (carrier, area_code, daily_limit, hourly_limit, active, campaign_id, meta, resting_until)
= (SELECT n.carrier, n.area_code, n.daily_limit, n.hourly_limit, n.active, n.campaign_id, n.meta, n.resting_until
   FROM jsonb_populate_record(i, $3) AS n)
WHERE i.tenant_id = $1 AND i.id = $2;

-- name: delete
-- Takes a caller ID out of its pool; its number and whose pool it was.
DELETE FROM caller_ids WHERE tenant_id = $1 AND id = $2 RETURNING e164, campaign_id;

-- name: put_many
-- A batch of a file into the pool $2: new numbers, and new values of known ones, where null says nothing. Gives those
-- that were added or changed.
WITH given AS (
    SELECT * FROM unnest($3::text[], $4::text[], $5::text[], $6::int[], $7::int[], $8::text[])
        AS g (e164, carrier, area_code, daily_limit, hourly_limit, meta)
), merged AS (
    SELECT g.e164, COALESCE(g.carrier, o.carrier, '') AS carrier, COALESCE(g.area_code, o.area_code, '') AS area_code,
           COALESCE(g.daily_limit, o.daily_limit, $9::int) AS daily_limit,
           COALESCE(g.hourly_limit, o.hourly_limit, $10::int) AS hourly_limit,
           COALESCE(g.meta::jsonb, o.meta, '{}') AS meta
    FROM given g
    LEFT JOIN LATERAL ( -- two halves, because no index helps with IS NOT DISTINCT FROM
        SELECT * FROM caller_ids c WHERE c.tenant_id = $1 AND c.campaign_id = $2::bigint AND c.e164 = g.e164
        UNION ALL
        SELECT * FROM caller_ids c
        WHERE c.tenant_id = $1 AND $2::bigint IS NULL AND c.campaign_id IS NULL AND c.e164 = g.e164
    ) AS o ON true
    WHERE o.id IS NULL
       OR (COALESCE(g.carrier, o.carrier), COALESCE(g.area_code, o.area_code), COALESCE(g.daily_limit, o.daily_limit),
           COALESCE(g.hourly_limit, o.hourly_limit), COALESCE(g.meta::jsonb, o.meta))
          IS DISTINCT FROM (o.carrier, o.area_code, o.daily_limit, o.hourly_limit, o.meta)
)
INSERT INTO caller_ids AS i (tenant_id, campaign_id, e164, carrier, area_code, daily_limit, hourly_limit, meta)
SELECT $1, $2, e164, carrier, area_code, daily_limit, hourly_limit, meta FROM merged
ON CONFLICT (tenant_id, campaign_id, e164) DO UPDATE
SET carrier = excluded.carrier, area_code = excluded.area_code, daily_limit = excluded.daily_limit,
    hourly_limit = excluded.hourly_limit, meta = excluded.meta
RETURNING i.e164, i.xmax = 0 AS added;

-- name: recent
-- The last requests for a caller ID.
SELECT id, at, door, peer, campaign, agent, to_e164, status, caller_id, reasons, released_at, result
FROM caller_id_requests WHERE tenant_id = $1 ORDER BY at DESC, id DESC LIMIT $2;

-- name: campaigns_since
-- Requests since $2 per campaign as it was asked for: how they were answered, and how the calls went as far as is known.
SELECT COALESCE(c.name, r.campaign) AS campaign, r.requests, r.ok, r.fallback, r.none, r.answered, r.ended
FROM (SELECT campaign_id, CASE WHEN campaign_id IS NULL THEN campaign ELSE '' END AS campaign,
             count(*) AS requests,
             count(*) FILTER (WHERE status = 'OK') AS ok,
             count(*) FILTER (WHERE status = 'FALLBACK') AS fallback,
             count(*) FILTER (WHERE status = 'NONE') AS none,
             count(*) FILTER (WHERE result = 'answered') AS answered,
             count(*) FILTER (WHERE result <> 'unknown') AS ended
      FROM caller_id_requests WHERE tenant_id = $1 AND at >= $2 AND NOT again
      GROUP BY 1, 2 ORDER BY 3 DESC LIMIT $3) AS r
LEFT JOIN campaigns c ON c.id = r.campaign_id
ORDER BY r.requests DESC, 1;

-- name: campaign_rule
-- How a campaign ($2: its id or its name) chooses its caller IDs.
SELECT id, name, caller_id, local_presence, sticky_caller_id
FROM campaigns WHERE tenant_id = $1 AND (name = $2 OR id::text = $2) ORDER BY name = $2 DESC, id DESC LIMIT 1;

-- name: ids
-- Every caller ID of the tenant.
SELECT id FROM caller_ids WHERE tenant_id = $1 ORDER BY id;

-- name: campaign_names
-- The names of campaigns ($2).
SELECT id, name FROM campaigns WHERE tenant_id = $1 AND id = ANY ($2::bigint[]);
