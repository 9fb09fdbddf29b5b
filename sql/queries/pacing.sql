-- What pacing reads of the record, and what it leaves in it.

-- name: windows
-- Live answers of a campaign's own lines, and how many of them were abandoned, since each of the moments $2, in their
-- order. Only the index attempts_answers is read: its outcomes stand here literally, or it would not be used.
SELECT found.answers, found.abandoned
FROM unnest($2::timestamptz[]) WITH ORDINALITY AS w (start, n)
CROSS JOIN LATERAL (
    SELECT count(*) AS answers, count(*) FILTER (WHERE a.outcome = 'abandoned') AS abandoned
    FROM attempts a
    WHERE a.campaign_id = $1 AND a.outcome IN ('connected', 'abandoned', 'hung_up') AND a.batch_id IS NULL
      AND a.answered_at >= w.start
) AS found
ORDER BY w.n;

-- name: machines
-- Of a campaign's own lines, since each of the moments $2, in their order: machines by their verdict that no agent had, and
-- conversations of which the agent said that it was a machine. And of the machines that agents checked since $3 how many
-- there were, and how many of them were persons; an agent who left the message on one has said that it is a machine. Only
-- the index attempts_machines is read.
SELECT found.unheard, found.known, heard.checked, heard.persons
FROM unnest($2::timestamptz[]) WITH ORDINALITY AS w (start, n)
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE a.machine = 'MACHINE' AND a.outcome IN ('machine', 'message_left')
                              AND a.agent_id IS NULL) AS unheard,
           count(*) FILTER (WHERE a.machine_corrected AND a.outcome = 'connected') AS known
    FROM attempts a
    WHERE a.campaign_id = $1 AND (a.machine = 'MACHINE' OR a.machine_corrected) AND a.batch_id IS NULL
      AND a.answered_at >= w.start
) AS found
CROSS JOIN (
    SELECT count(*) AS checked, count(*) FILTER (WHERE a.machine_said = false) AS persons
    FROM attempts a
    WHERE a.campaign_id = $1 AND (a.machine = 'MACHINE' OR a.machine_corrected) AND a.batch_id IS NULL
      AND a.answered_at >= $3 AND a.machine = 'MACHINE' AND a.machine_checked
      AND (a.machine_said IS NOT NULL OR a.outcome IN ('machine', 'message_left') AND a.agent_id IS NOT NULL)
) AS heard
ORDER BY w.n;

-- name: history
-- The last $3 attempts of a campaign since $2 that went out and have ended, oldest first: what became of the line and
-- when, and how long talk and wrap-up took. Hand-outs to an outside dialer, and returned calls, are no lines of ours.
SELECT a.started_at, extract(epoch FROM now() - a.line_end)::double precision AS ago,
       extract(epoch FROM a.line_end - a.started_at)::double precision AS line_seconds, a.answered, a.list_id,
       extract(epoch FROM a.ended_at - a.connected_at)::double precision AS talk_seconds,
       extract(epoch FROM w.ended_at - w.started_at)::double precision AS wrap_up_seconds
FROM (
    SELECT x.id, x.agent_id, x.list_id, x.claimed_at, x.connected_at, x.ended_at, live.answered,
           coalesce(x.dialed_at, x.claimed_at) AS started_at,
           -- A person is there to be joined when machine detection is over: connected_at is nearer to that.
           CASE WHEN live.answered THEN coalesce(x.connected_at, x.answered_at) ELSE x.ended_at END AS line_end
    FROM campaigns c JOIN attempts x ON x.campaign_id = c.id
    -- Who hung up before machine detection had a verdict was never there to be joined.
    CROSS JOIN LATERAL (SELECT x.outcome IN ('connected', 'abandoned', 'hung_up') AND x.answered_at IS NOT NULL
                               AND (x.outcome <> 'hung_up' OR x.machine IS NOT NULL OR c.machine_detection = 'off')
                               AND (c.machine_detection <> 'flow' OR x.machine IS DISTINCT FROM 'MACHINE'
                                    OR x.machine_checked)  -- what a machine's flow hands over was no answer
                               AS answered) AS live
    WHERE c.id = $1 AND x.claimed_at >= $2 AND x.ended_at IS NOT NULL AND x.batch_id IS NULL
      AND x.returns IS NULL
      AND x.outcome NOT IN ('not_sent', 'unknown')
    ORDER BY x.claimed_at DESC LIMIT $3
) AS a
LEFT JOIN LATERAL (
    SELECT s.started_at, s.ended_at FROM agent_states s
    WHERE a.connected_at IS NOT NULL AND s.agent_id = a.agent_id AND s.attempt_id = a.id AND s.state = 'wrap_up'
      AND s.started_at BETWEEN a.connected_at AND a.ended_at + interval '1 minute'
    ORDER BY s.started_at LIMIT 1
) AS w ON true
ORDER BY a.claimed_at;

-- name: keep
-- Keeps decisions ($2) and the models that they were made from ($3), arrays of objects; $1: the node. A second time it
-- does nothing. What belongs to a campaign that is gone is left out.
WITH models AS (
    INSERT INTO pacing_models (tenant_id, campaign_id, digest, curves, at)
    SELECT c.tenant_id, c.id, m.digest, m.curves, m.at
    FROM jsonb_to_recordset($3) AS m (tenant_id integer, campaign_id bigint, digest text, curves jsonb, at timestamptz)
    JOIN campaigns c ON c.id = m.campaign_id AND c.tenant_id = m.tenant_id
    ON CONFLICT (tenant_id, campaign_id, digest) DO UPDATE SET at = greatest(pacing_models.at, EXCLUDED.at)
)
INSERT INTO pacing_decisions (tenant_id, campaign_id, at, node, digest, grace_seconds, snapshot, lines, reason)
SELECT c.tenant_id, c.id, d.at, $1, d.digest, d.grace_seconds, d.snapshot, d.lines, d.reason
FROM jsonb_to_recordset($2) AS d (tenant_id integer, campaign_id bigint, at timestamptz, digest text,
                                  grace_seconds double precision, snapshot jsonb, lines integer, reason text)
JOIN campaigns c ON c.id = d.campaign_id AND c.tenant_id = d.tenant_id
ON CONFLICT (tenant_id, campaign_id, at, node) DO NOTHING;

-- name: forget
-- Removes up to $3 decisions from before $1, and models that were last in use before $2; how many decisions. By the
-- primary key, campaign by campaign: nothing that is younger is looked at.
WITH models AS (
    DELETE FROM pacing_models m WHERE m.at < $2
), old AS (
    DELETE FROM pacing_decisions d WHERE d.ctid = ANY (ARRAY(
        SELECT o.ctid FROM campaigns c, LATERAL (
            SELECT x.ctid FROM pacing_decisions x
            WHERE x.tenant_id = c.tenant_id AND x.campaign_id = c.id AND x.at < $1 ORDER BY x.at LIMIT $3
        ) AS o LIMIT $3))
    RETURNING 1
)
SELECT count(*) FROM old;

-- name: latest
-- The last $4 decisions of a campaign since $3, oldest first.
SELECT x.at, x.node, x.lines, x.reason FROM (
    SELECT d.at, d.node, d.lines, d.reason FROM pacing_decisions d
    WHERE d.tenant_id = $1 AND d.campaign_id = $2 AND d.at >= $3 ORDER BY d.at DESC, d.node DESC LIMIT $4
) AS x ORDER BY x.at, x.node;

-- name: kept_count
-- How many decisions of a campaign there are since $3.
SELECT count(*) FROM pacing_decisions d WHERE d.tenant_id = $1 AND d.campaign_id = $2 AND d.at >= $3;

-- name: kept_page
-- The $6 decisions of a campaign that come after the one of ($4, $5), from $3 on, in full.
SELECT d.at, d.node, d.digest, d.grace_seconds AS grace, d.snapshot, d.lines, d.reason
FROM pacing_decisions d
WHERE d.tenant_id = $1 AND d.campaign_id = $2 AND d.at >= $3 AND (d.at, d.node) > ($4, $5)
ORDER BY d.at, d.node LIMIT $6;

-- name: models
-- The curves of these digests.
SELECT m.digest, m.curves FROM pacing_models m
WHERE m.tenant_id = $1 AND m.campaign_id = $2 AND m.digest = ANY ($3::text[]);
