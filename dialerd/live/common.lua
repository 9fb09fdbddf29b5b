-- Stands before each of the scripts. What Redis holds of the caller IDs:
--   callerid:epoch                     marker; a flush removes it, and no number is given before a rebuild. With the
--                                      server's run id, since a restart may bring back an old snapshot
--   callerid:def                       id -> "e164 pool hourly_limit daily_limit rests_until(µs) level level …"
--   callerid:last_used                 id -> µs; field "clock": the newest of them
--   callerid:free:<pool>:<level>       zset: what can be taken, by last use
--   callerid:parked:<pool>:<rule>      zset: what cannot, by the µs at which to look again
--   callerid:hour:<id>:<n>, callerid:day:<id>:<n>   uses; they expire by themselves
--   reservation:<id>                   the call that has it; expires
--   callerid:holder:<call>             the number that a call has; expires
-- A number stands in its free sets or in one parked set, so a selection costs the same in a pool of ten and of ten
-- thousand. The sets only lead the way: whether a number may be taken is always read from its reservation and counts.
-- Keys are derived, not declared: one Redis, not a cluster.
local HOUR, DAY = 3600000000, 86400000000
local RULES = {'resting', 'reserved', 'daily_limit', 'hourly_limit'}

-- What a process must name to be answered, or nil: nothing here can be trusted yet.
local function current_epoch()
    local marker = redis.call('GET', 'callerid:epoch')
    return marker and string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') .. ':' .. marker
end

local function hour_key(id, now) return 'callerid:hour:' .. id .. ':' .. math.floor(now / HOUR) end
local function day_key(id, now) return 'callerid:day:' .. id .. ':' .. math.floor(now / DAY) end
local function used(key) return tonumber(redis.call('GET', key) or 0) end

local function definition(id)
    local text = redis.call('HGET', 'callerid:def', id)
    if not text then return nil end
    local words = {}
    for word in string.gmatch(text, '%S+') do words[#words + 1] = word end
    local def = {e164 = words[1], pool = words[2], hourly = tonumber(words[3]), daily = tonumber(words[4]),
                 rests = tonumber(words[5]), levels = {}}
    for i = 6, #words do def.levels[#def.levels + 1] = words[i] end
    return def
end

local function unlist(id, def)
    for _, level in ipairs(def.levels) do redis.call('ZREM', 'callerid:free:' .. def.pool .. ':' .. level, id) end
    for _, rule in ipairs(RULES) do redis.call('ZREM', 'callerid:parked:' .. def.pool .. ':' .. rule, id) end
end

-- Puts a number where it belongs now.
local function settle(id, now, max_ttl, known)
    local def = known or definition(id)
    if not def then return end
    unlist(id, def)
    local function park(rule, due) redis.call('ZADD', 'callerid:parked:' .. def.pool .. ':' .. rule, due, id) end
    -- In its last millisecond a reservation is still there (EXISTS) and has 0 left. Taken for gone here and for there in
    -- reserve.lua, it would keep the script going for ever.
    local left = redis.call('PTTL', 'reservation:' .. id)
    if def.rests > now then
        park('resting', def.rests)
    elseif left ~= -2 then
        park('reserved', now + math.min(math.max(left, 1) * 1000, max_ttl))
    elseif used(day_key(id, now)) >= def.daily then
        park('daily_limit', (math.floor(now / DAY) + 1) * DAY)
    elseif used(hour_key(id, now)) >= def.hourly then
        park('hourly_limit', (math.floor(now / HOUR) + 1) * HOUR)
    else
        local last = redis.call('HGET', 'callerid:last_used', id) or 0
        for _, level in ipairs(def.levels) do
            redis.call('ZADD', 'callerid:free:' .. def.pool .. ':' .. level, last, id)
        end
    end
end

local function release(holder, now, max_ttl)
    local id = redis.call('GET', 'callerid:holder:' .. holder)
    if not id then return 0 end
    redis.call('DEL', 'callerid:holder:' .. holder)
    if redis.call('GET', 'reservation:' .. id) ~= holder then return 0 end
    redis.call('DEL', 'reservation:' .. id)
    settle(id, now, max_ttl)
    return 1
end

