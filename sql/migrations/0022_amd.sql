-- Machine detection: what a campaign does about machines, what AMD() said of a call, and whether an agent corrected it.

ALTER TABLE campaigns DROP CONSTRAINT campaigns_machine_detection_check;
ALTER TABLE campaigns
    ADD CONSTRAINT campaigns_machine_detection_check CHECK (machine_detection IN ('off', 'drop', 'connect', 'message')),
    ADD COLUMN machine_parameters    jsonb NOT NULL DEFAULT '{}'   -- of AMD(), as core.machines has them
                                     CHECK (jsonb_typeof(machine_parameters) = 'object'),
    ADD COLUMN machine_message       text CHECK (machine_message ~ '^[A-Za-z0-9_][A-Za-z0-9_/-]{0,127}$'),
    ADD COLUMN machine_wait_seconds  integer NOT NULL DEFAULT 45   -- for the end of a greeting; then it is hung up
                                     CHECK (machine_wait_seconds BETWEEN 5 AND 120),
    ADD CHECK (machine_detection <> 'message' OR machine_message IS NOT NULL);

ALTER TABLE attempts
    ADD COLUMN machine_cause      text,                            -- AMDCAUSE: what the verdict was found by
    ADD COLUMN machine_seconds    real,                            -- from the answer to the verdict
    ADD COLUMN machine_corrected  boolean NOT NULL DEFAULT false;  -- an agent said that it was a machine after all

-- The record's writer, which takes one more kind of row: {"machine": {attempt_id, cause, seconds}}, and knows that who
-- disposes of a call as a machine's corrects a verdict.
CREATE FUNCTION record_v5(p_run uuid, p_node text, p_batch bigint, p_rows jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT record_v4(p_run, p_node, p_batch, p_rows) THEN
        RETURN false;
    END IF;
    UPDATE attempts a SET machine_cause = coalesce(m.cause, a.machine_cause),
                          machine_seconds = coalesce(m.seconds, a.machine_seconds)
    FROM jsonb_array_elements(p_rows) AS r (value),
         jsonb_to_record(r.value -> 'machine') AS m (attempt_id uuid, cause text, seconds real)
    WHERE r.value ? 'machine' AND a.id = m.attempt_id;
    UPDATE attempts a SET machine_corrected = true
    FROM jsonb_array_elements(p_rows) AS r (value),
         jsonb_to_record(r.value -> 'disposition') AS d (attempt_id uuid, code text, meaning text)
    WHERE r.value ? 'disposition' AND d.meaning = 'machine' AND a.id = d.attempt_id AND a.disposition = d.code;
    RETURN true;
END $$;
