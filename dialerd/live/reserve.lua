-- Each argument is a request, a line each: epoch, now (µs), reservation (s), pool, preferred id ('': none), the
-- destination's levels with spaces between them, nearest first; then the holder, whatever is in it. One text, because
-- each argument costs the client as much as it costs to look at a number here. Answers, one to each request:
-- {'REBUILD'} | {'OK', id, e164} | {'SAME', id, e164}: the holder has it already |
-- {'NONE', resting, reserved, daily_limit, hourly_limit}.
local LINE = '(.-)\n'
local BATCH = 100
local present = current_epoch()

local function reserve(request)
    local epoch, now, ttl, pool, preferred, levels, holder =
        string.match(request, '^' .. string.rep(LINE, 6) .. '(.*)$')
    now, ttl = tonumber(now), tonumber(ttl)
    local max_ttl = ttl * 1000000

    if present ~= epoch then return {'REBUILD'} end

    -- A call that asks again gets the same answer: Asterisk, or our own client, may repeat a request.
    local held = redis.call('GET', 'callerid:holder:' .. holder)
    if held and redis.call('GET', 'reservation:' .. held) == holder then
        local def = definition(held)
        if def and def.pool == pool then return {'SAME', held, def.e164} end
        release(holder, now, max_ttl)
    end

    local function look_again(key, from, to)
        local due = redis.call('ZRANGEBYSCORE', key, from, to, 'LIMIT', 0, BATCH)
        for _, id in ipairs(due) do
            redis.call('ZREM', key, id)
            settle(id, now, max_ttl)
        end
        return #due
    end

    local function parked(rule) return 'callerid:parked:' .. pool .. ':' .. rule end

    -- What is due may be free again.
    local function wake()
        local woken = 0
        for _, rule in ipairs(RULES) do woken = woken + look_again(parked(rule), '-inf', now) end
        return woken
    end

    -- So may what is due later than is possible: then the clock was set back.
    local function wake_from_the_future()
        local woken = 0
        for rule, latest in pairs({reserved = max_ttl, hourly_limit = HOUR, daily_limit = DAY}) do
            woken = woken + look_again(parked(rule), '(' .. string.format('%.0f', now + latest), '+inf')
        end
        return woken
    end

    local function free(id)
        local def = definition(id)
        return def and def.pool == pool and def.rests <= now and redis.call('EXISTS', 'reservation:' .. id) == 0
            and used(day_key(id, now)) < def.daily and used(hour_key(id, now)) < def.hourly and def or nil
    end

    local function longest_unused()
        for level in string.gmatch(levels, '%S+') do
            local key = 'callerid:free:' .. pool .. ':' .. level
            while true do
                local id = redis.call('ZRANGE', key, 0, 0)[1]
                if not id then break end
                local def = free(id)
                if def then return id, def end
                redis.call('ZREM', key, id)
                settle(id, now, max_ttl)
            end
        end
    end

    local function count(key, seconds)
        if redis.call('INCR', key) == 1 then redis.call('EXPIRE', key, seconds) end
    end

    wake()
    local id, def = preferred, preferred ~= '' and free(preferred)
    if not def then id, def = longest_unused() end
    while not id and wake() + wake_from_the_future() > 0 do id, def = longest_unused() end
    if not id then
        local counts = {'NONE'}
        for i, rule in ipairs(RULES) do counts[i + 1] = redis.call('ZCARD', parked(rule)) end
        return counts
    end

    redis.call('SET', 'reservation:' .. id, holder, 'EX', ttl)
    redis.call('SET', 'callerid:holder:' .. holder, id, 'EX', ttl)
    count(hour_key(id, now), 2 * 3600)
    count(day_key(id, now), 2 * 86400)
    -- Strictly later than every other use, so that equal or jumping clocks cannot spoil the order.
    local last = math.max(now, tonumber(redis.call('HGET', 'callerid:last_used', 'clock') or 0) + 1)
    local stamp = string.format('%.0f', last)
    redis.call('HSET', 'callerid:last_used', id, stamp, 'clock', stamp)
    if id == preferred then
        settle(id, now, max_ttl, def)
    else -- the same, of a number that stood in its free sets
        for _, level in ipairs(def.levels) do redis.call('ZREM', 'callerid:free:' .. pool .. ':' .. level, id) end
        redis.call('ZADD', parked('reserved'), now + max_ttl, id)
    end
    return {'OK', id, def.e164}
end

local answers = {}
for i, request in ipairs(ARGV) do answers[i] = reserve(request) end
return answers
