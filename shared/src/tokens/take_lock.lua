-- Takes an account's refresh lock. KEYS[2] lock, KEYS[3] token; ARGV[1] owner, ARGV[2] life in ms.
-- Answers the fence: microseconds by Redis' clock, always higher than the stored token's; 0 if another holds the lock.
even_if_full()
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
local time = redis.call('TIME')
local fence = time[1] * 1000000 + time[2]
local stored = tonumber(redis.call('HGET', KEYS[3], 'fence') or '0')
return math.max(fence, stored + 1)
