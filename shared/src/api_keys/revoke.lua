-- Revokes an API key and tells every server. ARGV: id, now, when its record ends, channel.
-- Answers "revoked", "already" or "unknown". A key that expired before it was revoked keeps the earlier end.
even_if_full()
local key = API_KEY .. ARGV[1]
if redis.call('EXISTS', key) == 0 then return 'unknown' end
-- Told in any case: whoever asks again may do so because a server did not hear it.
redis.call('PUBLISH', ARGV[4], ARGV[1])
if redis.call('HSETNX', key, 'revoked', ARGV[2]) == 0 then return 'already' end
local ends = redis.call('ZSCORE', API_KEYS, ARGV[1])
if not ends or tonumber(ends) > tonumber(ARGV[3]) then
  redis.call('PEXPIREAT', key, ARGV[3])
  redis.call('ZADD', API_KEYS, ARGV[3], ARGV[1])
end
return 'revoked'
