-- What the log of requests says of the health of caller IDs; core.callerid_health says what it means.

-- name: destinations
-- How many calls each pool made since $1 to the numbers with the same first digits, one of which stands for them all.
SELECT c.tenant_id, c.campaign_id, left(r.to_e164, 7) AS prefix, min(r.to_e164 COLLATE "C") AS e164, count(*) AS calls
FROM caller_id_requests r JOIN caller_ids c ON c.id = r.caller_id_id
WHERE r.at >= $1 AND r.status = 'OK' AND NOT r.again AND r.result <> 'unknown' AND r.at >= coalesce(c.resting_until, $1)
GROUP BY 1, 2, 3;

-- name: figures
-- Each number's calls since $1, or since its last rest, and its shares of answers, rejected and short calls beside its
-- pool's, as `core.callerid_health.figures` makes them; $2 SHORT_SECONDS. Where numbers are, as numbered by the caller:
-- $3 to $6 id, area, state and country of caller IDs; $7 to $13 tenant, campaign and prefix of each pool's
-- destinations, their area, state and country, and the place that they count as, another one for each pool. A stratum
-- is a place, for a campaign (of others' campaigns 64 groups of names), in a quarter of a day (UTC), by numbers that are
-- equally near.
WITH number AS MATERIALIZED (
    SELECT c.id, c.tenant_id, coalesce(c.campaign_id, 0) AS pool, greatest($1, c.resting_until) AS since,
           n.area, n.state, n.country
    FROM unnest($3::bigint[], $4::integer[], $5::integer[], $6::integer[]) AS n (id, area, state, country)
    JOIN caller_ids c USING (id)
), destination AS MATERIALIZED (
    SELECT * FROM unnest($7::integer[], $8::bigint[], $9::text[], $10::integer[], $11::integer[], $12::integer[],
                         $13::integer[]) AS d (tenant_id, pool, prefix, area, state, country, place)
), own AS MATERIALIZED (
    SELECT n.id, d.place,
           CASE WHEN n.area = d.area THEN 0 WHEN n.state = d.state THEN 1 WHEN n.country = d.country THEN 2
                ELSE 3 END AS near,
           coalesce(r.campaign_id, -1 - (hashtext(r.campaign) & 63)) AS campaign,
           floor(extract(epoch FROM r.at) / 21600)::integer AS quarter,
           count(*)::float8 AS calls,
           (count(*) FILTER (WHERE r.result = 'answered'))::float8 AS answered,
           (count(*) FILTER (WHERE r.result = 'rejected'))::float8 AS rejected,
           (count(*) FILTER (WHERE r.result = 'answered' AND r.talk_seconds IS NOT NULL))::float8 AS timed,
           (count(*) FILTER (WHERE r.result = 'answered' AND r.talk_seconds < $2))::float8 AS short
    FROM caller_id_requests r
    JOIN number n ON n.id = r.caller_id_id
    JOIN destination d ON d.prefix = left(r.to_e164, 7) AND d.pool = n.pool AND d.tenant_id = n.tenant_id
    WHERE r.at >= $1 AND r.status = 'OK' AND NOT r.again AND r.result <> 'unknown' AND r.at >= n.since
    GROUP BY 1, 2, 3, 4, 5
), stratum AS (
    SELECT place, near, campaign, quarter, sum(calls) AS calls, sum(answered) AS answered, sum(rejected) AS rejected,
           sum(timed) AS timed, sum(short) AS short
    FROM own GROUP BY 1, 2, 3, 4
), share AS (
    -- Shares of all calls, and of the timed ones. Where nobody else called there is nothing to compare.
    SELECT o.id, o.place, sum(o.calls) AS calls,
           sum(o.calls) FILTER (WHERE c.beside) AS of,
           sum(o.answered) FILTER (WHERE c.beside) AS a_seen,
           sum(o.calls * t.answered / t.calls) FILTER (WHERE c.beside) AS a_expected,
           sum(c.spread * t.answered * (t.calls - t.answered)) FILTER (WHERE c.beside) AS a_variance,
           sum(o.answered * c.others) FILTER (WHERE c.beside) AS a_own,
           sum(o.rejected) FILTER (WHERE c.beside) AS r_seen,
           sum(o.calls * t.rejected / t.calls) FILTER (WHERE c.beside) AS r_expected,
           sum(c.spread * t.rejected * (t.calls - t.rejected)) FILTER (WHERE c.beside) AS r_variance,
           sum(o.rejected * c.others) FILTER (WHERE c.beside) AS r_own,
           sum(o.calls * c.others) FILTER (WHERE c.beside) AS weight,
           sum(o.timed) FILTER (WHERE s.beside) AS s_of,
           sum(o.short) FILTER (WHERE s.beside) AS s_seen,
           sum(o.timed * t.short / t.timed) FILTER (WHERE s.beside) AS s_expected,
           sum(s.spread * t.short * (t.timed - t.short)) FILTER (WHERE s.beside) AS s_variance,
           sum(o.short * s.others) FILTER (WHERE s.beside) AS s_own,
           sum(o.timed * s.others) FILTER (WHERE s.beside) AS s_weight
    FROM own o JOIN stratum t USING (place, near, campaign, quarter)
    CROSS JOIN LATERAL (SELECT t.calls > o.calls AS beside, 1 - o.calls / t.calls AS others,
                               o.calls * (t.calls - o.calls) / nullif(t.calls ^ 2 * (t.calls - 1), 0) AS spread) AS c
    CROSS JOIN LATERAL (SELECT t.timed > o.timed AND o.timed > 0 AS beside, 1 - o.timed / nullif(t.timed, 0) AS others,
                               o.timed * (t.timed - o.timed) / nullif(t.timed ^ 2 * (t.timed - 1), 0) AS spread) AS s
    GROUP BY 1, 2
)
SELECT id, sum(calls)::bigint AS calls,
       ARRAY[sum(of), sum(a_seen), sum(a_expected), sum(a_variance), sum(weight), sum(a_own)] AS answered,
       ARRAY[sum(of), sum(r_seen), sum(r_expected), sum(r_variance), sum(weight), sum(r_own)] AS rejected,
       ARRAY[sum(s_of), sum(s_seen), sum(s_expected), sum(s_variance), sum(s_weight), sum(s_own)] AS short,
       (array_agg(place ORDER BY of DESC, place) FILTER (WHERE of > 0))[1:5] AS places,
       (array_agg(ARRAY[of, a_seen, a_expected, a_variance, weight, a_own] ORDER BY of DESC, place)
            FILTER (WHERE of > 0))[1:5] AS of_places
FROM share GROUP BY id ORDER BY id;

-- name: numbers
-- Every number of every pool, as far as its health is judged.
SELECT id, tenant_id, campaign_id, e164, active, resting_until, rests FROM caller_ids ORDER BY id;

-- name: returned
-- Notes at $1 which numbers' rest is over, on record too. One whose rest was taken away by hand is judged from now on.
WITH back AS (
    UPDATE caller_ids c
    SET resting_until = coalesce(c.resting_until, $1),
        health = c.health || '{"state": "unknown", "why": "its rest is over; only calls since then count"}'
    WHERE c.health ->> 'state' = 'resting' AND (c.resting_until IS NULL OR c.resting_until <= $1)
    RETURNING c.id, c.tenant_id, c.campaign_id, c.e164, c.rests, c.resting_until AS at
), told AS (
    INSERT INTO call_events (tenant_id, campaign_id, at, kind, detail)
    SELECT tenant_id, campaign_id, at, 'caller_id.returned',
           jsonb_build_object('caller_id', e164, 'rests', rests, 'by', 'dialerd')
    FROM back ORDER BY id
)
SELECT id, tenant_id, e164 FROM back ORDER BY id;

-- name: rest
-- Lets numbers rest from $1 on ($2: objects of id, until, rests, health), on record too; those that rest now.
WITH rested AS (
    UPDATE caller_ids c
    SET resting_since = $1, resting_until = v.until, rests = v.rests, health = v.health
    FROM jsonb_to_recordset($2) AS v (id bigint, until timestamptz, rests integer, health jsonb)
    WHERE c.id = v.id AND c.active AND (c.resting_until IS NULL OR c.resting_until <= $1)
    RETURNING c.id, c.tenant_id, c.campaign_id, c.e164, c.resting_until, c.rests, c.health
), told AS (
    INSERT INTO call_events (tenant_id, campaign_id, at, kind, detail)
    SELECT tenant_id, campaign_id, $1, 'caller_id.rested',
           health || jsonb_build_object('caller_id', e164, 'until', resting_until, 'rests', rests, 'by', 'dialerd')
    FROM rested ORDER BY id
)
SELECT id, tenant_id, e164, resting_until, rests FROM rested ORDER BY id;

-- name: keep
-- Keeps verdicts on numbers that do not rest ($1: objects of id and health), where they are others than before, all
-- but the time; how many. It tells nobody: the pool is the same.
WITH kept AS (
    UPDATE caller_ids c SET health = v.health
    FROM jsonb_to_recordset($1) AS v (id bigint, health jsonb)
    WHERE c.id = v.id AND c.health ->> 'state' IS DISTINCT FROM 'resting' AND c.health - 'at' <> v.health - 'at'
    RETURNING 1
)
SELECT count(*) FROM kept;

-- name: rest_by_hand
-- Lets number $2 of tenant $1 rest from $3 until $4, by $5, however it is; its pool and number.
WITH rested AS (
    UPDATE caller_ids c
    SET resting_since = $3, resting_until = $4,
        health = c.health || jsonb_build_object('state', 'resting', 'why', 'sent to rest by ' || $5::text,
                                                'at', $3::timestamptz)
    WHERE c.tenant_id = $1 AND c.id = $2
    RETURNING c.tenant_id, c.campaign_id, c.e164
), told AS (
    INSERT INTO call_events (tenant_id, campaign_id, at, kind, detail)
    SELECT tenant_id, campaign_id, $3, 'caller_id.rested',
           jsonb_build_object('caller_id', e164, 'until', $4::timestamptz, 'by', $5::text)
    FROM rested
)
SELECT e164 FROM rested;

-- name: wake
-- Ends the rest of number $2 of tenant $1 at $3, by $4; nothing when it does not rest.
WITH woken AS (
    UPDATE caller_ids c
    SET resting_until = $3,
        health = c.health
            || jsonb_build_object('state', 'unknown', 'why', 'woken by ' || $4::text || '; only calls since then count',
                                  'at', $3::timestamptz)
    WHERE c.tenant_id = $1 AND c.id = $2 AND c.resting_until > $3
    RETURNING c.tenant_id, c.campaign_id, c.e164
), told AS (
    INSERT INTO call_events (tenant_id, campaign_id, at, kind, detail)
    SELECT tenant_id, campaign_id, $3, 'caller_id.returned', jsonb_build_object('caller_id', e164, 'by', $4::text)
    FROM woken
)
SELECT e164 FROM woken;
