-- The batch API: numbers handed out to an outside dialer, and what it reports of them. Bound to a tenant.

-- name: campaigns
-- The campaigns that may be meant: by name or id where $2 is given, else the active ones before the others.
SELECT c.id, c.name, c.state FROM campaigns c
WHERE c.tenant_id = $1 AND ($2::text IS NULL OR c.name = $2 OR c.id = $3)
ORDER BY coalesce(c.name = $2, false) DESC, c.state = 'active' DESC, c.id LIMIT 20;

-- name: end_handouts
-- Ends hand-outs that had no result in time.
SELECT end_handouts_v1($1, $2, $3);

-- name: version
-- How often the tenant's schedule was changed.
SELECT schedule_version FROM tenants WHERE id = $1;

-- name: active_agents
-- Whom an outside dialer may send calls to.
SELECT id, full_name, name, phone FROM agents WHERE tenant_id = $1 AND active ORDER BY id LIMIT 1000;

-- name: lock_live
-- The live attempts of a number and of its contact. Before the contact, in the order in which the record locks them.
SELECT a.id FROM attempts a JOIN numbers n ON n.id = $2 AND n.tenant_id = $1
WHERE a.ended_at IS NULL AND (a.contact_id = n.contact_id OR a.tenant_id = $1 AND a.e164 = n.e164)
ORDER BY a.id FOR UPDATE OF a;

-- name: lock_number
-- A number, its contact (held until the end of the transaction) and the attempt by which it is handed out.
SELECT n.id, n.e164, n.contact_id, n.campaign_id, c.state, c.attempts, c.tries, p.max_retries, p.retry_delay_seconds,
       p.retry_rules, live.id AS attempt_id, live.claimed_at
FROM numbers n
JOIN contacts c ON c.id = n.contact_id
JOIN campaigns p ON p.id = n.campaign_id
LEFT JOIN attempts live ON live.contact_id = c.id AND live.number_id = n.id AND live.ended_at IS NULL
                       AND live.trunk = 'batch'
WHERE n.tenant_id = $1 AND n.id = $2
FOR UPDATE OF c;

-- name: reported_before
-- The result that was reported of a number with that time; when none was given, the last one.
SELECT e.detail ->> 'status' AS status
FROM attempts a JOIN call_events e ON e.attempt_id = a.id AND e.kind = 'reported'
WHERE a.tenant_id = $1 AND a.e164 = $2 AND a.contact_id = $3
  AND ($4::text IS NULL OR e.detail ->> 'attempted_at' = $4)
ORDER BY e.id DESC LIMIT 1;

-- name: agents_of
-- The agents with that id or one of those phones.
SELECT id, phone FROM agents WHERE tenant_id = $1 AND (id = $2 OR phone = ANY ($3::text[])) LIMIT 3;

-- name: late_attempt
-- An attempt for a result that comes when no hand-out of the number lives; nothing when another call of it does.
WITH made AS (
    INSERT INTO attempts (id, tenant_id, campaign_id, contact_id, number_id, e164, node, trunk, list_id)
    SELECT uuid7(), n.tenant_id, n.campaign_id, n.contact_id, n.id, n.e164, 'batch', 'batch', c.list_id
    FROM numbers n JOIN contacts c ON c.id = n.contact_id WHERE n.tenant_id = $1 AND n.id = $2
    ON CONFLICT DO NOTHING RETURNING id, contact_id, claimed_at
), counted AS (
    UPDATE contacts q SET attempts = q.attempts + 1, callback_at = NULL, callback_agent_id = NULL
    FROM made WHERE q.id = made.contact_id
)
SELECT id, claimed_at FROM made;

-- name: beside_live
-- A result that comes while another call of the number lives: an attempt that has ended already, and the count.
WITH made AS (
    INSERT INTO attempts (id, tenant_id, campaign_id, contact_id, number_id, e164, node, trunk, list_id, state, outcome,
                          disposition, message, agent_id, detail, ended_at)
    SELECT uuid7(), n.tenant_id, n.campaign_id, n.contact_id, n.id, n.e164, 'batch', 'batch', c.list_id, 'ended', $3, $4,
           $5, $6, $7, now()
    FROM numbers n JOIN contacts c ON c.id = n.contact_id WHERE n.tenant_id = $1 AND n.id = $2
    RETURNING id, contact_id
), counted AS (
    UPDATE contacts q SET
        attempts = q.attempts + 1, last_message = coalesce($5, q.last_message), agent_id = coalesce($6, q.agent_id),
        state = CASE WHEN q.state = 'claimed' THEN q.state ELSE 'done' END,
        last_outcome = CASE WHEN q.state = 'claimed' THEN q.last_outcome ELSE $3 END,
        last_disposition = CASE WHEN q.state = 'claimed' THEN q.last_disposition ELSE $4 END
    FROM made WHERE q.id = made.contact_id
)
SELECT id FROM made;

-- name: record
-- Writes rows of the record, as record_v2 reads them.
SELECT record_once_v1($1::jsonb);

-- name: ban
-- A contact whose number is on a do-not-call list now, unless a call of it lives.
UPDATE contacts SET state = 'suppressed', last_outcome = 'dnc', last_disposition = NULL
WHERE tenant_id = $1 AND id = $2 AND state <> 'claimed';

-- name: attempts
-- How often a contact was called.
SELECT attempts FROM contacts WHERE tenant_id = $1 AND id = $2;

-- name: switches
-- What stops a tenant's calls, whatever the hour.
SELECT t.enabled, i.enabled AS installation_enabled, t.skip_holidays, t.schedule_version,
       coalesce(t.balance <= 0 OR t.balance < t.price_attempt, false) AS out_of_funds
FROM tenants t, installation i WHERE t.id = $1;

-- name: zones_of_number
-- Where a number of a campaign may lie, as its list says.
SELECT z.zones FROM numbers n JOIN zone_sets z ON z.id = n.zone_set
WHERE n.tenant_id = $1 AND n.campaign_id = $2 AND n.e164 = $3;

-- name: lines
-- The lines of a tenant, and those of the installation.
SELECT t.name, t.node, t.max_calls, t.active, t.tenant_id IS NULL AS shared,
       (SELECT count(*) FROM attempts a WHERE a.trunk = t.name AND a.ended_at IS NULL) AS live
FROM trunks t WHERE NOT t.outside AND (t.tenant_id IS NULL OR t.tenant_id = $1) ORDER BY t.name;

-- name: set_line
-- Switches a line; the installation's with $4.
UPDATE trunks SET active = $3
WHERE name = $2 AND NOT outside AND (tenant_id = $1 OR $4 AND tenant_id IS NULL) RETURNING name;

-- name: delete_line
-- Takes a line away; the installation's with $3.
DELETE FROM trunks WHERE name = $2 AND NOT outside AND (tenant_id = $1 OR $3 AND tenant_id IS NULL) RETURNING name;
