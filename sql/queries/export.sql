-- The export of contacts, row by row through a cursor.

-- name: contacts
-- The selected contacts of a campaign, one row per number; $3 to $10 are core.selection's parameters.
SELECT
    n.e164 AS phone, c.name, c.external_id, c.state AS status, c.attempts, c.last_outcome, c.created_at,
    last.claimed_at AS last_attempt_at, last.answered_at, last.ended_at, last.agent,
    CASE WHEN c.state = 'queued' AND isfinite(c.next_at) THEN c.next_at END AS next_at,
    last.digits AS last_input, c.priority, c.custom
FROM contacts AS c
JOIN numbers AS n ON n.contact_id = c.id
LEFT JOIN agents AS g ON g.id = c.agent_id
LEFT JOIN LATERAL (
    SELECT a.claimed_at, a.answered_at, a.ended_at, agents.name AS agent,
           (SELECT i.digits FROM inputs AS i WHERE i.attempt_id = a.id ORDER BY i.at DESC LIMIT 1) AS digits
    FROM attempts AS a LEFT JOIN agents ON agents.id = a.agent_id
    WHERE c.attempts > 0 AND a.tenant_id = c.tenant_id AND a.e164 = n.e164 AND a.contact_id = c.id
    ORDER BY a.claimed_at DESC LIMIT 1
) AS last ON true
WHERE c.tenant_id = $1 AND c.campaign_id = $2
  AND ($3::bigint[] IS NULL OR c.id = ANY ($3))
  AND c.id <> ALL ($4::bigint[])
  AND ($5::text[] IS NULL OR c.state = ANY ($5))
  AND ($6::text IS NULL OR c.name ILIKE $6 OR c.external_id ILIKE $6 OR last.agent ILIKE $6
       OR g.name ILIKE $6 OR g.full_name ILIKE $6 OR g.phone ILIKE $6
       OR EXISTS (SELECT FROM numbers AS s WHERE s.contact_id = c.id AND s.e164 LIKE $7))
  AND ($8::timestamptz IS NULL OR c.created_at >= $8)
  AND ($9::timestamptz IS NULL OR c.created_at < $9)
  AND ($10::text[] IS NULL OR number_status_v1(c.state, c.last_outcome, c.last_disposition) = ANY ($10))
ORDER BY c.id, n.position;
