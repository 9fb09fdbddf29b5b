-- The import of contacts, in batches inside one transaction. Columns come as one text each: asyncpg takes eight
-- microseconds to look at the elements of a row's arrays.

-- name: lock_import
-- One import into a campaign at a time; false when another one is at work.
SELECT pg_try_advisory_xact_lock(hashtextextended('dialerd.import', $1));

-- name: campaign_exists
-- Whether the campaign is the tenant's.
SELECT EXISTS (SELECT FROM campaigns WHERE tenant_id = $1 AND id = $2);

-- name: by_index
-- The tables grow within one transaction, unseen by the planner's figures: it shall not scan them for each batch, nor
-- compile statements that take a few milliseconds.
SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true);

-- name: known_numbers
-- Those of the numbers that are in the campaign already, and whose they are.
SELECT e164, contact_id FROM numbers WHERE campaign_id = $1 AND e164 = ANY (string_to_array($2, ','));

-- name: known_elsewhere
-- Those of the numbers that another campaign of the tenant has.
SELECT DISTINCT e164 FROM numbers WHERE tenant_id = $1 AND campaign_id <> $2 AND e164 = ANY (string_to_array($3, ','));

-- name: dnc_numbers
-- Those of the numbers that must not be called, whoever said so: installation, tenant or campaign. Where no list binds
-- the campaign, no number is looked at.
SELECT e164 FROM unnest(string_to_array($3, ',')) AS e164
WHERE EXISTS (SELECT FROM dnc_lists l WHERE coalesce(l.tenant_id, $1) = $1 AND coalesce(l.campaign_id, $2) = $2)
  AND EXISTS (SELECT FROM dnc_bars($1, $2, e164));

-- name: new_ids
-- As many fresh contact ids.
SELECT array_agg(nextval('contacts_id_seq')) FROM generate_series(1, $1);

-- name: zone_set
-- The id of a combination of zones.
SELECT zone_set_of($1);

-- name: add_list
-- Where the contacts of an import come from; its id.
INSERT INTO lists (tenant_id, campaign_id, name, imported_by) VALUES ($1, $2, $3, $4) RETURNING id;

-- name: list_called
-- The first list of that name in a campaign.
SELECT id FROM lists WHERE tenant_id = $1 AND campaign_id = $2 AND name = $3 ORDER BY id LIMIT 1;

-- name: count_list
-- More contacts came with a list, from id $3 on.
UPDATE lists SET contacts = contacts + $2, first_contact = coalesce(first_contact, $3) WHERE id = $1;

-- name: add_contacts
-- Contacts of a list, a text a column: numbers joined by commas; texts by the character 31, null being the character 30,
-- with one more at the end; custom data as a JSON array. Where the campaign has a filter they wait for it to be applied.
INSERT INTO contacts (id, tenant_id, campaign_id, list_id, external_id, name, priority, custom, position, zone_set, state,
                      rank)
OVERRIDING SYSTEM VALUE
SELECT x.id, $1, $2, $3, x.external_id, x.name, x.priority, x.custom, x.position, x.zone_set,
       CASE WHEN c.filter = '' THEN 'queued' ELSE 'waiting' END,
       contact_rank(c.order_by, x.priority, 0, NULL, false, x.id)
FROM ROWS FROM (
         unnest(string_to_array($4, ',')::bigint[]), unnest(string_to_array($5, chr(31), chr(30))),
         unnest(string_to_array($6, chr(31))), unnest(string_to_array($7, ',')::integer[]),
         jsonb_array_elements($8::text::jsonb), unnest(string_to_array($9, ',')::smallint[]),
         unnest(string_to_array($10, ',')::integer[])
     ) AS x (id, external_id, name, priority, custom, position, zone_set)
JOIN campaigns c ON c.id = $2
WHERE x.id IS NOT NULL;

-- name: add_numbers
-- Their numbers, a text a column, joined by commas.
INSERT INTO numbers (tenant_id, campaign_id, contact_id, position, e164, zone_set)
SELECT $1, $2, x.contact_id, x.position, x.e164, x.zone_set
FROM unnest(string_to_array($3, ',')::bigint[], string_to_array($4, ',')::smallint[], string_to_array($5, ','),
            string_to_array($6, ',')::integer[]) AS x (contact_id, position, e164, zone_set);

-- name: count
-- How many contacts a campaign has.
SELECT count(*) FROM contacts WHERE campaign_id = $1;

-- name: notify
-- Tells daemons that the campaign has something new.
SELECT pg_notify('dialerd', 'campaigns:' || $1::bigint);

-- name: page
-- Contacts of a campaign in order: those that have one of the numbers $3, or all (null); after id $4, at most $5.
SELECT c.id, c.campaign_id, c.external_id, c.name, c.priority, c.custom, c.state, c.attempts, c.last_outcome,
       c.created_at, CASE WHEN c.state = 'waiting' AND isfinite(c.next_at) THEN c.next_at END AS next_at,
       ARRAY(SELECT n.e164 FROM numbers n WHERE n.contact_id = c.id ORDER BY n.position) AS numbers
FROM contacts c
WHERE c.tenant_id = $1 AND c.campaign_id = $2
  -- The campaign's contacts lie close together, as a rule: begin where its oldest list does.
  AND c.id > greatest($4::bigint, (SELECT min(l.first_contact) - 1 FROM lists l WHERE l.campaign_id = $2))
  AND ($3::text[] IS NULL
       OR c.id IN (SELECT n.contact_id FROM numbers n WHERE n.campaign_id = $2 AND n.e164 = ANY ($3)))
ORDER BY c.id LIMIT $5;
