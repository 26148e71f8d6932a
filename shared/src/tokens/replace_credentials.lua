-- Stores new credentials unless others were stored meanwhile. KEYS[2] credentials; ARGV[1] record before, ARGV[2] record.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
return 1
