-- Under what campaigns may call: what core.terms is made of.

-- name: campaigns
-- The campaigns $1, and with $2 those that run, may run again or have live attempts; each with its weekly windows, its
-- days off, its tenant's limit of calls and dispositions (code → meaning), and the year for which calendars are wanted;
-- as of $3, null: now.
SELECT c.*, t.default_region, t.schedule_version, t.max_calls AS tenant_max_calls,
       coalesce(w.windows, '[]'::jsonb) AS windows,
       coalesce(c.skip_holidays, t.skip_holidays) AS skips_holidays,
       ARRAY(SELECT day FROM holidays_extra h WHERE h.tenant_id = c.tenant_id AND day > coalesce($3, now()) - interval '2 days'
             ORDER BY day) AS extra_days_off,
       (SELECT coalesce(jsonb_object_agg(d.code, d.meaning), '{}') FROM dispositions d
        WHERE d.tenant_id = c.tenant_id) AS dispositions,
       extract(year FROM coalesce($3::timestamptz, now()))::integer AS year
FROM campaigns c
JOIN tenants t ON t.id = c.tenant_id
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_array(weekday, opens::text, closes::text)) AS windows
    FROM campaign_windows WHERE campaign_id = c.id
) w ON true
WHERE c.id = ANY ($1::bigint[])
   OR $2 AND (c.state IN ('active', 'paused')
              OR EXISTS (SELECT FROM attempts a WHERE a.campaign_id = c.id AND a.ended_at IS NULL))
ORDER BY c.id;

-- name: zone_sets
-- Every combination of zones in which a number may lie.
SELECT id, zones FROM zone_sets;
