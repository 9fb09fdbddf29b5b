-- The import of contacts, in batches inside one transaction.

-- name: lock_import
-- One import into a campaign at a time; false when another one is at work.
SELECT pg_try_advisory_xact_lock(hashtextextended('dialerd.import', $1));

-- name: campaign_exists
-- Whether the campaign is the tenant's.
SELECT EXISTS (SELECT FROM campaigns WHERE tenant_id = $1 AND id = $2);

-- name: known_numbers
-- Those of the numbers that are in the campaign already.
SELECT e164 FROM numbers WHERE campaign_id = $1 AND e164 = ANY ($2);

-- name: dnc_numbers
-- Those of the numbers that must not be called, whoever said so: installation, tenant or campaign.
SELECT e164 FROM unnest($3::text[]) AS e164 WHERE EXISTS (SELECT FROM dnc_bars($1, $2, e164));

-- name: new_ids
-- As many fresh contact ids.
SELECT nextval(pg_get_serial_sequence('contacts', 'id')) AS id FROM generate_series(1, $1);

-- name: add_contacts
-- A batch of contacts under ids taken before.
INSERT INTO contacts (id, tenant_id, campaign_id, external_id, name, priority, custom)
OVERRIDING SYSTEM VALUE
SELECT id, $1, $2, external_id, name, priority, custom::jsonb
FROM unnest($3::bigint[], $4::text[], $5::text[], $6::integer[], $7::text[]) AS r (id, external_id, name, priority, custom);

-- name: count
-- How many contacts a campaign has.
SELECT count(*) FROM contacts WHERE campaign_id = $1;

-- name: notify
-- Tells daemons that the campaign has something new.
SELECT pg_notify('dialerd', 'campaigns:' || $1::bigint);
