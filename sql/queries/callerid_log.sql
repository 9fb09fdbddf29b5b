-- The log of requests for a caller ID.

-- name: add
-- Writes a batch of requests; with $1 those that are not in yet: whether they are is not known.
INSERT INTO caller_id_requests (node, at, tenant_id, door, peer, campaign_id, campaign, agent, holder, to_e164, status,
                                caller_id_id, caller_id, reasons, again)
SELECT $2, r.at, r.tenant_id, r.door, r.peer, r.campaign_id, r.campaign, r.agent, r.holder, r.to_e164, r.status,
       r.caller_id_id, r.caller_id, r.reasons::jsonb, r.again
FROM unnest($3::timestamptz[], $4::integer[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[], $10::text[],
            $11::text[], $12::text[], $13::bigint[], $14::text[], $15::text[], $16::boolean[])
     AS r (at, tenant_id, door, peer, campaign_id, campaign, agent, holder, to_e164, status, caller_id_id, caller_id,
           reasons, again)
WHERE NOT $1 OR NOT EXISTS (
    SELECT FROM caller_id_requests old WHERE old.at = r.at AND old.holder = r.holder AND old.node = $2);

-- name: release
-- How calls ended, on the newest request of each that got a number. What is known already is not taken back.
UPDATE caller_id_requests r
SET released_at = coalesce(r.released_at, e.at), result = e.result, talk_seconds = e.talk_seconds
FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::real[]) AS e (holder, at, result, talk_seconds),
     LATERAL (SELECT o.at, o.id FROM caller_id_requests o
              WHERE o.holder = e.holder AND o.at <= e.at AND o.status = 'OK' AND NOT o.again AND o.result IS NULL
              ORDER BY o.at DESC LIMIT 1) AS newest
WHERE r.at = newest.at AND r.id = newest.id;

-- name: usage
-- Of every number that was ever used: its uses since the hour ($1) and the day ($2) began, the last one, and the call
-- that took it since $3 and has not released it, if any.
SELECT c.id, u.used_this_hour, u.used_today, l.at AS last_used, h.holder
FROM caller_ids c
CROSS JOIN LATERAL (SELECT r.at FROM caller_id_requests r
                    WHERE r.caller_id_id = c.id AND r.status = 'OK' AND NOT r.again
                    ORDER BY r.at DESC LIMIT 1) AS l
CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE r.at >= $1) AS used_this_hour, count(*) AS used_today
                    FROM caller_id_requests r
                    WHERE r.caller_id_id = c.id AND r.status = 'OK' AND NOT r.again AND r.at >= $2) AS u
LEFT JOIN LATERAL (SELECT CASE WHEN r.released_at IS NULL THEN r.holder END AS holder FROM caller_id_requests r
                   WHERE r.caller_id_id = c.id AND r.status = 'OK' AND NOT r.again AND r.at >= $3
                   ORDER BY r.at DESC LIMIT 1) AS h ON true;

-- name: last_shown
-- The number that a person saw last from a campaign.
SELECT caller_id_id FROM caller_id_requests
WHERE tenant_id = $1 AND to_e164 = $2 AND campaign_id = $3 AND status = 'OK' ORDER BY at DESC LIMIT 1;

-- name: forget
-- Removes up to $3 requests from before $2, or from before what their tenant keeps of its record ($1: now); how many.
WITH old AS (
    DELETE FROM caller_id_requests d WHERE (d.at, d.id) IN (
        (SELECT r.at, r.id FROM caller_id_requests r WHERE r.at < $2 ORDER BY r.at LIMIT $3)
        UNION ALL
        (SELECT r.at, r.id FROM retention t CROSS JOIN LATERAL (
            SELECT x.at, x.id FROM caller_id_requests x
            WHERE x.tenant_id = t.tenant_id AND x.at < $1::timestamptz - make_interval(days => t.days)
            ORDER BY x.at DESC LIMIT $3) AS r
         WHERE t.days IS NOT NULL))
    RETURNING 1
)
SELECT least(count(*), $3) FROM old;
