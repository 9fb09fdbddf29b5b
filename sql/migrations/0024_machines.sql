-- What is left of machine detection: a flow for machines, and agents who check a share of the verdicts.

ALTER TABLE campaigns DROP CONSTRAINT campaigns_machine_detection_check;
ALTER TABLE campaigns
    ADD CONSTRAINT campaigns_machine_detection_check
        CHECK (machine_detection IN ('off', 'drop', 'connect', 'message', 'flow')),
    ADD COLUMN machine_flow   text CHECK (machine_flow ~ '^[a-z][a-z0-9_-]{0,63}$'),
    ADD COLUMN machine_check  double precision NOT NULL DEFAULT 0  -- the share of machines that agents get like persons
                              CHECK (machine_check BETWEEN 0 AND 0.5),
    ADD CHECK (machine_detection <> 'flow' OR machine_flow IS NOT NULL);

ALTER TABLE attempts
    ADD COLUMN machine_checked  boolean NOT NULL DEFAULT false,  -- a machine by the verdict, sent to an agent all the same
    ADD COLUMN machine_said     boolean;                         -- and whether that agent said it was one; null: nothing

-- Machines by their verdict or by an agent's word, by when they answered: how many nobody heard, and what agents said of
-- the others, are counted from this index alone. tenant_id is in it for the row-level security.
CREATE INDEX attempts_machines ON attempts (campaign_id, answered_at)
    INCLUDE (tenant_id, outcome, agent_id, machine, machine_corrected, machine_checked, machine_said)
    WHERE (machine = 'MACHINE' OR machine_corrected) AND batch_id IS NULL;

-- The record's writer: a row {"machine": …} may say `checked`, a row {"disposition": …} that an agent `said` it and not the
-- limit of the wrap-up. Rows of a daemon of the release before say neither.
CREATE OR REPLACE FUNCTION record_v5(p_run uuid, p_node text, p_batch bigint, p_rows jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT record_v4(p_run, p_node, p_batch, p_rows) THEN
        RETURN false;
    END IF;
    UPDATE attempts a SET machine_cause = coalesce(m.cause, a.machine_cause),
                          machine_seconds = coalesce(m.seconds, a.machine_seconds),
                          machine_checked = coalesce(m.checked, a.machine_checked)
    FROM jsonb_array_elements(p_rows) AS r (value),
         jsonb_to_record(r.value -> 'machine') AS m (attempt_id uuid, cause text, seconds real, checked boolean)
    WHERE r.value ? 'machine' AND a.id = m.attempt_id;
    UPDATE attempts a SET machine_corrected = a.machine_corrected OR d.meaning = 'machine',
                          machine_said = CASE WHEN d.said AND a.machine = 'MACHINE' THEN d.meaning = 'machine'
                                              ELSE a.machine_said END
    FROM jsonb_array_elements(p_rows) AS r (value),
         jsonb_to_record(r.value -> 'disposition') AS d (attempt_id uuid, code text, meaning text, said boolean)
    WHERE r.value ? 'disposition' AND (d.said OR d.meaning = 'machine')
      AND a.id = d.attempt_id AND a.disposition = d.code;
    RETURN true;
END $$;
