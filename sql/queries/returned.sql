-- People who call us back.

-- name: last_call
-- The last attempt that dialled $1 and showed one of the caller IDs $2, at most $3 days ago; one that never left us is
-- none. With what its campaign has for people who call back.
SELECT a.id::text AS attempt, a.tenant_id, a.campaign_id, a.e164, c.returned, c.seller_name, c.seller_number,
       c.message_language, c.opt_out_key
FROM tenants t
CROSS JOIN LATERAL (
    SELECT x.* FROM attempts x
    WHERE x.tenant_id = t.id AND x.e164 = $1 AND x.claimed_at > now() - make_interval(days => $3)
      AND x.caller_id = ANY ($2::text[]) AND x.returns IS NULL AND x.outcome IS DISTINCT FROM 'not_sent'
    ORDER BY x.claimed_at DESC LIMIT 1
) AS a
JOIN campaigns c ON c.id = a.campaign_id
ORDER BY a.claimed_at DESC LIMIT 1;

-- name: take
-- The attempt of a returned call that goes to agents; none: it cannot.
SELECT attempt_id::text, contact_id, e164, attempts, tries, claimed_at FROM returned_v1($1, $2);
