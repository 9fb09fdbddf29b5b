-- The numbers of a campaign as the older panel lists and changes them. $1 to $10 of a selection: tenant, campaign and
-- core.selection's parameters.

-- name: page
-- One page of a selection.
SELECT f.id, f.e164, f.status, f.attempts, f.created_at, f.last_message, f.agent_id, f.agent_name, f.agent_phone,
       (SELECT max(a.claimed_at) FROM attempts a
        WHERE f.attempts > 0 AND a.tenant_id = $1 AND a.e164 = f.e164 AND a.contact_id = f.contact_id)
           AS last_attempt_at
FROM (SELECT * FROM numbers_found_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ORDER BY id OFFSET $11 LIMIT $12) AS f
ORDER BY f.id;

-- name: all
-- A whole selection, for a cursor.
SELECT f.e164, f.status, f.attempts, f.created_at,
       (SELECT max(a.claimed_at) FROM attempts a
        WHERE f.attempts > 0 AND a.tenant_id = $1 AND a.e164 = f.e164 AND a.contact_id = f.contact_id),
       f.agent_name, f.last_message
FROM numbers_found_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS f ORDER BY f.id;

-- name: total
-- How many numbers a selection has.
SELECT count(*) FROM numbers_found_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: total_of_all
-- How many numbers a campaign has.
SELECT count(*) FROM numbers WHERE tenant_id = $1 AND campaign_id = $2;

-- name: chunk
-- The next $12 numbers of a selection after id $11.
SELECT f.id, f.contact_id, f.e164, f.status FROM numbers_found_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS f
WHERE f.id > $11 ORDER BY f.id LIMIT $12;

-- name: lock_editable
-- Those of the contacts $2 that may be changed, held until the end of the transaction: in one of the statuses $3, and
-- no call of them lives.
SELECT id FROM contacts
WHERE tenant_id = $1 AND id = ANY ($2::bigint[]) AND state <> 'claimed'
  AND number_status_v1(state, last_outcome, last_disposition) = ANY ($3::text[])
ORDER BY id FOR UPDATE;

-- name: set_status
-- Contacts as a status makes them.
UPDATE contacts SET state = $3, last_outcome = $4, last_disposition = $5, callback_at = NULL, callback_agent_id = NULL
WHERE tenant_id = $1 AND id = ANY ($2::bigint[]);

-- name: revive
-- The numbers of contacts may be dialled again.
UPDATE numbers SET dead = NULL WHERE tenant_id = $1 AND contact_id = ANY ($2::bigint[]) AND dead IS NOT NULL;

-- name: requeue
-- Contacts as if they were new, their first number next. Where the campaign has a filter they wait for it.
UPDATE contacts q SET
    state = CASE WHEN c.filter = '' THEN 'queued' ELSE 'waiting' END,
    attempts = 0, tries = '{}', next_at = '-infinity', last_outcome = NULL, last_disposition = NULL,
    callback_at = NULL, callback_agent_id = NULL,
    position = coalesce(first.position, q.position), zone_set = coalesce(first.zone_set, 0),
    rank = contact_rank(c.order_by, q.priority, 0, NULL, false, q.id)
FROM contacts AS k
JOIN campaigns c ON c.id = k.campaign_id
LEFT JOIN LATERAL (
    SELECT n.position, n.zone_set FROM numbers n
    WHERE n.contact_id = k.id AND n.zone_set <> 0 ORDER BY n.position LIMIT 1
) AS first ON true
WHERE k.tenant_id = $1 AND k.id = ANY ($2::bigint[]) AND q.id = k.id;

-- name: delete
-- Numbers that are gone.
DELETE FROM numbers WHERE tenant_id = $1 AND id = ANY ($2::bigint[]);

-- name: delete_empty
-- Contacts that have no number any more.
DELETE FROM contacts c WHERE c.tenant_id = $1 AND c.id = ANY ($2::bigint[])
  AND NOT EXISTS (SELECT FROM numbers n WHERE n.contact_id = c.id);

-- name: repoint
-- Contacts whose next number is gone: to the one after it. Those without any that may be dialled are never due.
UPDATE contacts q SET position = coalesce(other.next_position, q.position),
                      zone_set = coalesce(other.next_zone_set, 0)
FROM contacts AS k
LEFT JOIN LATERAL (SELECT a.next_position, a.next_zone_set FROM number_after(k.id, k.position) AS a) AS other ON true
WHERE k.tenant_id = $1 AND k.id = ANY ($2::bigint[]) AND q.id = k.id
  AND NOT EXISTS (SELECT FROM numbers n WHERE n.contact_id = k.id AND n.position = k.position);

-- name: note
-- The audit rows of a change, one per number; $5: ids, $6: numbers, $7: the statuses before.
INSERT INTO call_events (tenant_id, campaign_id, at, kind, detail)
SELECT $1, $2, now(), $3, $4::jsonb || jsonb_build_object('number_id', x.id, 'number', x.e164, 'from', x.status)
FROM unnest($5::bigint[], $6::text[], $7::text[]) AS x (id, e164, status);
