-- Single calls: whose campaign they belong to, the one contact that is claimed, and requests that come twice. What a
-- request does is one transaction, which a refusal takes back as a whole.

-- name: campaign
-- The tenant's campaign for single calls; null: it has none yet.
SELECT id FROM campaigns WHERE tenant_id = $1 AND single_calls;

-- name: start_campaign
-- Campaign $2 is from now on the one for single calls, and active.
UPDATE campaigns SET single_calls = true, state = 'active', started_at = now() WHERE tenant_id = $1 AND id = $2;

-- name: forget
-- Requests that are too old to be known again, some at a time.
DELETE FROM call_requests WHERE id IN (
    SELECT id FROM call_requests WHERE at < now() - interval '2 days' ORDER BY at LIMIT 100 FOR UPDATE SKIP LOCKED
);

-- name: lock_key
-- One request with this key at a time, until the end of the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('dialerd.call ' || $2::text, $1));

-- name: known
-- The call that a request with this key was about.
SELECT r.id::text, r.digest, r.dry_e164 IS NOT NULL AS dry_run, coalesce(a.claimed_at, r.at) AS at
FROM call_requests r LEFT JOIN attempts a ON a.id = r.id WHERE r.tenant_id = $1 AND r.key = $2;

-- name: remember
-- The request by which a call is known again ($4: its key or null; $5: the number that a dry run did not call, or null).
INSERT INTO call_requests (id, tenant_id, digest, key, dry_e164) VALUES ($1::uuid, $2, $3, $4, $5);

-- name: new_id
-- An id for a call that is not placed.
SELECT uuid7()::text;

-- name: dry_call
-- A call that a dry run did not place.
SELECT id::text, dry_e164 AS e164, at FROM call_requests WHERE tenant_id = $1 AND id = $2 AND dry_e164 IS NOT NULL;

-- name: zone_set
-- The id of a combination of zones.
SELECT zone_set_of($1);

-- name: lock_campaign
-- The campaign, as the claim locks it: two calls of it look at the same contact one after the other.
SELECT id FROM campaigns WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE;

-- name: number
-- A number of a campaign, and its contact, which nobody else changes until the end of the transaction.
SELECT n.contact_id, n.position, n.zone_set, n.dead IS NOT NULL AS dead, q.state
FROM numbers n JOIN contacts q ON q.id = n.contact_id
WHERE n.campaign_id = $1 AND n.e164 = $2 FOR UPDATE OF q;

-- name: add_contact
-- A contact with one number, in the queue; its id.
WITH made AS (
    INSERT INTO contacts (tenant_id, campaign_id, zone_set) VALUES ($1, $2, $4) RETURNING id
)
INSERT INTO numbers (tenant_id, campaign_id, contact_id, e164, zone_set)
SELECT $1, $2, made.id, $3, $4 FROM made RETURNING contact_id;

-- name: ask_again
-- A contact of the campaign for single calls is asked for anew: what was tried before does not count against it (limits
-- of calls to a number do, in the claim), nor why the number was given up.
WITH alive AS (UPDATE numbers SET dead = NULL, zone_set = $3 WHERE contact_id = $1 AND position = $2)
UPDATE contacts SET state = 'queued', position = $2, zone_set = $3, attempts = 0, tries = '{}', callback_at = NULL,
                    callback_agent_id = NULL
WHERE id = $1;

-- name: turn
-- It is this number's turn.
UPDATE contacts SET position = $2, zone_set = $3 WHERE id = $1 AND state = 'queued';

-- name: created_at
-- When a call was claimed; of one that a dry run did not place, now.
SELECT coalesce((SELECT claimed_at FROM attempts WHERE id = $1::uuid), now());
