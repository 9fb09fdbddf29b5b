-- What a tenant need not keep any longer, erased in small pieces.

-- name: show
-- A tenant's setting, and when everything that was due had last been erased.
SELECT days, erased_seq, ran_at FROM retention WHERE tenant_id = $1;

-- name: set_days
-- How many days tenant $1 keeps its record; null: for ever.
INSERT INTO retention (tenant_id, days) VALUES ($1, $2) ON CONFLICT (tenant_id) DO UPDATE SET days = EXCLUDED.days;

-- name: due
-- Tenants whose last run is a day ago.
SELECT tenant_id FROM retention
WHERE days IS NOT NULL AND (ran_at IS NULL OR ran_at < now() - interval '1 day') ORDER BY tenant_id;

-- name: lock
-- One run of tenant $1 at a time, to the end of the session or unlock.
SELECT pg_try_advisory_lock(hashtextextended('dialerd.retention', $1));

-- name: unlock
-- The end of it.
SELECT pg_advisory_unlock(hashtextextended('dialerd.retention', $1));

-- name: ran
-- Everything that was due is erased.
UPDATE retention SET ran_at = now() WHERE tenant_id = $1;

-- name: campaigns
-- All campaigns of tenant $1.
SELECT id, name, legal_profile FROM campaigns WHERE tenant_id = $1 ORDER BY id;

-- name: erase_events
-- Details of the events of tenant $1 from before $2, at most $3, by $4; how many were passed, 0: none is left.
SELECT erase_events_v1($1, $2, $3, $4);

-- name: count_events
-- How many events that would be.
SELECT count(*) FROM seals s JOIN call_events e ON e.id = s.event_id
WHERE s.tenant_id = $1 AND s.salt IS NOT NULL AND e.at < $2 AND e.kind <> 'retention.erased'
  AND s.seq > (SELECT erased_seq FROM retention WHERE tenant_id = $1);

-- name: erase_attempts
-- Gives numbers of ended attempts of tenant $1 that were claimed before $2 a pseudonym, at most $3 attempts; what agents
-- wrote and what was pressed goes. Those with an outcome or disposition of $4 stay: a lockout for ever lives on them. How
-- many attempts were passed, 0: none is left. An attempt that has not ended is waited for.
WITH r AS (
    SELECT key, attempts_until AS since, least($2::timestamptz, (
        SELECT min(x.claimed_at) FROM attempts x WHERE x.tenant_id = $1 AND x.ended_at IS NULL)) AS until
    FROM retention WHERE tenant_id = $1 FOR UPDATE
), piece AS (
    -- Whole moments only, so that the next piece begins where this one ends.
    SELECT max(p.claimed_at) AS last FROM (
        SELECT a.claimed_at FROM r, campaigns c, LATERAL (
            SELECT x.claimed_at FROM attempts x
            WHERE x.campaign_id = c.id AND x.claimed_at > r.since AND x.claimed_at < r.until
            ORDER BY x.claimed_at LIMIT $3
        ) AS a WHERE c.tenant_id = $1 ORDER BY a.claimed_at LIMIT $3
    ) AS p
), old AS (
    SELECT a.id, a.e164 FROM r, piece, campaigns c, LATERAL (
        SELECT x.id, x.e164, x.outcome, x.disposition FROM attempts x
        WHERE x.campaign_id = c.id AND x.claimed_at > r.since AND x.claimed_at <= piece.last
    ) AS a WHERE c.tenant_id = $1
      AND NOT (coalesce(a.outcome = ANY ($4::text[]), false) OR coalesce(a.disposition = ANY ($4::text[]), false))
), pressed AS (
    UPDATE inputs i SET digits = '' FROM old WHERE i.attempt_id = old.id AND i.tenant_id = $1
), forgotten AS (
    UPDATE attempts a SET e164 = pseudonym(r.key, old.e164), message = NULL, detail = NULL
    FROM old, r WHERE a.id = old.id AND old.e164 LIKE '+%' RETURNING a.id
), moved AS (
    UPDATE retention SET attempts_until = piece.last FROM piece WHERE tenant_id = $1 AND piece.last IS NOT NULL
    RETURNING tenant_id
)
SELECT (SELECT count(*) FROM forgotten) AS erased, (SELECT count(*) FROM moved) > 0 AS more;

-- name: count_attempts
-- How many attempts of tenant $1 were claimed before $2 and still have their number.
SELECT count(*) FROM campaigns c JOIN attempts a ON a.campaign_id = c.id
WHERE c.tenant_id = $1 AND a.state = 'ended' AND a.claimed_at < $2 AND a.e164 LIKE '+%'
  AND NOT (coalesce(a.outcome = ANY ($3::text[]), false) OR coalesce(a.disposition = ANY ($3::text[]), false));

-- name: quiet_campaigns
-- Campaigns of tenant $1 that are over, and in which nothing has happened since $2: their contacts can go.
SELECT c.id FROM campaigns c LEFT JOIN contacts_erased e ON e.campaign_id = c.id
WHERE c.tenant_id = $1 AND c.state IN ('stopped', 'completed') AND greatest(c.updated_at, c.created_at) < $2
  AND NOT EXISTS (SELECT FROM attempts a WHERE a.campaign_id = c.id AND a.claimed_at >= $2)
  AND NOT EXISTS (SELECT FROM lists l WHERE l.campaign_id = c.id AND l.imported_at >= $2)
  AND (e.at IS NULL OR EXISTS (SELECT FROM lists l WHERE l.campaign_id = c.id AND l.imported_at >= e.at))
ORDER BY c.id;

-- name: contact_ids
-- The lowest and the highest id of the contacts of campaign $2: an import gives them one after the other.
SELECT min(id) AS first, max(id) AS last FROM contacts WHERE tenant_id = $1 AND campaign_id = $2;

-- name: erase_contacts
-- Contacts of campaign $2 with ids from $3 to $4: name, numbers and all that came with them; they stay as done, to be
-- counted. How many.
WITH old AS (
    SELECT id FROM contacts WHERE tenant_id = $1 AND campaign_id = $2 AND id BETWEEN $3 AND $4
), numbers_gone AS (
    DELETE FROM numbers n USING old WHERE n.contact_id = old.id
), blank AS (
    UPDATE contacts q SET
        name = '', custom = '{}', external_id = NULL, last_message = NULL, callback_at = NULL, callback_agent_id = NULL,
        state = CASE WHEN q.state = 'suppressed' THEN 'suppressed' ELSE 'done' END
    FROM old WHERE q.id = old.id AND q.state <> 'claimed'
)
SELECT count(*) FROM old;

-- name: count_contacts
-- How many contacts campaigns $2 of tenant $1 have.
SELECT count(*) FROM contacts WHERE tenant_id = $1 AND campaign_id = ANY ($2::bigint[]);

-- name: contacts_erased
-- Campaign $2 has no contacts to erase any more.
INSERT INTO contacts_erased (tenant_id, campaign_id) VALUES ($1, $2)
ON CONFLICT (campaign_id) DO UPDATE SET at = now();
