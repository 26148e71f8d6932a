-- What the queue's scripts share: time, counters, timelines. Time is the server's: leases, deadlines and permits are shared
-- by machines. Nothing in these scripts walks a whole structure: every loop has a bound.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
-- Numbers are handed to Redis as text where it happens for every mail: it would print each as a float.
local NOW = string.format('%.0f', now)

local PRIORITIES = { 'u', 'n', 'b' }

-- Counters of jobs by state are gathered and written once, by write_counts().
local bumps = {}
local function bump(field, by) bumps[field] = (bumps[field] or 0) + by end
local function moved(from, to) bump(from, -1) bump(to, 1) end
local function write_counts()
  for field, by in pairs(bumps) do
    if by ~= 0 then redis.call('HINCRBY', COUNTS, field, by) end
  end
end

local function log(id, event, more)
  redis.call('RPUSH', LOG .. id, '{"at":' .. now .. ',"event":"' .. event .. '"' .. (more or '') .. '}')
end

-- A dead letter notes in `b` what its record takes, and `dead_bytes` is the sum of those notes: whatever ends a dead
-- letter takes its note off with unbury(), which is why doing so again takes nothing off.
local function bury(id, from, reason)
  local bytes = redis.call('STRLEN', JOB .. id)
  redis.call('HSET', MAIL .. id, 's', 'dead', 'r', reason, 't', NOW, 'b', bytes)
  redis.call('HDEL', MAIL .. id, 'w')
  redis.call('ZADD', DEAD, now, id)
  index.bury(id)
  log(id, 'dead', ',"reason":"' .. reason .. '"')
  moved(from, 'dead')
  bump('dead_bytes', bytes)
end
local function unbury(id)
  if redis.call('ZREM', DEAD, id) == 1 then index.leave(id, 'dead') end
  local bytes = tonumber(redis.call('HGET', MAIL .. id, 'b') or '0')
  redis.call('HDEL', MAIL .. id, 'b')
  bump('dead_bytes', -bytes)
  return bytes
end

-- A terminal state: the bytes go, what is told of the mail stays until a time, from end_of(). It is told as a time: Redis would
-- make one of a span, in a new command.
local function end_of(span) return string.format('%.0f', now + span) end
local function finish(id, keep, kept_until, may_have_log)
  if keep ~= '' then
    redis.call('SET', JOB .. id, keep, 'PXAT', kept_until)
  else
    redis.call('DEL', JOB .. id)
  end
  redis.call('PEXPIREAT', MAIL .. id, kept_until)
  if may_have_log then redis.call('PEXPIREAT', LOG .. id, kept_until) end
end
