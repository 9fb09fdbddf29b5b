-- Why a number would be dialed now, or not: everything that the claim looks at, by index.

-- name: places
-- Each campaign of tenant $1 that has the number $2 (with $3: that one only), at most $4; with all that claim_v2 reads
-- beside its terms. In the same words as there.
SELECT c.id AS campaign_id, c.name AS campaign, c.state AS campaign_state, c.max_retries, c.max_concurrent_calls,
       t.enabled AS tenant_enabled, (SELECT enabled FROM installation) AS installation_enabled, t.balance,
       t.price_attempt, c.trunk, k.name IS NOT NULL AS trunk_known, k.active AS trunk_active, k.node,
       k.max_calls AS trunk_max_calls, k.outside AS trunk_outside, busy.on_trunk, busy.of_ours,
       t.max_calls AS tenant_max_calls,
       CASE WHEN t.max_calls IS NULL THEN 0 ELSE (
           SELECT count(*) FROM trunks y JOIN attempts x ON x.trunk = y.name AND x.ended_at IS NULL
           WHERE NOT y.outside AND x.tenant_id = t.id) END AS of_tenant,
       (SELECT l.name FROM dnc_lists l
        WHERE l.as_of + make_interval(days => l.max_age_days) < now()
          AND (l.tenant_id IS NULL OR l.tenant_id = c.tenant_id) AND (l.campaign_id IS NULL OR l.campaign_id = c.id)
        LIMIT 1) AS stale_list,
       q.id AS contact_id, q.name AS contact, q.state AS contact_state, q.next_at, q.attempts, q.last_outcome,
       q.callback_at, q.callback_agent_id, a.name AS callback_agent, coalesce(a.state = 'ready', false) AS agent_free,
       q.position AS contact_position, n.position, n.dead, z.zones,
       (SELECT list FROM dnc_bars(c.tenant_id, c.id, n.e164) AS list LIMIT 1) AS barred_by,
       ARRAY(SELECT p.e164 FROM numbers p WHERE p.contact_id = q.id) AS person
FROM numbers n
JOIN contacts q ON q.id = n.contact_id
JOIN campaigns c ON c.id = n.campaign_id
JOIN tenants t ON t.id = c.tenant_id
LEFT JOIN trunks k ON k.name = c.trunk AND (k.tenant_id IS NULL OR k.tenant_id = c.tenant_id)
CROSS JOIN LATERAL (
    SELECT count(*) AS on_trunk, count(*) FILTER (WHERE x.campaign_id = c.id) AS of_ours
    FROM attempts x WHERE x.trunk = k.name AND x.ended_at IS NULL
) AS busy
LEFT JOIN agents a ON a.id = q.callback_agent_id
LEFT JOIN zone_sets z ON z.id = CASE WHEN q.position = n.position THEN q.zone_set ELSE n.zone_set END
WHERE n.tenant_id = $1 AND n.e164 = $2 AND c.tenant_id = $1 AND ($3::bigint IS NULL OR c.id = $3)
ORDER BY c.state <> 'active', c.id LIMIT $4;

-- name: past
-- For each campaign $3 with its persons' numbers, limits and lockouts ($4: an array of objects, in the same order): what
-- was called before, and the rule that holds the number $2 back longest.
SELECT g.campaign_id, past.*, held.rule, held.until
FROM unnest($3::bigint[]) WITH ORDINALITY AS g (campaign_id, n)
CROSS JOIN LATERAL (SELECT $4::jsonb -> (g.n - 1)::integer AS o) AS given
CROSS JOIN LATERAL (SELECT ARRAY(SELECT jsonb_array_elements_text(given.o -> 'person')) AS e164s) AS person
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE a.claimed_at > now() - interval '24 hours') AS calls_24h,
           count(*) FILTER (WHERE a.claimed_at > now() - interval '7 days') AS calls_7d,
           count(*) FILTER (WHERE a.claimed_at > now() - interval '30 days') AS calls_30d,
           count(*) FILTER (WHERE a.ended_at IS NULL) AS live
    FROM attempts a WHERE a.tenant_id = $1 AND a.e164 = ANY (person.e164s)
) AS past
LEFT JOIN LATERAL number_held($1, g.campaign_id, $2, person.e164s, given.o -> 'limits', given.o -> 'lockouts') AS held
    ON true;

-- name: attempts
-- The last $3 attempts at a number, newest first.
SELECT a.id, c.name AS campaign, a.state, a.outcome, a.cause, a.caller_id, g.name AS agent, a.disposition, a.claimed_at,
       a.answered_at, a.connected_at, a.ended_at
FROM attempts a JOIN campaigns c ON c.id = a.campaign_id LEFT JOIN agents g ON g.id = a.agent_id
WHERE a.tenant_id = $1 AND a.e164 = $2 ORDER BY a.claimed_at DESC LIMIT $3;

-- name: events
-- The last $4 events of a number, newest first: those of the attempts $3, and decisions not to dial it.
SELECT e.at, e.kind, e.campaign_id, e.attempt_id, e.detail FROM (
    SELECT x.* FROM unnest($3::uuid[]) AS a (id), LATERAL (
        SELECT * FROM call_events WHERE attempt_id = a.id AND tenant_id = $1 ORDER BY attempt_id, id DESC LIMIT $4
    ) AS x
    UNION ALL
    (SELECT * FROM call_events WHERE tenant_id = $1 AND number = $2 ORDER BY number, id DESC LIMIT $4)
) AS e ORDER BY e.id DESC LIMIT $4;

-- name: consents
-- What a number's owner said, newest first, at most $3.
SELECT kind, source, attempt_id, at FROM consents WHERE tenant_id = $1 AND e164 = $2 ORDER BY at DESC, id DESC LIMIT $3;
