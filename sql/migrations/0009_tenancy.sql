-- Every row belongs to a tenant, and a session sees its tenant's rows only, whatever a statement forgets to ask for.
-- dialerd.tenant: a tenant's id; or 'all', for the daemon and for migrations. Not set: nothing is there. It binds the
-- owner too (FORCE), but not PostgreSQL's superusers.

-- Null for 'all', 0 when nothing is set: no tenant has that id. As `(SELECT session_tenant())` it is asked once a
-- statement, not once a row.
CREATE FUNCTION session_tenant() RETURNS integer LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE current_setting('dialerd.tenant', true)
               WHEN 'all' THEN NULL
               ELSE coalesce(nullif(current_setting('dialerd.tenant', true), ''), '0')::integer END
$$;

DO $$
DECLARE
    name text;
    own  constant text := '(tenant_id = (SELECT session_tenant())) IS NOT FALSE';   -- null: everybody's
BEGIN
    FOREACH name IN ARRAY ARRAY['campaigns', 'lists', 'contacts', 'numbers', 'agents', 'agent_states', 'caller_ids',
                                'attempts', 'call_events', 'consents', 'inputs', 'holidays_extra']
    LOOP
        EXECUTE format('CREATE POLICY own ON %I USING (%s)', name, own);
    END LOOP;
    -- What belongs to a row of another table is seen by whoever sees that row.
    EXECUTE 'CREATE POLICY own ON tenants USING ((id = (SELECT session_tenant())) IS NOT FALSE)';
    EXECUTE 'CREATE POLICY own ON campaign_windows USING ((SELECT session_tenant()) IS NULL'
         || ' OR EXISTS (SELECT FROM campaigns c WHERE c.id = campaign_id))';
    EXECUTE 'CREATE POLICY own ON agent_queues USING ((SELECT session_tenant()) IS NULL'
         || ' OR EXISTS (SELECT FROM agents a WHERE a.id = agent_id))';
    -- The installation''s lists bind every tenant, so every tenant may see them; only ''all'' may change them.
    FOREACH name IN ARRAY ARRAY['dnc_lists', 'trunks'] LOOP
        EXECUTE format('CREATE POLICY own ON %I USING ((coalesce(tenant_id, -1) = (SELECT session_tenant()))'
                    || ' IS NOT FALSE)', name);
        EXECUTE format('CREATE POLICY shared ON %I FOR SELECT USING'
                    || ' (tenant_id IS NULL AND (SELECT session_tenant()) <> 0)', name);
    END LOOP;
    EXECUTE 'CREATE POLICY own ON installation USING ((SELECT session_tenant()) IS NULL)';
    EXECUTE 'CREATE POLICY shared ON installation FOR SELECT USING ((SELECT session_tenant()) <> 0)';
    FOREACH name IN ARRAY ARRAY['dnc_numbers', 'dnc_prefixes'] LOOP
        EXECUTE format('CREATE POLICY seen ON %I FOR SELECT USING ((SELECT session_tenant()) IS NULL'
                    || ' OR EXISTS (SELECT FROM dnc_lists l WHERE l.id = list_id))', name);
        EXECUTE format('CREATE POLICY own ON %I USING ((SELECT session_tenant()) IS NULL'
                    || ' OR EXISTS (SELECT FROM dnc_lists l WHERE l.id = list_id AND l.tenant_id IS NOT NULL))', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['tenants', 'campaigns', 'campaign_windows', 'lists', 'contacts', 'numbers', 'agents',
                                'agent_queues', 'agent_states', 'caller_ids', 'attempts', 'call_events', 'consents',
                                'inputs', 'holidays_extra', 'dnc_lists', 'dnc_numbers', 'dnc_prefixes', 'trunks',
                                'installation']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
    END LOOP;
END $$;

-- What belongs to a campaign belongs to the campaign's tenant. One foreign key says the same as two. (Not contacts'
-- numbers and attempts, for speed: the import and the claim take tenant and campaign from rows that they hold.)
ALTER TABLE lists
    DROP CONSTRAINT lists_tenant_id_fkey, DROP CONSTRAINT lists_campaign_id_fkey,
    ADD FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaigns (tenant_id, id) ON DELETE CASCADE;
ALTER TABLE caller_ids
    DROP CONSTRAINT caller_ids_campaign_id_fkey,
    ADD FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaigns (tenant_id, id) ON DELETE CASCADE;
ALTER TABLE dnc_lists
    DROP CONSTRAINT dnc_lists_campaign_id_fkey,
    ADD FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaigns (tenant_id, id) ON DELETE CASCADE;
