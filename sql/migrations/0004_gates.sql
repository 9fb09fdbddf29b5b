-- A gate that data could pass, and a notification that came too often.

-- A number in another spelling would bar nobody.
ALTER TABLE dnc ADD CHECK (e164 ~ '^\+[1-9][0-9]{5,14}$');
ALTER TABLE consents ADD CHECK (e164 ~ '^\+[1-9][0-9]{5,14}$');

-- Each paid claim changes the balance; daemons need not read all their campaigns again for that.
DROP TRIGGER tenants_notify ON tenants;
CREATE TRIGGER tenants_notify AFTER UPDATE OF name, enabled, default_region ON tenants
    FOR EACH ROW EXECUTE FUNCTION notify_campaign();
