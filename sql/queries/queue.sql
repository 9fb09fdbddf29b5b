-- A campaign's queue beside the claim. In place of "true /* filter */" store.queue and store.recycle put the condition
-- that store.filter_sql makes of a filter; it is about `c`.

-- name: share_filter
-- Whether the campaign's filter stays what it is until the end of the transaction; not while it is being changed.
SELECT pg_try_advisory_xact_lock_shared(hashtextextended('dialerd.filter', $1));

-- name: take_filter
-- From here to the end of the transaction nobody judges by the campaign's filter.
SELECT pg_advisory_xact_lock(hashtextextended('dialerd.filter', $1));

-- name: filter
-- The campaign's filter.
SELECT filter FROM campaigns WHERE id = $1;

-- name: promote
-- Contacts whose time has come go back into the queue, or are held by the filter ($3…); an agreed callback is never
-- held. A callback that its agent did not take goes to anyone.
WITH due AS (
    SELECT q.id FROM contacts q
    WHERE q.campaign_id = $1 AND q.state = 'waiting' AND q.next_at <= now()
    ORDER BY q.next_at LIMIT $2 FOR UPDATE SKIP LOCKED
), late AS (
    UPDATE contacts q SET callback_agent_id = NULL
    FROM campaigns k
    WHERE k.id = $1 AND q.campaign_id = k.id AND q.state = 'queued' AND q.callback_agent_id IS NOT NULL
      AND q.callback_at < now() - make_interval(secs => k.callback_patience_seconds)
)
UPDATE contacts c SET
    state = CASE WHEN c.callback_at IS NOT NULL OR (true /* filter */) THEN 'queued' ELSE 'held' END,
    rank = contact_rank(k.order_by, c.priority, c.attempts, c.last_outcome, c.callback_at IS NOT NULL, c.id)
FROM due, campaigns k
WHERE c.id = due.id AND k.id = $1
RETURNING c.state;

-- name: ids
-- The campaign's contacts in these states.
SELECT id FROM contacts WHERE campaign_id = $1 AND state = ANY ($2);

-- name: judge
-- Puts the contacts $2 where the filter ($3…) and the campaign's order want them.
WITH judged AS (
    SELECT c.id, CASE WHEN c.callback_at IS NOT NULL OR (true /* filter */) THEN 'queued' ELSE 'held' END AS state,
           contact_rank(k.order_by, c.priority, c.attempts, c.last_outcome, c.callback_at IS NOT NULL, c.id) AS rank
    FROM campaigns k JOIN contacts c ON c.campaign_id = k.id
    WHERE k.id = $1 AND c.id = ANY ($2) AND c.state IN ('queued', 'held')
)
UPDATE contacts q SET state = judged.state, rank = judged.rank
FROM judged
WHERE q.id = judged.id AND q.state IN ('queued', 'held') AND (q.state, q.rank) <> (judged.state, judged.rank);

-- name: over
-- Contacts that are over and pass the filter ($4…), of some lists (null: of any).
SELECT c.id, c.last_outcome FROM contacts c
WHERE c.tenant_id = $1 AND c.campaign_id = $2 AND c.state IN ('done', 'suppressed')
  AND ($3::bigint[] IS NULL OR c.list_id = ANY ($3)) AND (true /* filter */);

-- name: recycle
-- Those of the contacts $3 that are still over wait for their turn again, with their first number; with $4 their
-- attempts stay counted. All their numbers may be dialled again: the claim judges them anew. Where no number has a
-- known zone the contact stays as it is.
WITH taken AS (
    SELECT c.id FROM contacts c
    WHERE c.tenant_id = $1 AND c.campaign_id = $2 AND c.id = ANY ($3) AND c.state IN ('done', 'suppressed')
    FOR UPDATE
), begin AS (
    SELECT DISTINCT ON (n.contact_id) n.contact_id, n.position, n.zone_set
    FROM taken JOIN numbers n ON n.contact_id = taken.id
    WHERE n.zone_set <> 0 ORDER BY n.contact_id, n.position
), revived AS (
    UPDATE numbers n SET dead = NULL FROM begin WHERE n.contact_id = begin.contact_id AND n.dead IS NOT NULL
)
UPDATE contacts q SET
    state = 'waiting', next_at = now(), position = begin.position, zone_set = begin.zone_set,
    attempts = CASE WHEN $4 THEN q.attempts ELSE 0 END, tries = CASE WHEN $4 THEN q.tries ELSE '{}' END
FROM begin WHERE q.id = begin.contact_id
RETURNING q.last_outcome;

-- name: lists
-- Where a campaign's contacts came from, newest first.
SELECT l.id, l.name, l.contacts, l.imported_at, l.imported_by,
       (SELECT count(*) FROM contacts c WHERE c.campaign_id = l.campaign_id AND c.list_id = l.id
                                          AND c.state IN ('queued', 'waiting', 'held', 'claimed')) AS open
FROM lists l WHERE l.tenant_id = $1 AND l.campaign_id = $2 AND l.contacts > 0
ORDER BY l.id DESC LIMIT 1000;

-- name: lists_named
-- The lists of a campaign that have this name.
SELECT id FROM lists WHERE tenant_id = $1 AND campaign_id = $2 AND name = $3;
