-- Callbacks at an agreed time.

-- name: contact
-- The contact that has a number in a campaign, and that number; held until the end of the transaction.
SELECT c.id, c.state, c.callback_at, n.position, n.zone_set, n.dead, z.zones
FROM numbers n
JOIN contacts c ON c.id = n.contact_id
JOIN zone_sets z ON z.id = n.zone_set
WHERE n.campaign_id = $2 AND n.e164 = $3 AND c.tenant_id = $1
FOR NO KEY UPDATE OF c;

-- name: agent
-- A tenant's active agent by name.
SELECT id FROM agents WHERE tenant_id = $1 AND name = $2 AND active;

-- name: set
-- The contact waits for the agreed time ($3), with the number at $4.
UPDATE contacts SET
    state = 'waiting', next_at = $3, callback_at = $3, callback_agent_id = $6, position = $4, zone_set = $5,
    last_message = coalesce($7, last_message)
WHERE tenant_id = $1 AND id = $2;

-- name: agreed
-- The callbacks that a campaign (null: any of the tenant's) has agreed, the next one first.
SELECT c.id AS contact_id, n.e164 AS number, c.name, k.name AS campaign, c.callback_at AS at, a.name AS agent,
       c.last_message AS note, c.state
FROM contacts c
JOIN numbers n ON n.contact_id = c.id AND n.position = c.position
JOIN campaigns k ON k.id = c.campaign_id
LEFT JOIN agents a ON a.id = c.callback_agent_id
WHERE c.tenant_id = $1 AND c.callback_at IS NOT NULL AND ($2::bigint IS NULL OR c.campaign_id = $2)
ORDER BY c.callback_at, c.id LIMIT $3;

-- name: cancel
-- Takes a callback back: whoever was reached before ($3: such outcomes) is done, the others wait for their turn.
UPDATE contacts c SET
    callback_at = NULL, callback_agent_id = NULL, next_at = now(),
    state = CASE WHEN c.last_outcome = ANY ($3) THEN 'done' ELSE 'waiting' END
FROM (SELECT o.id, o.callback_at FROM contacts o
      WHERE o.tenant_id = $1 AND o.id = $2 AND o.callback_at IS NOT NULL AND o.state IN ('waiting', 'queued')
      FOR UPDATE) AS was
WHERE c.id = was.id
RETURNING c.campaign_id, was.callback_at, c.state;

-- name: find
-- The contact that has a number in a campaign.
SELECT contact_id FROM numbers WHERE tenant_id = $1 AND campaign_id = $2 AND e164 = $3;
