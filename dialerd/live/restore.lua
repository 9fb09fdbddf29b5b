-- ARGV: now (µs), reservation (s), then seven for each number: id, definition ('': it is gone), uses of this hour,
-- uses of this day, last use (µs), holder ('': none), rest of its reservation (s).
-- Merges what PostgreSQL and a process know into what is here, always towards the stricter.
local now, max_ttl = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000000

local function at_least(key, value, seconds)
    if value > used(key) then redis.call('SET', key, value, 'EX', seconds) end
end

for i = 3, #ARGV, 7 do
    local id, text, holder = ARGV[i], ARGV[i + 1], ARGV[i + 5]
    local last, rest = tonumber(ARGV[i + 4]), tonumber(ARGV[i + 6])
    local old = definition(id)
    if old then unlist(id, old) end
    if text == '' then
        redis.call('HDEL', 'callerid:def', id)
    else
        redis.call('HSET', 'callerid:def', id, text)
        at_least(hour_key(id, now), tonumber(ARGV[i + 2]), 2 * 3600)
        at_least(day_key(id, now), tonumber(ARGV[i + 3]), 2 * 86400)
        if last > tonumber(redis.call('HGET', 'callerid:last_used', id) or 0) then
            redis.call('HSET', 'callerid:last_used', id, ARGV[i + 4])
        end
        if holder ~= '' and rest > 0 and redis.call('SET', 'reservation:' .. id, holder, 'EX', rest, 'NX') then
            redis.call('SET', 'callerid:holder:' .. holder, id, 'EX', rest)
        end
        settle(id, now, max_ttl)
    end
end
