-- What the daemon asks of PostgreSQL while it runs.

-- name: claim
-- Takes contacts and writes their attempts, every gate inside; or one row with the gate that refused.
SELECT c.attempt_id::text, c.contact_id, c.number_id, c.e164, c.attempts, c.tries, c.for_agent, c.refusal,
       (SELECT q.list_id FROM contacts q WHERE q.id = c.contact_id) AS list_id
FROM claim_v2($1, $2, $3, $4, $5, $6, $7, $8) AS c;

-- name: record
-- Writes a batch of the ledger; false when it is in already.
SELECT record_v5($1::uuid, $2, $3, $4::jsonb);

-- name: counts
-- How a campaign's attempts ended.
SELECT a.outcome, count(*) AS n FROM attempts a
WHERE a.campaign_id = $1 AND a.state = 'ended' AND a.returns IS NULL GROUP BY a.outcome;

-- name: pending
-- How many contacts a campaign still has to call.
SELECT count(*) FROM contacts WHERE campaign_id = $1 AND state IN ('queued', 'waiting');

-- name: complete
-- Marks a campaign as completed when nothing is left of its list and nothing is live; null when that is not so. What
-- can never be dialled (no zone is known) is put aside then, with the reason.
WITH aside AS (
    UPDATE contacts q SET state = 'suppressed', last_outcome = 'unknown_zone'
    WHERE q.campaign_id = $1 AND q.state = 'queued' AND q.zone_set = 0
    RETURNING q.id
)
UPDATE campaigns c SET state = 'completed', completed_at = now(), updated_at = now()
WHERE c.id = $1 AND c.state = 'active' AND NOT c.single_calls
  AND NOT EXISTS (SELECT FROM attempts a WHERE a.campaign_id = c.id AND a.ended_at IS NULL)
  AND NOT EXISTS (SELECT FROM contacts q WHERE q.campaign_id = c.id AND q.state IN ('waiting', 'claimed'))
  AND NOT EXISTS (SELECT FROM contacts q WHERE q.campaign_id = c.id AND q.state = 'queued' AND q.zone_set > 0)
RETURNING c.id;

-- name: live_attempts
-- The attempts of a node that have not ended: what a daemon takes over when it starts.
SELECT a.id::text, a.tenant_id, a.campaign_id, a.contact_id, a.e164, a.trunk, a.agent_id, a.caller_id, a.state,
       a.machine, a.dial_status, a.cause, a.claimed_at, a.dialed_at, a.ringing_at, a.answered_at, a.connected_at,
       a.number_id, a.returns::text, coalesce(c.attempts, 1) AS attempts, coalesce(c.tries, '{}') AS tries
FROM attempts a LEFT JOIN contacts c ON c.id = a.contact_id
WHERE a.node = $1 AND a.ended_at IS NULL;

-- name: agents
-- Every active agent, and every other one whose phone still stands, with their queues.
SELECT a.*, t.default_region, COALESCE(q.queues, '{}') AS queues
FROM agents a
JOIN tenants t ON t.id = a.tenant_id
LEFT JOIN LATERAL (SELECT array_agg(queue_name) AS queues FROM agent_queues WHERE agent_id = a.id AND a.active) q ON true
WHERE a.active OR a.channel_id IS NOT NULL ORDER BY a.id;

-- name: put_trunk
-- Copies a trunk of the node's configuration to where the claim counts against it; not one of an unknown tenant.
INSERT INTO trunks (name, node, max_calls, tenant_id)
SELECT $1, $2, $3, (SELECT id FROM tenants WHERE name = $4)
WHERE $4::text IS NULL OR EXISTS (SELECT FROM tenants WHERE name = $4)
ON CONFLICT (name) DO UPDATE
SET node = EXCLUDED.node, max_calls = EXCLUDED.max_calls, tenant_id = EXCLUDED.tenant_id;
