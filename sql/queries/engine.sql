-- What the daemon asks of PostgreSQL while it runs.

-- name: claim
-- Takes contacts and writes their attempts, every gate inside; or one row with the gate that refused.
SELECT attempt_id::text, contact_id, e164, attempts, refusal FROM claim_v1($1, $2, $3, $4, $5);

-- name: record
-- Writes a batch of the ledger; false when it is in already.
SELECT record_v1($1::uuid, $2, $3, $4::jsonb);

-- name: campaigns
-- The campaigns that run or may run again, that have live attempts, and those of $1; each with what makes its schedule:
-- weekly windows, days off, and the year for which calendars are wanted.
SELECT c.*, t.default_region, COALESCE(w.windows, '[]'::jsonb) AS windows,
       COALESCE(c.skip_holidays, t.skip_holidays) AS skips_holidays,
       ARRAY(SELECT day FROM holidays_extra h WHERE h.tenant_id = c.tenant_id AND day > now() - interval '2 days'
             ORDER BY day) AS extra_days_off,
       extract(year FROM now())::integer AS year
FROM campaigns c
JOIN tenants t ON t.id = c.tenant_id
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_array(weekday, opens::text, closes::text)) AS windows
    FROM campaign_windows WHERE campaign_id = c.id
) w ON true
WHERE c.state IN ('active', 'paused') OR c.id = ANY ($1::bigint[])
   OR EXISTS (SELECT FROM attempts a WHERE a.campaign_id = c.id AND a.state <> 'ended')
ORDER BY c.id;

-- name: counts
-- How a campaign's attempts ended.
SELECT a.outcome, count(*) AS n FROM attempts a
WHERE a.campaign_id = $1 AND a.state = 'ended' GROUP BY a.outcome;

-- name: pending
-- How many contacts wait in a campaign's queue.
SELECT count(*) FROM contacts WHERE campaign_id = $1 AND state = 'queued';

-- name: complete
-- Marks a campaign as completed when nothing is left of its list and nothing is live; null when that is not so. What
-- can never be dialled (no zone is known) is put aside then, with the reason.
WITH aside AS (
    UPDATE contacts q SET state = 'suppressed', last_outcome = 'unknown_zone'
    FROM numbers n
    WHERE q.campaign_id = $1 AND q.state = 'queued' AND n.contact_id = q.id AND n.position = q.position
      AND cardinality(n.zones) = 0
    RETURNING q.id
)
UPDATE campaigns c SET state = 'completed', completed_at = now(), updated_at = now()
WHERE c.id = $1 AND c.state = 'active'
  AND NOT EXISTS (SELECT FROM attempts a WHERE a.campaign_id = c.id AND a.state <> 'ended')
  AND NOT EXISTS (SELECT FROM contacts q WHERE q.campaign_id = c.id AND q.state IN ('queued', 'claimed')
                                           AND q.attempts <= c.max_retries
                                           AND NOT EXISTS (SELECT FROM aside WHERE aside.id = q.id))
RETURNING c.id;

-- name: live_attempts
-- The attempts of a node that have not ended: what a daemon takes over when it starts.
SELECT a.id::text, a.tenant_id, a.campaign_id, a.contact_id, a.e164, a.trunk, a.agent_id, a.caller_id, a.state,
       a.machine, a.dial_status, a.cause, a.claimed_at, a.dialed_at, a.ringing_at, a.answered_at, a.connected_at,
       c.attempts
FROM attempts a JOIN contacts c ON c.id = a.contact_id
WHERE a.node = $1 AND a.state <> 'ended';

-- name: agents
-- Every active agent, and every other one whose phone still stands, with their queues.
SELECT a.*, t.default_region, COALESCE(q.queues, '{}') AS queues
FROM agents a
JOIN tenants t ON t.id = a.tenant_id
LEFT JOIN LATERAL (SELECT array_agg(queue_name) AS queues FROM agent_queues WHERE agent_id = a.id AND a.active) q ON true
WHERE a.active OR a.channel_id IS NOT NULL ORDER BY a.id;

-- name: put_trunk
-- Copies a trunk of the node's configuration to where the claim counts against it.
INSERT INTO trunks (name, node, max_calls) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET node = EXCLUDED.node, max_calls = EXCLUDED.max_calls;
