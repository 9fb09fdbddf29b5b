-- What is on record of a campaign ($2 of tenant $1, since $3), for a simulation of its like; store/history.py reads it.

-- name: ended
-- How its attempts ended, by hour of the day in zone $4.
SELECT extract(hour FROM a.claimed_at AT TIME ZONE $4::text)::integer AS hour, a.outcome, count(*) AS n
FROM attempts a
WHERE a.tenant_id = $1 AND a.campaign_id = $2 AND a.claimed_at >= $3 AND a.state = 'ended'
GROUP BY 1, 2;

-- name: lengths
-- Rings until a person answered, and talks, in seconds: the mean of each of $4 equal shares of them, shortest first.
WITH seen AS (
    SELECT 'ring' AS what, extract(epoch FROM a.answered_at - coalesce(a.dialed_at, a.claimed_at))::float8 AS seconds
    FROM attempts a
    WHERE a.tenant_id = $1 AND a.campaign_id = $2 AND a.claimed_at >= $3
      AND a.outcome IN ('connected', 'abandoned', 'hung_up')
    UNION ALL
    SELECT 'talk', extract(epoch FROM a.ended_at - coalesce(a.connected_at, a.answered_at))::float8
    FROM attempts a
    WHERE a.tenant_id = $1 AND a.campaign_id = $2 AND a.claimed_at >= $3 AND a.outcome = 'connected'
), parted AS (
    SELECT what, seconds, ntile($4) OVER (PARTITION BY what ORDER BY seconds) AS part FROM seen WHERE seconds >= 0
)
SELECT what, part, avg(seconds) AS seconds FROM parted GROUP BY what, part ORDER BY what, part;

-- name: wrap_ups
-- The same of the wrap-ups after its calls.
WITH parted AS (
    SELECT extract(epoch FROM s.ended_at - s.started_at)::float8 AS seconds,
           ntile($4) OVER (ORDER BY s.ended_at - s.started_at) AS part
    FROM agent_states s
    JOIN attempts a ON a.id = s.attempt_id AND a.tenant_id = $1 AND a.campaign_id = $2 AND a.claimed_at >= $3
    WHERE s.tenant_id = $1 AND s.state = 'wrap_up' AND s.ended_at >= s.started_at
)
SELECT avg(seconds) AS seconds FROM parted GROUP BY part ORDER BY part;

-- name: fast_fail
-- How long lines take that come to nothing before anybody could answer, in seconds on average.
SELECT avg(extract(epoch FROM a.ended_at - coalesce(a.dialed_at, a.claimed_at)))::float8
FROM attempts a
WHERE a.tenant_id = $1 AND a.campaign_id = $2 AND a.claimed_at >= $3
  AND a.outcome IN ('busy', 'rejected', 'invalid', 'failed') AND a.ended_at >= coalesce(a.dialed_at, a.claimed_at);

-- name: agents
-- Agents who had calls of it, by hour of the day in zone $4: how many were there on average, pauses of at most $5
-- included, over the hours in which it dialled.
WITH dialled AS (
    SELECT DISTINCT date_trunc('hour', a.claimed_at AT TIME ZONE $4::text) AS hour
    FROM attempts a
    WHERE a.tenant_id = $1 AND a.campaign_id = $2 AND a.claimed_at >= $3
), stays AS (
    SELECT s.started_at AT TIME ZONE $4 AS begin, coalesce(s.ended_at, now()) AT TIME ZONE $4 AS over
    FROM agent_states s
    WHERE s.tenant_id = $1
      AND s.agent_id IN (SELECT a.agent_id FROM attempts a
                         WHERE a.tenant_id = $1 AND a.campaign_id = $2 AND a.claimed_at >= $3)
      AND coalesce(s.ended_at, now()) > (SELECT min(hour) FROM dialled) AT TIME ZONE $4
      AND (s.state IN ('ready', 'reserved', 'on_call', 'wrap_up')
           OR s.state = 'paused' AND coalesce(s.ended_at, now()) - s.started_at <= $5::interval)
), there AS (
    SELECT h.hour,
           sum(extract(epoch FROM least(over, h.hour + interval '1 hour') - greatest(begin, h.hour))) AS seconds
    FROM stays, generate_series(date_trunc('hour', begin), over, interval '1 hour') AS h (hour)
    GROUP BY h.hour
)
SELECT extract(hour FROM d.hour)::integer AS hour, (coalesce(sum(t.seconds), 0) / 3600 / count(*))::float8 AS agents
FROM dialled d LEFT JOIN there t ON t.hour = d.hour
GROUP BY 1;

-- name: pauses
-- The calls that these agents had meanwhile, their pauses of at most $4, and how long those were on average, in seconds.
SELECT count(*) FILTER (WHERE s.state = 'on_call') AS handled,
       count(*) FILTER (WHERE s.state = 'paused') AS pauses,
       coalesce(avg(extract(epoch FROM s.ended_at - s.started_at)) FILTER (WHERE s.state = 'paused'), 0)::float8
           AS seconds
FROM agent_states s
WHERE s.tenant_id = $1 AND s.started_at >= $3
  AND s.agent_id IN (SELECT a.agent_id FROM attempts a
                     WHERE a.tenant_id = $1 AND a.campaign_id = $2 AND a.claimed_at >= $3)
  AND (s.state = 'on_call' OR s.state = 'paused' AND s.ended_at - s.started_at <= $4::interval);

-- name: contacts
-- Its contacts, and how many of them are still to be called.
SELECT count(*) AS contacts, count(*) FILTER (WHERE q.state IN ('queued', 'waiting', 'claimed')) AS left
FROM contacts q
WHERE q.tenant_id = $1 AND q.campaign_id = $2;
