-- Do-not-call lists: whom they bar, and how they change. A scope is (tenant, campaign); null means all of them.

-- name: bars
-- Those of the numbers $3 that a campaign must not call, each with a list that says so.
SELECT e164, barred.list
FROM unnest($3::text[]) AS e164, LATERAL (SELECT list FROM dnc_bars($1, $2, e164) AS list LIMIT 1) AS barred;

-- name: find_list
-- A list by scope and name, held until the end of the transaction.
SELECT id, kind, as_of FROM dnc_lists
WHERE tenant_id IS NOT DISTINCT FROM $1 AND campaign_id IS NOT DISTINCT FROM $2 AND name = $3 FOR UPDATE;

-- name: hold_claims
-- Lets claims wait until the end of the transaction. Taken first, before any row: two additions then never wait for
-- each other in a circle.
SELECT pg_advisory_xact_lock(dnc_lock_key());

-- name: own_list
-- A list by scope and name.
SELECT id, kind FROM dnc_lists
WHERE tenant_id IS NOT DISTINCT FROM $1 AND campaign_id IS NOT DISTINCT FROM $2 AND name = $3;

-- name: new_list_id
-- The id of a list that is about to be.
SELECT nextval(pg_get_serial_sequence('dnc_lists', 'id'));

-- name: put_list
-- Makes a list; or renews its date and, where given, source and limit.
INSERT INTO dnc_lists (id, tenant_id, campaign_id, name, kind, source, as_of, max_age_days) OVERRIDING SYSTEM VALUE
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE SET
    as_of = EXCLUDED.as_of, source = COALESCE(NULLIF(EXCLUDED.source, ''), dnc_lists.source),
    max_age_days = COALESCE(EXCLUDED.max_age_days, dnc_lists.max_age_days);

-- name: make_own
-- An own list, unless there is a list of that name.
INSERT INTO dnc_lists (tenant_id, campaign_id, name, kind) VALUES ($1, $2, $3, 'own') ON CONFLICT DO NOTHING;

-- name: add_numbers
-- New entries by number; those that were not there.
INSERT INTO dnc_numbers (list_id, number, source) SELECT $1, number, $3 FROM unnest($2::bigint[]) AS number
ON CONFLICT DO NOTHING RETURNING number AS digits;

-- name: add_prefixes
-- New entries by prefix; those that were not there.
INSERT INTO dnc_prefixes (list_id, prefix, source) SELECT $1, prefix, $3 FROM unnest($2::bigint[]) AS prefix
ON CONFLICT DO NOTHING RETURNING prefix AS digits;

-- name: remove_numbers
-- Entries by number that are no more, as they were.
DELETE FROM dnc_numbers WHERE list_id = $1 AND number = ANY ($2::bigint[])
RETURNING number AS digits, added_at, source;

-- name: remove_prefixes
-- Entries by prefix that are no more, as they were.
DELETE FROM dnc_prefixes WHERE list_id = $1 AND prefix = ANY ($2::bigint[])
RETURNING prefix AS digits, added_at, source;

-- name: flag_live
-- A note on each live call to a number that this transaction has put on list $1: the call goes on, the next one will
-- not be. To be asked after the additions: these wait for the claims, so that no attempt is missed.
INSERT INTO call_events (tenant_id, campaign_id, attempt_id, at, kind, detail)
SELECT a.tenant_id, a.campaign_id, a.id, now(), 'dnc.during_call', jsonb_build_object('list', l.name)
FROM attempts a JOIN dnc_lists l ON l.id = $1
WHERE a.ended_at IS NULL
  AND (l.tenant_id IS NULL OR l.tenant_id = a.tenant_id)
  AND (l.campaign_id IS NULL OR l.campaign_id = a.campaign_id)
  AND (EXISTS (SELECT FROM dnc_numbers d
               WHERE d.number = substr(a.e164, 2)::bigint AND d.list_id = $1 AND d.added_at = now())
    OR EXISTS (SELECT FROM dnc_prefixes d
               WHERE d.prefix = ANY (dnc_prefixes_of(substr(a.e164, 2)::bigint)) AND d.list_id = $1
                 AND d.added_at = now()));

-- name: check
-- Every entry that bars the digits $2 from any campaign of tenant $1, widest scope first.
SELECT l.name AS list, l.kind, CASE WHEN l.tenant_id IS NULL THEN 'system' WHEN l.campaign_id IS NULL THEN 'tenant'
                                    ELSE 'campaign' END AS scope,
       c.name AS campaign, e.matched, coalesce(e.source, l.source) AS source, e.added_at, l.as_of
FROM (SELECT list_id, '+' || number AS matched, source, added_at FROM dnc_numbers WHERE number = $2
      UNION ALL
      SELECT list_id, '+' || prefix || '…', source, added_at FROM dnc_prefixes
      WHERE prefix = ANY (dnc_prefixes_of($2))) AS e
JOIN dnc_lists l ON l.id = e.list_id
LEFT JOIN campaigns c ON c.id = l.campaign_id
WHERE l.tenant_id IS NULL OR l.tenant_id = $1
ORDER BY l.tenant_id NULLS FIRST, l.campaign_id NULLS FIRST, l.name, e.matched;

-- name: lists
-- The lists of the installation and of tenant $1, widest scope first, with how much is on them.
WITH counted AS (SELECT list_id, count(*) AS n FROM dnc_numbers GROUP BY list_id)
SELECT l.id, l.name, l.kind, CASE WHEN l.tenant_id IS NULL THEN 'system' WHEN l.campaign_id IS NULL THEN 'tenant'
                                  ELSE 'campaign' END AS scope,
       c.name AS campaign, l.source, l.as_of, l.max_age_days,
       coalesce(l.as_of + make_interval(days => l.max_age_days) < now(), false) AS stale,
       coalesce(n.n, 0) AS numbers, (SELECT count(*) FROM dnc_prefixes p WHERE p.list_id = l.id) AS prefixes
FROM dnc_lists l LEFT JOIN campaigns c ON c.id = l.campaign_id LEFT JOIN counted n ON n.list_id = l.id
WHERE l.tenant_id IS NULL OR l.tenant_id = $1
ORDER BY l.tenant_id NULLS FIRST, l.campaign_id NULLS FIRST, l.name;

-- name: make_staging
-- Where a list's new contents wait until they are complete; this session's own.
CREATE TEMP TABLE dnc_staging (number bigint NOT NULL);

-- name: drop_staging
-- The end of it.
DROP TABLE IF EXISTS pg_temp.dnc_staging;

-- name: analyze_staging
-- Tells the planner how many wait.
ANALYZE dnc_staging;

-- name: count_list
-- How many numbers are on a list.
SELECT count(*) FROM dnc_numbers WHERE list_id = $1;

-- name: merge_away
-- Takes off a list what is no more in its new contents.
DELETE FROM dnc_numbers d WHERE d.list_id = $1 AND NOT EXISTS (SELECT FROM dnc_staging s WHERE s.number = d.number);

-- name: merge_in
-- Puts on a list what its new contents bring, in the index's order.
INSERT INTO dnc_numbers (number, list_id) SELECT DISTINCT number, $1::integer FROM dnc_staging ORDER BY number
ON CONFLICT DO NOTHING;

-- name: vacuum
-- Sets the visibility map, without which the check is not index-only, and tells the planner what there is.
VACUUM (ANALYZE) dnc_numbers, dnc_prefixes, dnc_lists;

-- name: waiting_numbers
-- The next $3 numbers of a campaign's contacts that may still be called, after number id $2.
SELECT n.id, n.e164 FROM numbers n JOIN contacts q ON q.id = n.contact_id
WHERE n.campaign_id = $1 AND n.id > $2 AND q.state IN ('queued', 'claimed') ORDER BY n.id LIMIT $3;

-- name: lock_consent
-- One consent change of a number at a time.
SELECT pg_advisory_xact_lock(hashtextextended('dialerd.consent:' || $2::text, $1));

-- name: last_consent
-- The newest word on a number.
SELECT kind, source, attempt_id FROM consents WHERE tenant_id = $1 AND e164 = $2 ORDER BY at DESC, id DESC LIMIT 1;

-- name: add_consent
-- A word on a number.
INSERT INTO consents (tenant_id, e164, kind, source, attempt_id, at) VALUES ($1, $2, $3, $4, $5, clock_timestamp());

-- name: opt_out_lists
-- The tenant's own lists of opt-outs, its campaigns' among them.
SELECT id FROM dnc_lists WHERE tenant_id = $1 AND kind = 'own' AND name = $2;
