-- IVR flows: which one a campaign's answered calls go through, and the keys that are pressed in it.

ALTER TABLE campaigns
    -- The name of a flow, NAME.toml in the daemon's folder of flows; null: none.
    ADD COLUMN flow text CHECK (flow ~ '^[a-z][a-z0-9_-]{0,63}$');
ALTER TABLE campaigns ADD CHECK (flow IS NULL OR broadcast IS NULL);

-- As record_v2, which stays for a daemon of the release before, and one more kind of row:
--   {"input": {tenant_id, attempt_id, digits, node_name, at}}   a key that was pressed, in the order of the rows
CREATE FUNCTION record_v3(p_run uuid, p_node text, p_batch bigint, p_rows jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT record_v2(p_run, p_node, p_batch, p_rows) THEN
        RETURN false;
    END IF;
    INSERT INTO inputs (tenant_id, attempt_id, digits, node_name, at)
    SELECT i.tenant_id, i.attempt_id, i.digits, i.node_name, i.at
    FROM jsonb_array_elements(p_rows) WITH ORDINALITY AS r (value, n),
         jsonb_to_record(r.value -> 'input') AS i (
             tenant_id integer, attempt_id uuid, digits text, node_name text, at timestamptz)
    WHERE r.value ? 'input'
    ORDER BY r.n;
    RETURN true;
END $$;
