-- Gives the refresh lock up: at once, or after a pause in which nobody shall ask again. KEYS[2] lock; ARGV[1] owner,
-- ARGV[2] ms of the pause (0: none). Touches nobody else's lock.
even_if_full()
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[2]) end
return redis.call('PEXPIRE', KEYS[2], ARGV[2])
