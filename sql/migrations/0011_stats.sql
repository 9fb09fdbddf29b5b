-- What statistics are read from.

-- How many contacts of a campaign are where, and why: answered from the index alone, whose equal entries PostgreSQL
-- stores once (a million contacts are 7 MB). tenant_id is in it for the row-level security. In place of
-- (campaign_id, state), which it begins with.
DROP INDEX contacts_campaign_state;
CREATE INDEX contacts_fate ON contacts (campaign_id, state, last_outcome, last_disposition, tenant_id);

-- The conversations, for their mean length. A claim does not touch it, only the end of a connected call does.
CREATE INDEX attempts_talk ON attempts (campaign_id) INCLUDE (tenant_id, answered_at, ended_at)
    WHERE outcome = 'connected';
