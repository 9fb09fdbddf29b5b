-- Recordings of calls: what is recorded, where it is kept, and for how long.

-- name: begin
-- A recording begins: name $1 of attempt $2 on node $3, why $4, at $5, announced $6. Twice is once; none where there is
-- no such attempt.
INSERT INTO recordings (name, tenant_id, campaign_id, attempt_id, node, why, begun_at, announced)
SELECT $1, a.tenant_id, a.campaign_id, a.id, $3, $4, $5, $6 FROM attempts a WHERE a.id = $2
ON CONFLICT (name) DO NOTHING;

-- name: never_begun
-- Recording $1 has come to nothing.
DELETE FROM recordings WHERE name = $1 AND state = 'recording';

-- name: open_of
-- The recordings of attempt $1 that were begun and are not stored, newest first.
SELECT name, why, announced FROM recordings WHERE attempt_id = $1 AND state = 'recording' ORDER BY begun_at DESC;

-- name: paused
-- Whether recording $2 of attempt $1 was paused and not resumed.
SELECT coalesce((
    SELECT e.kind = 'recording.paused' FROM call_events e
    WHERE e.attempt_id = $1 AND e.kind IN ('recording.paused', 'recording.resumed') AND e.detail ->> 'name' = $2
    ORDER BY e.id DESC LIMIT 1), false);

-- name: about
-- A recording that Asterisk holds, by its name $1 and its attempt $2: what is on record of it, and of its call.
SELECT r.state, a.tenant_id, a.campaign_id, a.claimed_at, coalesce(r.begun_at, a.connected_at, a.claimed_at) AS begun_at,
       CASE c.recording WHEN 'never' THEN 'demand' ELSE c.recording END AS why
FROM attempts a
JOIN campaigns c ON c.id = a.campaign_id
LEFT JOIN recordings r ON r.name = $1
WHERE a.id = $2;

-- name: stored
-- Recording $1 is in its place: $2 place, $3 key, $4 bytes, $5 seconds, $6 sha256; not one that is there already.
UPDATE recordings SET state = 'stored', place = $2, key = $3, bytes = $4, seconds = $5, sha256 = $6, stored_at = now()
WHERE name = $1 AND state IN ('recording', 'lost') RETURNING tenant_id;

-- name: open
-- The recordings of node $1 that are not stored and began before $2, at most $3.
SELECT name, tenant_id, campaign_id, attempt_id::text FROM recordings
WHERE node = $1 AND state = 'recording' AND begun_at < $2 ORDER BY begun_at LIMIT $3;

-- name: lost
-- Recording $1 is nowhere.
UPDATE recordings SET state = 'lost' WHERE name = $1 AND state = 'recording' RETURNING tenant_id;

-- name: due
-- Recordings of node $1 whose days are over at $2, at most $4; $3: legal profile → days that it wants them kept.
SELECT r.name, r.tenant_id FROM recordings r
JOIN campaigns c ON c.id = r.campaign_id
JOIN tenants t ON t.id = r.tenant_id
LEFT JOIN retention k ON k.tenant_id = r.tenant_id
WHERE r.node = $1 AND r.state = 'stored'
  AND r.begun_at < $2::timestamptz - make_interval(days => greatest(
        coalesce(c.recording_days, t.recording_days, k.days), ($3::jsonb ->> c.legal_profile)::integer))
  AND coalesce(c.recording_days, t.recording_days, k.days) IS NOT NULL
ORDER BY r.begun_at LIMIT $4;

-- name: found
-- Recordings of tenant $1, newest first, at most $6: of campaign $2, contact $3, attempt $4, with name $5, where these
-- are not null.
SELECT r.name, r.attempt_id::text AS attempt, r.campaign_id, a.contact_id, r.node, r.why, r.state, r.begun_at, r.announced,
       r.seconds, r.bytes, r.sha256, r.place, r.key, r.stored_at, r.erased_at, r.erased_by
FROM recordings r JOIN attempts a ON a.id = r.attempt_id
WHERE r.tenant_id = $1 AND ($2::bigint IS NULL OR r.campaign_id = $2) AND ($3::bigint IS NULL OR a.contact_id = $3)
  AND ($4::uuid IS NULL OR r.attempt_id = $4) AND ($5::text IS NULL OR r.name = $5)
ORDER BY r.begun_at DESC, r.name LIMIT $6;

-- name: one
-- Recording $2 of tenant $1, for whoever would erase it.
SELECT r.name, r.state, r.place, r.key, r.begun_at, r.campaign_id, r.attempt_id::text AS attempt, c.legal_profile
FROM recordings r JOIN campaigns c ON c.id = r.campaign_id WHERE r.tenant_id = $1 AND r.name = $2;

-- name: erased
-- The sound of recording $1 is gone, by $2.
UPDATE recordings SET state = 'erased', erased_at = now(), erased_by = $2 WHERE name = $1 AND state <> 'erased'
RETURNING tenant_id;

-- name: add_event
-- An event of attempt $3 of campaign $2 of tenant $1.
INSERT INTO call_events (tenant_id, campaign_id, attempt_id, at, kind, detail) VALUES ($1, $2, $3, now(), $4, $5);

-- name: days
-- For how many days tenant $1 keeps recordings, and its record.
SELECT t.recording_days, k.days AS record_days FROM tenants t LEFT JOIN retention k ON k.tenant_id = t.id WHERE t.id = $1;

-- name: set_days
-- Tenant $1 keeps recordings for $2 days; null: as long as its record.
UPDATE tenants SET recording_days = $2 WHERE id = $1;
