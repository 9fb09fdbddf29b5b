-- ARGV: token of a build, the epoch that must have stood all the while ('': none need have). The token's key was set
-- before the build's first batch: when a flush took it, a part of the batches is lost too, and it starts again (answer
-- ''). Else the epoch, ours or the one already standing.
if redis.call('DEL', 'callerid:building:' .. ARGV[1]) == 0 then return '' end
if ARGV[2] ~= '' then return current_epoch() == ARGV[2] and ARGV[2] or '' end
redis.call('SET', 'callerid:epoch', ARGV[1], 'NX')
return current_epoch()
