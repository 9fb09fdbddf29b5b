-- One number's whole record.

-- name: attempts
-- Attempts at number $2, oldest first, the newest $3 of them.
SELECT * FROM (
    SELECT a.id, c.name AS campaign, l.name AS list, a.caller_id, g.name AS agent, a.state, a.outcome, a.cause,
           a.dial_status, a.disposition, a.trunk, a.claimed_at, a.dialed_at, a.ringing_at, a.answered_at,
           a.connected_at, a.ended_at
    FROM attempts a JOIN campaigns c ON c.id = a.campaign_id
    LEFT JOIN agents g ON g.id = a.agent_id LEFT JOIN lists l ON l.id = a.list_id
    WHERE a.tenant_id = $1 AND a.e164 = $2 ORDER BY a.claimed_at DESC LIMIT $3
) AS newest ORDER BY claimed_at;

-- name: count_attempts
-- How many attempts at number $2 there are.
SELECT count(*) FROM attempts WHERE tenant_id = $1 AND e164 = $2;

-- name: events
-- The events of the attempts $3 and the newest $4 decisions not to dial number $2, in order; each with its seal and the
-- hash that the seal follows.
SELECT e.id, e.tenant_id, e.campaign_id, e.attempt_id, e.at, e.xid::text::bigint AS xid, e.kind,
       e.detail::text AS detail, s.seq, s.event_id, s.xid::text::bigint AS seal_xid, s.salt, s.content, s.digest,
       s.hash, p.hash AS before
FROM (
    SELECT * FROM call_events WHERE tenant_id = $1 AND attempt_id = ANY ($3::uuid[])
    UNION ALL
    (SELECT * FROM call_events WHERE tenant_id = $1 AND number = $2 ORDER BY number, id DESC LIMIT $4)
) AS e
LEFT JOIN seals s ON s.event_id = e.id
LEFT JOIN seals p ON p.tenant_id = s.tenant_id AND p.seq = s.seq - 1
ORDER BY e.id;

-- name: inputs
-- What was pressed in the attempts $2.
SELECT attempt_id, at, node_name, digits FROM inputs WHERE tenant_id = $1 AND attempt_id = ANY ($2::uuid[])
ORDER BY at, id;

-- name: zones
-- The zones in which number $2 may lie, by the tenant's campaigns.
SELECT DISTINCT unnest(z.zones) AS zone FROM numbers n JOIN zone_sets z ON z.id = n.zone_set
WHERE n.tenant_id = $1 AND n.e164 = $2 ORDER BY 1 LIMIT 20;

-- name: campaign_names
-- Names of the tenant's campaigns $2.
SELECT id, name FROM campaigns WHERE tenant_id = $1 AND id = ANY ($2::bigint[]);
