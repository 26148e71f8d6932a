-- Takes an account's refresh lock, unless the account rests after a refresh that failed. KEYS[2] lock, KEYS[3] token,
-- KEYS[4] rest, KEYS[5] figures; ARGV[1] owner, ARGV[2] life in ms, ARGV[3] '1': a wait begins if another has the lock.
-- Answers {fence, failures in a row, rest, ms of the rest}. The fence: microseconds by Redis' clock, always higher than the
-- stored token's; 0 if the lock is not to be had. The rest: what the refresh failed with, '' if there is none.
even_if_full()
local rest = redis.call('GET', KEYS[4])
if rest then return { 0, 0, rest, redis.call('PTTL', KEYS[4]) } end
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  if ARGV[3] == '1' then count(KEYS[5], 'waits') end
  return { 0, 0, '', 0 }
end
local time = redis.call('TIME')
local fence = time[1] * 1000000 + time[2]
local stored = tonumber(redis.call('HGET', KEYS[3], 'fence') or '0')
local failed = tonumber(redis.call('HGET', KEYS[5], 'in_a_row') or '0')
return { math.max(fence, stored + 1), failed, '', 0 }
