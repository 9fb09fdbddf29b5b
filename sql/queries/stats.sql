-- Statistics: each from one statement, so of one moment, so that the figures add up whatever is going on meanwhile.

-- name: campaign
-- Campaign $2 of tenant $1 in the figures of the older API; store.stats says what they mean. No row: there is none.
-- `steps` walks from call to call, five minutes at a time, each step one look into an index.
WITH RECURSIVE fates AS (
    SELECT q.state, q.last_outcome, count(*) AS n FROM contacts q
    WHERE q.tenant_id = $1 AND q.campaign_id = $2 GROUP BY q.state, q.last_outcome
), sums AS (
    SELECT coalesce(sum(n), 0) AS total,
           coalesce(sum(n) FILTER (WHERE state IN ('queued', 'waiting', 'held')), 0) AS pending,
           coalesce(sum(n) FILTER (WHERE state = 'claimed'), 0) AS active,
           coalesce(sum(n) FILTER (WHERE state IN ('done', 'suppressed')
                                     AND last_outcome IN ('connected', 'abandoned', 'hung_up', 'played',
                                                          'returned')), 0) AS answered,
           coalesce(sum(n) FILTER (WHERE state IN ('done', 'suppressed')
                                     AND last_outcome IN ('no_answer', 'machine', 'message_left')), 0) AS no_answer,
           coalesce(sum(n) FILTER (WHERE state IN ('done', 'suppressed')
                                     AND last_outcome IN ('busy', 'rejected')), 0) AS busy
    FROM fates
), steps AS (
    SELECT (SELECT min(a.claimed_at) FROM attempts a WHERE a.tenant_id = $1 AND a.campaign_id = $2) AS at
    UNION ALL
    SELECT (SELECT min(a.claimed_at) FROM attempts a
            WHERE a.tenant_id = $1 AND a.campaign_id = $2 AND a.claimed_at >= steps.at + interval '5 minutes')
    FROM steps WHERE steps.at IS NOT NULL
), pauses AS (
    SELECT coalesce(lead(at) OVER (ORDER BY at), now()) - at AS length FROM steps WHERE at IS NOT NULL
)
SELECT sums.*,
       (SELECT extract(epoch FROM sum(least(greatest(length, interval '0'), interval '10 minutes'))) FROM pauses)
           AS dialing_seconds,
       (SELECT avg(extract(epoch FROM a.ended_at - a.answered_at)) FROM attempts a
        WHERE a.tenant_id = $1 AND a.campaign_id = $2 AND a.outcome = 'connected') AS talk_seconds,
       agents.*
FROM campaigns c, sums, LATERAL (
    SELECT count(*) FILTER (WHERE g.state = 'ready') AS agents_available,
           count(*) FILTER (WHERE g.state IN ('reserved', 'on_call', 'wrap_up')) AS agents_busy
    FROM agents g JOIN agent_queues s ON s.agent_id = g.id
    WHERE g.tenant_id = c.tenant_id AND g.active AND s.queue_name = c.queue_name
) AS agents
WHERE c.tenant_id = $1 AND c.id = $2;

-- name: machines
-- What machine detection said of the calls of campaign $2 of tenant $1 since $3; store.stats.Machines says what it means.
SELECT c.id AS campaign_id,
       count(*) FILTER (WHERE a.machine = 'MACHINE') AS machine,
       count(*) FILTER (WHERE a.machine = 'HUMAN') AS human,
       count(*) FILTER (WHERE a.machine NOT IN ('MACHINE', 'HUMAN')) AS not_sure,
       count(*) FILTER (WHERE a.outcome = 'message_left') AS messages,
       count(*) FILTER (WHERE a.machine <> 'MACHINE' AND a.outcome = 'connected') AS passed,
       count(*) FILTER (WHERE a.machine <> 'MACHINE' AND a.outcome = 'connected' AND a.machine_corrected) AS corrected,
       count(*) FILTER (WHERE a.machine = 'MACHINE' AND a.outcome IN ('machine', 'message_left')
                          AND a.agent_id IS NULL) AS unheard,
       count(*) FILTER (WHERE a.machine = 'MACHINE' AND a.machine_checked
                          AND (a.machine_said IS NOT NULL
                               OR a.outcome IN ('machine', 'message_left') AND a.agent_id IS NOT NULL)) AS checked,
       count(*) FILTER (WHERE a.machine = 'MACHINE' AND a.machine_checked AND a.machine_said = false)
           AS checked_persons,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY a.machine_seconds) AS seconds_median,
       max(a.machine_seconds)::double precision AS seconds_longest
FROM campaigns c
LEFT JOIN attempts a ON a.tenant_id = c.tenant_id AND a.campaign_id = c.id AND a.machine IS NOT NULL
                        AND a.claimed_at >= coalesce($3::timestamptz, '-infinity')
WHERE c.tenant_id = $1 AND c.id = $2
GROUP BY c.id;

-- name: grouped
-- The attempts of campaign $2 of tenant $1 since $3 by $4 (hour, day, list, caller-id, agent or outcome), hours and
-- days as in zone $5: first the sums of all, then the groups, largest first, at most $6 of them. Not returned calls.
WITH counted AS (
    SELECT CASE $4::text
               WHEN 'hour' THEN to_char(a.claimed_at AT TIME ZONE $5, 'HH24:00')
               WHEN 'day' THEN to_char(a.claimed_at AT TIME ZONE $5, 'YYYY-MM-DD')
               WHEN 'list' THEN a.list_id::text
               WHEN 'caller-id' THEN a.caller_id
               WHEN 'agent' THEN a.agent_id::text
               WHEN 'outcome' THEN coalesce(a.outcome, 'in_progress')
           END AS key,
           count(*) AS attempts,
           count(*) FILTER (WHERE a.state <> 'ended') AS in_progress,
           count(*) FILTER (WHERE a.outcome = 'connected') AS connected,
           count(*) FILTER (WHERE a.outcome = 'abandoned') AS abandoned,
           count(*) FILTER (WHERE a.outcome = 'hung_up') AS hung_up,
           count(*) FILTER (WHERE a.outcome = 'played') AS played,
           count(*) FILTER (WHERE a.outcome IN ('machine', 'message_left')) AS machines,
           count(*) FILTER (WHERE a.outcome = 'busy') AS busy,
           count(*) FILTER (WHERE a.outcome = 'no_answer') AS no_answer,
           count(*) FILTER (WHERE a.outcome IN ('rejected', 'invalid', 'failed', 'not_sent', 'unknown')) AS failed,
           coalesce(sum(extract(epoch FROM a.ended_at - a.answered_at)) FILTER (WHERE a.outcome = 'connected'), 0)
               AS talk_seconds,
           sum(a.cost) AS cost
    FROM attempts a
    WHERE a.tenant_id = $1 AND a.campaign_id = $2 AND a.claimed_at >= coalesce($3::timestamptz, '-infinity')
      AND a.returns IS NULL
    GROUP BY 1
), named AS (
    SELECT coalesce(l.name, g.name, k.key, '(none)') AS name, k.*
    FROM counted k
    LEFT JOIN lists l ON $4 = 'list' AND l.tenant_id = $1 AND l.id = CASE WHEN $4 = 'list' THEN k.key::bigint END
    LEFT JOIN agents g ON $4 = 'agent' AND g.tenant_id = $1 AND g.id = CASE WHEN $4 = 'agent' THEN k.key::bigint END
)
SELECT name, grouping(name) = 1 AS of_all,
       coalesce(sum(attempts), 0)::bigint AS attempts, coalesce(sum(in_progress), 0)::bigint AS in_progress,
       coalesce(sum(connected), 0)::bigint AS connected, coalesce(sum(abandoned), 0)::bigint AS abandoned,
       coalesce(sum(hung_up), 0)::bigint AS hung_up, coalesce(sum(played), 0)::bigint AS played,
       coalesce(sum(machines), 0)::bigint AS machines,
       coalesce(sum(busy), 0)::bigint AS busy, coalesce(sum(no_answer), 0)::bigint AS no_answer,
       coalesce(sum(failed), 0)::bigint AS failed,
       coalesce(sum(talk_seconds), 0) AS talk_seconds, coalesce(sum(cost), 0) AS cost
FROM named
GROUP BY GROUPING SETS ((), (name))
ORDER BY of_all DESC, attempts DESC, name
LIMIT $6::integer + 1;

-- name: numbers
-- A tenant's contacts by where they are and how their last call ended, in all campaigns or in $2.
SELECT q.state, q.last_outcome, q.last_disposition, count(*) AS n
FROM contacts q
WHERE q.tenant_id = $1
  AND q.campaign_id IN (SELECT c.id FROM campaigns c WHERE c.tenant_id = $1 AND ($2::bigint IS NULL OR c.id = $2))
GROUP BY q.state, q.last_outcome, q.last_disposition;

-- name: by_day
-- A tenant's calls that are over, by day in zone $2 and how they ended: today and the days before, $3 together.
SELECT days.day::date AS day, found.outcome, found.disposition, coalesce(found.n, 0) AS n
FROM generate_series(date_trunc('day', now() AT TIME ZONE $2) - make_interval(days => $3 - 1),
                     date_trunc('day', now() AT TIME ZONE $2), interval '1 day') AS days (day)
LEFT JOIN (
    SELECT date_trunc('day', a.claimed_at AT TIME ZONE $2) AS day, a.outcome, a.disposition, count(*) AS n
    FROM campaigns c
    JOIN attempts a ON a.campaign_id = c.id AND a.claimed_at
        >= (date_trunc('day', now() AT TIME ZONE $2) - make_interval(days => $3 - 1)) AT TIME ZONE $2
    WHERE c.tenant_id = $1 AND a.tenant_id = $1 AND a.state = 'ended' AND a.outcome <> 'not_sent'
    GROUP BY 1, 2, 3
) AS found ON found.day = days.day
ORDER BY days.day;

-- name: default_region
-- Where a tenant is at home.
SELECT default_region FROM tenants WHERE id = $1;
