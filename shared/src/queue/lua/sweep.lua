-- Sweeps: what became due, was lost or may go on. Each does one slice and says whether there is more.

local function sweep_due(limit)
  local ids = redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, limit)
  if #ids == 0 then return false end
  for _, id in ipairs(ids) do
    local m = redis.call('HMGET', MAIL .. id, 's', 'a', 'p', 'g', 'u')
    if m[1] == 'scheduled' or m[1] == 'retry' then
      to_lane(id, m[2], m[3], m[1], false, m[4], m[5])
      touch(m[2], m[3])
    end
  end
  redis.call('ZREM', DUE, unpack(ids))
  mend_rings()
  return #ids == limit
end

-- A mail that its session has no more takes its place again. If its bytes may have left (`begun`), the server may have it:
-- it is in doubt (`u`), and the lost lease counts against it (`k`).
local function take_back(id, s, begun)
  local m = redis.call('HMGET', MAIL .. id, 's', 'w', 'a', 'p', 'c', 'f', 'o', 'v')
  if m[1] ~= 'sending' or m[2] ~= s then return end
  local a, recipients = m[3], tonumber(m[5] or '1')
  redis.call('HINCRBY', MAIL .. id, 'l', 1)
  redis.call('HDEL', MAIL .. id, 'w')
  put_down(a, 1, recipients)
  if begun then
    spend(a, 1, recipients)
    redis.call('HINCRBY', MAIL .. id, 'k', 1)
    redis.call('HSET', MAIL .. id, 'u', NOW .. ':0')
    -- Who is in doubt (the third part of `o`) was said of this sending, or else it went to all that are open.
    if m[7] and m[8] ~= m[6] then
      redis.call('HSET', MAIL .. id, 'o', (string.gsub(m[7], '^([^!]*![^!]*!)[^!]*', '%1')))
    end
  end
  log(id, 'taken_back', ',"reason":"lease_lost","worker":"' .. s .. '"' .. (begun and ',"begun":true' or ''))
  bump('leases_lost', 1)
  to_lane(id, a, m[4], 'sending', true)
  touch(a, m[4])
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

-- Sessions whose leases were found to have run out in this call: that of whoever asks may be among them.
local lost_now = {}

local function sweep_sessions(limit, lease)
  if everybody_was_away(lease) then return false end
  for _, s in ipairs(redis.call('ZRANGEBYSCORE', SESSIONS, '-inf', now, 'LIMIT', 0, 20)) do
    redis.call('ZREM', SESSIONS, s)
    redis.call('SREM', IDLE, s)
    redis.call('SADD', LOST, s)
    lost_now[s] = true
  end
  local s = redis.call('SRANDMEMBER', LOST)
  if not s then return false end
  local ids = redis.call('HRANDFIELD', JOBS .. s, limit)
  if #ids > 0 then
    redis.call('HDEL', JOBS .. s, unpack(ids))
    local begun = redis.call('SMISMEMBER', BEGUN .. s, unpack(ids))
    for i, id in ipairs(ids) do take_back(id, s, begun[i] == 1) end
    mend_rings()
  end
  if #ids == limit then return true end
  local lanes = redis.call('HKEYS', LANES .. s)
  for i = 1, math.min(#lanes, 100) do
    change_permits(lanes[i], s, 0, 0)
    ring_all(lanes[i])
  end
  if #lanes > 100 then return true end
  redis.call('DEL', JOBS .. s, BEGUN .. s, LANES .. s, SESSION .. s)
  redis.call('SREM', LOST, s)
  return redis.call('SCARD', LOST) > 0
end

local function sweep_holds(limit)
  local ended = redis.call('ZRANGEBYSCORE', HOLDS, '-inf', now, 'LIMIT', 0, limit)
  for _, a in ipairs(ended) do
    write_causes(a, causes(a))
    ring_all(a)
    if has_mail_waiting(a) then wake_for(a, 1) end
  end
  return #ended == limit
end

-- Takes a mail's entry out of a lane, if it stands near its front, as it does when whole lanes move. Any other is skipped
-- when its turn comes. Answers whether it was found.
local function take_entry(id, a, p)
  local lane = LANE .. a .. ':' .. p
  local found = redis.call('LPOS', lane, id, 'MAXLEN', 200)
  if found then redis.call('LREM', lane, 1, id) end
  return found
end

-- Moves a slice of an account's pooled mails to accounts that may send them; answers whether there is more. `moving` holds
-- how many were passed over.
local function sweep_pooled(a, p, limit)
  local name, key = p .. ' ' .. a, POOLED .. a .. ':' .. p
  local passed = tonumber(redis.call('HGET', MOVING, name) or '0')
  local ids = may_send(a, p) and {} or redis.call('ZRANGE', key, passed, passed + limit - 1)
  local woken = {}
  for _, id in ipairs(ids) do
    local m = redis.call('HMGET', MAIL .. id, 's', 'a', 'g', 'u')
    local lies_here = m[1] == 'ready' and m[2] == a and m[3] and not m[4]
    local pool = lies_here and read_pool(m[3])
    local to = pool and another(pool, a, p)
    if to then
      take_entry(id, a, p)
      change_account(id, a, to, p, pool)
      redis.call('RPUSH', LANE .. to .. ':' .. p, id)
      note_pooled(id, to, p, false)
      touch(to, p)
      woken[to] = (woken[to] or 0) + 1
    end
    if to or not lies_here then redis.call('ZREM', key, id) else passed = passed + 1 end
  end
  mend_rings()
  for to, n in pairs(woken) do wake_for(to, math.min(n, 8)) end
  if #ids == limit then
    redis.call('HSET', MOVING, name, passed)
    redis.call('ZADD', LATER, now, 'move ' .. name)
    return true
  end
  redis.call('HDEL', MOVING, name)
  if passed > 0 and not may_send(a, p) then redis.call('SADD', STUCK, name) end
  return false
end

local function sweep_later(limit)
  local ready = redis.call('ZRANGEBYSCORE', LATER, '-inf', now, 'LIMIT', 0, limit)
  if #ready == 0 then return false end
  redis.call('ZREM', LATER, unpack(ready))
  local more = #ready == limit
  for _, it in ipairs(ready) do
    local p, a = string.match(it, '^move (%a) (.*)$')
    if p then
      more = sweep_pooled(a, p, 50) or more
    else
      ring_all(it)
      if has_mail_waiting(it) then wake_for(it, 1) end
    end
  end
  return more
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
    index.place_for(id, 'discarded', retention)
    log(id, 'dropped', ',"limit":"' .. limit_passed .. '"')
    finish(id, '', end_of(retention), true)
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
  more = sweep_later(50) or more
  return more
end

-- Milliseconds until there may be something to do again; -1 for never.
local function next_in()
  local at = nil
  for _, key in ipairs({ DUE, HOLDS, LATER }) do
    local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if head[2] and (not at or tonumber(head[2]) < at) then at = tonumber(head[2]) end
  end
  if not at then return -1 end
  return math.max(0, at - now)
end
