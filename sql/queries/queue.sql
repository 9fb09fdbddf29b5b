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
