-- Stores a token if it is newer than the stored one, and counts it. KEYS[2] token, KEYS[3] figures; ARGV[1] sealed,
-- [2] issued, [3] expires, [4] fence, [5] ms to live: a span and not a time, so that a machine's wrong clock cannot end it
-- early for all; [6] the word for why it was fetched.
even_if_full()
count(KEYS[3], 'refresh:' .. ARGV[6])
redis.call('HDEL', KEYS[3], 'in_a_row')
redis.call('HSET', KEYS[3], 'refreshed', string.format('%.0f', time_ms()))
local stored = tonumber(redis.call('HGET', KEYS[2], 'fence') or '0')
if tonumber(ARGV[4]) <= stored then
  count(KEYS[3], 'lock_losses')
  return 0
end
redis.call('HSET', KEYS[2], 'sealed', ARGV[1], 'issued', ARGV[2], 'expires', ARGV[3], 'fence', ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return 1
