-- In the call: supervisors, and the message that an agent has left on a machine.

ALTER TABLE agents
    ADD COLUMN supervisor boolean NOT NULL DEFAULT false;  -- may listen to the tenant's agents, whisper, barge, take over
DROP TRIGGER agents_notify ON agents;
CREATE TRIGGER agents_notify
    AFTER INSERT OR DELETE
    OR UPDATE OF name, active, endpoint, phone, phone_trunk, login_number, pin_hash, supervisor ON agents
    FOR EACH ROW EXECUTE FUNCTION notify_campaign();

ALTER TABLE campaigns
    ADD COLUMN voicemail_sound text CHECK (voicemail_sound ~ '^[A-Za-z0-9_][A-Za-z0-9_/-]{0,127}$');
