-- ARGV: holder, now (µs), reservation (s). Ends the holder's own reservation and no other; its use stays counted.
return release(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]) * 1000000)
