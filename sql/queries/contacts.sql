-- The import of contacts, in batches inside one transaction.

-- name: lock_import
-- One import into a campaign at a time; false when another one is at work.
SELECT pg_try_advisory_xact_lock(hashtextextended('dialerd.import', $1));

-- name: campaign_exists
-- Whether the campaign is the tenant's.
SELECT EXISTS (SELECT FROM campaigns WHERE tenant_id = $1 AND id = $2);

-- name: by_index
-- The tables grow within one transaction, unseen by the planner's figures: it shall not scan them for each batch.
SET LOCAL enable_seqscan = off;

-- name: known_numbers
-- Those of the numbers that are in the campaign already, and whose they are.
SELECT e164, contact_id FROM numbers WHERE campaign_id = $1 AND e164 = ANY ($2);

-- name: known_elsewhere
-- Those of the numbers that another campaign of the tenant has.
SELECT DISTINCT e164 FROM numbers WHERE tenant_id = $1 AND campaign_id <> $2 AND e164 = ANY ($3);

-- name: dnc_numbers
-- Those of the numbers that must not be called, whoever said so: installation, tenant or campaign.
SELECT e164 FROM unnest($3::text[]) AS e164 WHERE EXISTS (SELECT FROM dnc_bars($1, $2, e164));

-- name: new_ids
-- As many fresh contact ids.
SELECT array_agg(nextval(pg_get_serial_sequence('contacts', 'id'))) FROM generate_series(1, $1);

-- name: count
-- How many contacts a campaign has.
SELECT count(*) FROM contacts WHERE campaign_id = $1;

-- name: notify
-- Tells daemons that the campaign has something new.
SELECT pg_notify('dialerd', 'campaigns:' || $1::bigint);
