-- When a tenant and a campaign may call, beyond the weekly windows: holidays, legal profile, purpose.

ALTER TABLE tenants
    ADD COLUMN skip_holidays     boolean NOT NULL DEFAULT true,   -- nobody is called on public holidays
    ADD COLUMN schedule_version  integer NOT NULL DEFAULT 1;      -- grows with every change of what allows calls

ALTER TABLE campaigns
    ADD COLUMN legal_profile  text CHECK (legal_profile <> ''),   -- a shipped profile's name; null: none
    ADD COLUMN skip_holidays  boolean,                            -- null: as the tenant has it
    ADD COLUMN purpose        text NOT NULL DEFAULT 'marketing'
                              CHECK (purpose IN ('marketing', 'debt', 'research', 'service'));

-- Days off of a tenant beside the public holidays, for all its numbers.
CREATE TABLE holidays_extra (
    tenant_id  integer NOT NULL REFERENCES tenants,
    day        date NOT NULL,
    name       text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, day)
);

-- The tenant's own switches count in the same statement; a change by the triggers below passes through untouched.
CREATE FUNCTION count_tenant_schedule() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.enabled, OLD.skip_holidays) IS DISTINCT FROM (NEW.enabled, NEW.skip_holidays) THEN
        NEW.schedule_version := OLD.schedule_version + 1;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER tenants_schedule BEFORE UPDATE OF enabled, skip_holidays ON tenants
    FOR EACH ROW EXECUTE FUNCTION count_tenant_schedule();

-- Once a statement, however many rows it changes; `changed` holds those rows.
CREATE FUNCTION count_schedule() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE TG_TABLE_NAME
        WHEN 'campaign_windows' THEN
            UPDATE tenants SET schedule_version = schedule_version + 1
            WHERE id IN (SELECT c.tenant_id FROM campaigns c JOIN changed ON changed.campaign_id = c.id);
        WHEN 'holidays_extra' THEN
            UPDATE tenants SET schedule_version = schedule_version + 1 WHERE id IN (SELECT tenant_id FROM changed);
        WHEN 'campaigns' THEN
            UPDATE tenants SET schedule_version = schedule_version + 1
            WHERE id IN (SELECT n.tenant_id FROM changed n JOIN before o ON o.id = n.id
                         WHERE (o.legal_profile, o.skip_holidays, o.purpose)
                               IS DISTINCT FROM (n.legal_profile, n.skip_holidays, n.purpose));
        WHEN 'installation' THEN
            IF EXISTS (SELECT FROM changed n, before o WHERE n.enabled <> o.enabled) THEN
                UPDATE tenants SET schedule_version = schedule_version + 1;
            END IF;
    END CASE;
    RETURN NULL;
END $$;
CREATE TRIGGER windows_added AFTER INSERT ON campaign_windows
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_schedule();
CREATE TRIGGER windows_changed AFTER UPDATE ON campaign_windows
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_schedule();
CREATE TRIGGER windows_removed AFTER DELETE ON campaign_windows
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_schedule();
CREATE TRIGGER holidays_added AFTER INSERT ON holidays_extra
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_schedule();
CREATE TRIGGER holidays_changed AFTER UPDATE ON holidays_extra
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_schedule();
CREATE TRIGGER holidays_removed AFTER DELETE ON holidays_extra
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_schedule();
CREATE TRIGGER campaigns_schedule AFTER UPDATE ON campaigns
    REFERENCING NEW TABLE AS changed OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION count_schedule();
CREATE TRIGGER installation_schedule AFTER UPDATE ON installation
    REFERENCING NEW TABLE AS changed OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION count_schedule();

-- Daemons read campaigns again when a schedule changed. Not the trigger of 0001 as well: it looks at other columns.
CREATE TRIGGER tenants_schedule_notify AFTER UPDATE OF skip_holidays, schedule_version ON tenants
    FOR EACH ROW WHEN (OLD.schedule_version <> NEW.schedule_version) EXECUTE FUNCTION notify_campaign();
