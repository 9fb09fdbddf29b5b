-- The sealed record: sealing it, and reading it again to hold it against its seals.

-- name: seal
-- Seals at most $1 committed events; how many.
SELECT seal_v1($1);

-- name: heads
-- The last seal of each tenant.
SELECT h.tenant_id, h.seq, h.hash FROM tenants t, LATERAL (
    SELECT s.tenant_id, s.seq, s.hash FROM seals s WHERE s.tenant_id = t.id ORDER BY s.seq DESC LIMIT 1) AS h
ORDER BY h.tenant_id;

-- name: head
-- The last seal of tenant $1.
SELECT seq, hash, xid::text::bigint AS xid, event_id FROM seals WHERE tenant_id = $1 ORDER BY seq DESC LIMIT 1;

-- name: hash_at
-- The hash of seal $2 of tenant $1.
SELECT hash FROM seals WHERE tenant_id = $1 AND seq = $2;

-- name: sealed
-- Every seal of tenant $1 in order, each with its event, if that is there.
SELECT s.seq, s.event_id, s.xid::text::bigint AS seal_xid, s.salt, s.content, s.digest, s.hash,
       e.id, e.tenant_id, e.campaign_id, e.attempt_id, e.at, e.xid::text::bigint AS xid, e.kind, e.detail::text AS detail
FROM seals s LEFT JOIN call_events e ON e.id = s.event_id
WHERE s.tenant_id = $1 ORDER BY s.seq;

-- name: behind
-- Events of tenant $1 without a seal although the chain has passed them: it stands at (xid $2, id $3).
SELECT e.id, e.kind, e.at FROM call_events e LEFT JOIN seals s ON s.event_id = e.id
WHERE e.tenant_id = $1 AND s.event_id IS NULL AND (e.xid, e.id) <= ($2::text::xid8, $3::bigint)
ORDER BY e.xid, e.id;

-- name: tail
-- How many events of tenant $1 wait to be sealed behind (xid $2, id $3), since when, and how many of them never will be
-- because their transaction is none of this server's.
SELECT count(*) AS events, min(e.at) AS since,
       count(*) FILTER (WHERE e.xid >= pg_snapshot_xmax(pg_current_snapshot())) AS foreign_xid
FROM call_events e WHERE e.tenant_id = $1 AND (e.xid, e.id) > ($2::text::xid8, $3::bigint);

-- name: erasures
-- What erasures of tenant $1 cover: ranges of seq, in order.
SELECT (detail ->> 'first')::bigint AS first, (detail ->> 'last')::bigint AS last FROM call_events
WHERE tenant_id = $1 AND kind = 'retention.erased' ORDER BY 1;
