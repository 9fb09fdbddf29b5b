-- ARGV: token of a rebuild. Its key was set before the rebuild's first batch: when a flush took it, a part of the
-- batches is lost too, and the rebuild starts again (answer ''). Else the epoch, ours or the one already standing.
if redis.call('DEL', 'callerid:building:' .. ARGV[1]) == 0 then return '' end
redis.call('SET', 'callerid:epoch', ARGV[1], 'NX')
return current_epoch()
