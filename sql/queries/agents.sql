-- What agents are shown, and the contacts that they look at before a call.

-- name: people
-- The contacts $1 as an agent sees them, each with the last calls of its number beside it in $2 (E.164).
SELECT c.id, w.e164, c.name, c.external_id, c.custom, c.last_message, coalesce(h.history, '[]') AS history
FROM unnest($1::bigint[], $2::text[]) AS w (id, e164)
JOIN contacts c ON c.id = w.id
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('at', p.claimed_at, 'outcome', p.outcome, 'disposition', p.disposition,
                                        'message', p.message, 'agent', p.agent) ORDER BY p.claimed_at DESC) AS history
    FROM (SELECT a.claimed_at, a.outcome, a.disposition, a.message, coalesce(nullif(g.full_name, ''), g.name) AS agent
          FROM attempts a LEFT JOIN agents g ON g.id = a.agent_id
          WHERE a.tenant_id = c.tenant_id AND a.e164 = w.e164 AND a.ended_at IS NOT NULL
          ORDER BY a.claimed_at DESC LIMIT 10) AS p
) AS h ON true;

-- name: unsaid
-- The last call of each agent of a node who wraps it up, while nothing has been said of it.
SELECT g.id AS for_agent, a.id::text, a.campaign_id, a.contact_id, a.e164, a.claimed_at,
       coalesce(c.attempts, 1) AS attempts, coalesce(c.tries, '{}') AS tries
FROM agents g
JOIN agent_states s ON s.agent_id = g.id AND s.ended_at IS NULL
JOIN attempts a ON a.id = s.attempt_id AND a.ended_at IS NOT NULL AND a.disposition IS NULL
LEFT JOIN contacts c ON c.id = a.contact_id
WHERE g.node = $1 AND g.channel_id IS NOT NULL AND g.state = 'wrap_up';

-- name: last_agents
-- Of these live attempts the agent who was the last to be on each; said: what they said of it since (null: nothing);
-- wraps_up: they are still to say it. The agents' states since the claim are read, by their index.
WITH last AS (
    SELECT DISTINCT ON (a.id) a.id, s.agent_id, s.started_at
    FROM attempts a
    JOIN agents g ON g.tenant_id = a.tenant_id
    JOIN agent_states s ON s.agent_id = g.id AND s.started_at >= a.claimed_at
                       AND s.attempt_id = a.id AND s.state = 'on_call'
    WHERE a.id = ANY ($1::uuid[])
    ORDER BY a.id, coalesce(s.ended_at, 'infinity') DESC, s.id DESC
)
SELECT l.id::text, l.agent_id,
       (SELECT e.detail FROM call_events e
        WHERE e.attempt_id = l.id AND e.kind = 'said' AND (e.detail ->> 'agent_id')::bigint = l.agent_id
          AND e.at >= l.started_at
        ORDER BY e.id DESC LIMIT 1) AS said,
       EXISTS (SELECT FROM agent_states w WHERE w.agent_id = l.agent_id AND w.ended_at IS NULL
               AND w.attempt_id = l.id AND w.state = 'wrap_up') AS wraps_up
FROM last l;

-- name: preview_next
-- Holds the next contact of a campaign for an agent.
SELECT contact_id, number_id, e164, until FROM preview_next_v1($1, $2, $3, $4);

-- name: preview_end
-- Ends the hold of an agent; the contact, or null where there was none.
SELECT preview_end_v1($1, $2);

-- name: preview_held
-- The contact that is held for an agent.
SELECT contact_id FROM previews WHERE agent_id = $1;

-- name: set_pin
-- An agent's PIN (null: none) and login number (null: stays).
UPDATE agents SET pin_hash = $3, login_number = coalesce($4, login_number) WHERE tenant_id = $1 AND id = $2;

-- name: change
-- An agent's phone, trunk (an empty one: none), full name, switch and role; null leaves a thing as it is.
UPDATE agents SET phone = coalesce($3, phone), phone_trunk = CASE $4 WHEN '' THEN NULL ELSE coalesce($4, phone_trunk) END,
       full_name = coalesce($5, full_name), active = coalesce($6, active), endpoint = coalesce($7, endpoint),
       supervisor = coalesce($8, supervisor)
WHERE tenant_id = $1 AND id = $2;

-- name: by_name
-- An agent's id.
SELECT id FROM agents WHERE tenant_id = $1 AND name = $2;

-- name: forget_queues
-- The agent serves no queue, until some are added.
DELETE FROM agent_queues WHERE agent_id = $1;

-- name: notify
-- Tells daemons that an agent has changed.
SELECT pg_notify('dialerd', 'agents:' || $1::bigint);
