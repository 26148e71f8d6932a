-- What the queue's scripts share. Time is the server's: leases, deadlines and permits are shared by machines.
-- Nothing here walks a whole structure: every loop has a bound.

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

-- Accounts, read once a call.
local default_cap = nil
local accounts = {}
local function account(a)
  local it = accounts[a]
  if not it then
    if not default_cap then default_cap = tonumber(redis.call('HGET', CONFIG, 'connections') or '3') end
    local v = redis.call('HMGET', ACCOUNT .. a, 'kind', 'hold', 'connections', 'permits', 'turn')
    it = {
      exists = v[1] and true or false,
      held = v[2] and true or false,
      cap = tonumber(v[3] or '') or default_cap,
      permits = tonumber(v[4] or '0'),
      turn = tonumber(v[5] or '0'),
    }
    accounts[a] = it
  end
  return it
end

local function may_start(a)
  local it = account(a)
  return it.exists and not it.held and it.permits < it.cap
end

-- The ring of a priority holds just the accounts with mail of it that may start work.
local function ring_one(a, p)
  local has_mail = redis.call('LLEN', LANE .. a .. ':' .. p) > 0
  if not has_mail then
    redis.call('SREM', WAITING .. p, a)
  elseif account(a).exists and not account(a).held then
    redis.call('SADD', WAITING .. p, a)
  end
  if has_mail and may_start(a) then
    redis.call('ZADD', RING .. p, 'NX', account(a).turn, a)
  else
    redis.call('ZREM', RING .. p, a)
  end
end
local function ring_all(a)
  for _, p in ipairs(PRIORITIES) do ring_one(a, p) end
end

-- Which of these accounts may have mail of a priority to send. `waiting:` holds every account that is not held and has a
-- lane that is not empty, and some whose lane has just become empty.
local function waiting(p, list)
  if #list == 0 then return {} end
  return redis.call('SMISMEMBER', WAITING .. p, unpack(list))
end

-- Waking. A session is `<worker>:<number>`; its worker listens on one channel and hears the shard, and the account if it
-- is asked to give up an unused permit. A publish that nobody heard went to a worker that died: the next one is tried.
local SHARD = string.match(KEYS[1], '{(%d+)}')
local function publish(s, a)
  return redis.call('PUBLISH', WAKE .. string.match(s, '^[^:]+'), a and (SHARD .. ' ' .. a) or SHARD) > 0
end
local function wake_any(wanted)
  for _ = 1, 16 do
    if wanted <= 0 then return end
    local s = redis.call('SPOP', IDLE)
    if not s then return end
    if publish(s) then wanted = wanted - 1 end
  end
end

local function lane_of(s, a)
  local text = redis.call('HGET', LANES .. s, a)
  if not text then return 0, 0 end
  local permits, load = string.match(text, '^(%d+):(%d+)$')
  return tonumber(permits), tonumber(load)
end

-- Sessions with a permit of the lane come first: their connections are warm. If all permits are out and their holders
-- are busy elsewhere, one that holds an unused permit is asked to give it up.
local function wake_for(a, wanted)
  if redis.call('SCARD', IDLE) == 0 or account(a).held then return end
  local holders = redis.call('HKEYS', PERMITS .. a)
  for _, s in ipairs(holders) do
    if wanted <= 0 then return end
    if redis.call('SREM', IDLE, s) == 1 and publish(s) then wanted = wanted - 1 end
  end
  if wanted <= 0 then return end
  if may_start(a) then return wake_any(wanted) end
  for _, s in ipairs(holders) do
    local permits, load = lane_of(s, a)
    if load < permits then
      publish(s, a)
      return
    end
  end
end

local function add_due(id, at)
  redis.call('ZADD', DUE, at, id)
  local head = redis.call('ZRANGE', DUE, 0, 0)
  if head[1] == id then wake_any(1) end
end

-- A dead letter notes in `b` what its record takes, and `dead_bytes` is the sum of those notes: whatever ends a dead
-- letter takes its note off with unbury(), which is why doing so again takes nothing off.
local function bury(id, from, reason)
  local bytes = redis.call('STRLEN', JOB .. id)
  redis.call('HSET', MAIL .. id, 's', 'dead', 'r', reason, 't', NOW, 'b', bytes)
  redis.call('HDEL', MAIL .. id, 'w')
  redis.call('ZADD', DEAD, now, id)
  log(id, 'dead', ',"reason":"' .. reason .. '"')
  moved(from, 'dead')
  bump('dead_bytes', bytes)
end
local function unbury(id)
  redis.call('ZREM', DEAD, id)
  local bytes = tonumber(redis.call('HGET', MAIL .. id, 'b') or '0')
  redis.call('HDEL', MAIL .. id, 'b')
  bump('dead_bytes', -bytes)
  return bytes
end

-- A mail takes its place: at the end of its lane, or at the front if it only comes back.
local function to_lane(id, a, p, from, front)
  if not account(a).exists then return bury(id, from, 'no_account') end
  redis.call('HSET', MAIL .. id, 's', 'ready')
  if not account(a).held then redis.call('SADD', WAITING .. p, a) end
  redis.call(front and 'LPUSH' or 'RPUSH', LANE .. a .. ':' .. p, id)
  moved(from, 'ready')
end

-- Lanes touched by a call; their rings are mended once, by mend_rings().
local touched = {}
local function touch(a, p) touched[a .. ':' .. p] = { a, p } end
local function mend_rings()
  for _, lane in pairs(touched) do ring_one(lane[1], lane[2]) end
  touched = {}
end

-- Sweeps: each does one slice and says whether there is more.

local function sweep_due(limit)
  local ids = redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, limit)
  if #ids == 0 then return false end
  for _, id in ipairs(ids) do
    local m = redis.call('HMGET', MAIL .. id, 's', 'a', 'p')
    if m[1] == 'scheduled' or m[1] == 'retry' then
      to_lane(id, m[2], m[3], m[1], false)
      touch(m[2], m[3])
    end
  end
  redis.call('ZREM', DUE, unpack(ids))
  mend_rings()
  return #ids == limit
end

local function change_permits(a, s, permits, load)
  local before = lane_of(s, a)
  if permits <= 0 then
    redis.call('HDEL', LANES .. s, a)
    redis.call('HDEL', PERMITS .. a, s)
    permits = 0
  else
    redis.call('HSET', LANES .. s, a, permits .. ':' .. load)
    if permits ~= before then redis.call('HSET', PERMITS .. a, s, permits) end
  end
  if permits ~= before then
    local it = account(a)
    it.permits = it.permits + permits - before
    if it.exists then redis.call('HSET', ACCOUNT .. a, 'permits', it.permits) end
  end
end

local function take_back(id, s)
  local m = redis.call('HMGET', MAIL .. id, 's', 'w', 'a', 'p')
  if m[1] ~= 'sending' or m[2] ~= s then return end
  redis.call('HINCRBY', MAIL .. id, 'l', 1)
  redis.call('HDEL', MAIL .. id, 'w')
  log(id, 'taken_back', ',"reason":"lease_lost","worker":"' .. s .. '"')
  bump('leases_lost', 1)
  to_lane(id, m[3], m[4], 'sending', true)
  touch(m[3], m[4])
end

-- After Redis was away, or every worker was, no session could be renewed: they get one more lease before any is lost.
-- The pulse is a key that lives for half a lease after the last sign of life of anybody.
local function everybody_was_away(lease)
  if redis.call('PEXPIRE', PULSE, lease / 2) == 1 then return false end
  redis.call('SET', PULSE, now, 'PX', lease / 2)
  for _, s in ipairs(redis.call('ZRANGE', SESSIONS, 0, 999)) do
    redis.call('ZADD', SESSIONS, 'XX', now + lease, s)
  end
  return true
end

local function sweep_sessions(limit, lease)
  if everybody_was_away(lease) then return false end
  for _, s in ipairs(redis.call('ZRANGEBYSCORE', SESSIONS, '-inf', now, 'LIMIT', 0, 20)) do
    redis.call('ZREM', SESSIONS, s)
    redis.call('SREM', IDLE, s)
    redis.call('SADD', LOST, s)
  end
  local s = redis.call('SRANDMEMBER', LOST)
  if not s then return false end
  local ids = redis.call('SPOP', JOBS .. s, limit)
  for _, id in ipairs(ids) do take_back(id, s) end
  mend_rings()
  if #ids == limit then return true end
  local lanes = redis.call('HKEYS', LANES .. s)
  for i = 1, math.min(#lanes, 100) do
    change_permits(lanes[i], s, 0, 0)
    ring_all(lanes[i])
  end
  if #lanes > 100 then return true end
  redis.call('DEL', JOBS .. s, LANES .. s, SESSION .. s)
  redis.call('SREM', LOST, s)
  return redis.call('SCARD', LOST) > 0
end

local function sweep_holds(limit)
  local ended = redis.call('ZRANGEBYSCORE', HOLDS, '-inf', now, 'LIMIT', 0, limit)
  for _, a in ipairs(ended) do
    redis.call('ZREM', HOLDS, a)
    redis.call('HDEL', ACCOUNT .. a, 'hold')
    accounts[a] = nil
    ring_all(a)
  end
  return #ended == limit
end

-- A terminal state: the bytes go, what is told of the mail stays for a while.
local function finish(id, keep, retention)
  if keep ~= '' then
    redis.call('SET', JOB .. id, keep, 'PX', retention)
  else
    redis.call('DEL', JOB .. id)
  end
  redis.call('PEXPIRE', MAIL .. id, retention)
  redis.call('PEXPIRE', LOG .. id, retention)
end

-- Dead letters past the fleet's limits are thrown away, the oldest first. Answers how many for their age, and how many
-- for their bytes: whoever calls this tells of them.
local function sweep_dead(limit)
  local head = redis.call('ZRANGE', DEAD, 0, 0, 'WITHSCORES')
  if not head[1] then return 0, 0 end
  local config = redis.call('HMGET', CONFIG, 'dead_for', 'dead_bytes', 'retention')
  if not config[1] then return 0, 0 end
  local dead_since, most, retention = now - tonumber(config[1]), tonumber(config[2]), tonumber(config[3])
  local bytes = tonumber(redis.call('HGET', COUNTS, 'dead_bytes') or '0') + (bumps['dead_bytes'] or 0)
  if tonumber(head[2]) > dead_since and bytes <= most then return 0, 0 end
  local by_age, by_bytes = 0, 0
  local oldest = redis.call('ZRANGE', DEAD, 0, limit - 1, 'WITHSCORES')
  for i = 1, #oldest, 2 do
    local id, limit_passed = oldest[i], 'bytes'
    if tonumber(oldest[i + 1]) <= dead_since then
      limit_passed, by_age = 'age', by_age + 1
    elseif bytes > most then
      by_bytes = by_bytes + 1
    else
      break
    end
    bytes = bytes - unbury(id)
    redis.call('HSET', MAIL .. id, 's', 'discarded', 't', NOW)
    log(id, 'dropped', ',"limit":"' .. limit_passed .. '"')
    finish(id, '', retention)
    moved('dead', 'discarded')
  end
  bump('dead_expired', by_age)
  bump('dead_dropped', by_bytes)
  return by_age, by_bytes
end

local function sweep(lease)
  local more = sweep_due(200)
  more = sweep_sessions(100, lease) or more
  more = sweep_holds(20) or more
  return more
end

-- Milliseconds until there may be something to do again; -1 for never.
local function next_in()
  local at = nil
  for _, key in ipairs({ DUE, HOLDS }) do
    local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if head[2] and (not at or tonumber(head[2]) < at) then at = tonumber(head[2]) end
  end
  if not at then return -1 end
  return math.max(0, at - now)
end

local function rings_empty()
  for _, p in ipairs(PRIORITIES) do
    if redis.call('ZCARD', RING .. p) > 0 then return false end
  end
  return true
end
