-- Stores a new API key and tells every server.
-- ARGV: now, id, record, when its record ends (or "inf"), most keys, channel. Answers "made", "taken" (the id) or "full".
redis.call('ZREMRANGEBYSCORE', API_KEYS, '-inf', ARGV[1])
if redis.call('ZCARD', API_KEYS) >= tonumber(ARGV[5]) then return 'full' end
local key = API_KEY .. ARGV[2]
if redis.call('EXISTS', key) == 1 then return 'taken' end
redis.call('HSET', key, 'record', ARGV[3])
if ARGV[4] ~= 'inf' then redis.call('PEXPIREAT', key, ARGV[4]) end
redis.call('ZADD', API_KEYS, ARGV[4], ARGV[2])
redis.call('PUBLISH', ARGV[6], ARGV[2])
return 'made'
