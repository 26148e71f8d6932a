-- Lanes: which accounts have mail that may go, who holds permits, and who is woken for it.

-- A new permit means a new login: where none is left, connections that stand go on and no other begins.
local function may_start(a)
  local it = account(a)
  return it.exists and not it.held and it.permits < cap_of(it) and it.logins <= now
end

-- `waiting:` holds the accounts that have mail of a priority and may send it now; `ring:` those of them that may have
-- another connection.
local function ring_one(a, p)
  local it = account(a)
  local may_go = false
  if it.exists and it.held then
    leave_pooled(a, p)
  elseif it.exists and redis.call('LLEN', LANE .. a .. ':' .. p) > 0 then
    may_go = allowed(it, p) > 0
    if not may_go or trial(it) < it.cap then
      local at = frees_at(it)
      if at then look_again(a, at) end
    end
    if not may_go and not has_budget(it, p) then leave_pooled(a, p) end
  end
  if may_go and it.logins > now and it.permits < cap_of(it) then look_again(a, it.logins) end
  if may_go and it.fewer_until > now then look_again(a, it.fewer_until) end
  redis.call(may_go and 'SADD' or 'SREM', WAITING .. p, a)
  if may_go and may_start(a) then
    redis.call('ZADD', RING .. p, 'NX', it.turn, a)
  else
    redis.call('ZREM', RING .. p, a)
  end
end
local function ring_all(a)
  for _, p in ipairs(PRIORITIES) do ring_one(a, p) end
end

-- Which of these accounts may have mail of a priority to send: some lanes have just become empty.
local function waiting(p, list)
  if #list == 0 then return {} end
  return redis.call('SMISMEMBER', WAITING .. p, unpack(list))
end

local function has_mail_waiting(a)
  for _, p in ipairs(PRIORITIES) do
    if redis.call('SISMEMBER', WAITING .. p, a) == 1 then return true end
  end
  return false
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

-- A session's lanes: account -> permits it holds, how many of them this call gave (new), and mails in hand for them (load).
-- Those of the session that asks are read once, by read_lanes(), and written once, by write_lanes().
local mine, mine_of, mine_changed = {}, nil, {}
local function read_lanes(s)
  mine_of = s
  local pairs_of = redis.call('HGETALL', LANES .. s)
  for i = 1, #pairs_of, 2 do
    local permits, load = string.match(pairs_of[i + 1], '^(%d+):(%d+)$')
    mine[#mine + 1] = { a = pairs_of[i], permits = tonumber(permits), load = tonumber(load), new = 0 }
    mine[pairs_of[i]] = mine[#mine]
  end
end
local function write_lanes()
  local list = {}
  for a in pairs(mine_changed) do
    list[#list + 1] = a
    list[#list + 1] = mine[a].permits .. ':' .. mine[a].load
  end
  for i = 1, #list, 200 do redis.call('HSET', LANES .. mine_of, unpack(list, i, math.min(i + 199, #list))) end
  mine_changed = {}
end

local function lane_of(s, a)
  if s == mine_of then
    local it = mine[a]
    if it then return it.permits, it.load end
    return 0, 0
  end
  local text = redis.call('HGET', LANES .. s, a)
  if not text then return 0, 0 end
  local permits, load = string.match(text, '^(%d+):(%d+)$')
  return tonumber(permits), tonumber(load)
end
local function write_lane(s, a, permits, load)
  if s ~= mine_of then
    redis.call('HSET', LANES .. s, a, permits .. ':' .. load)
    return
  end
  if not mine[a] then
    mine[#mine + 1] = { a = a, new = 0 }
    mine[a] = mine[#mine]
  end
  mine[a].permits, mine[a].load = permits, load
  mine_changed[a] = true
end
local function forget_lane(s, a)
  redis.call('HDEL', LANES .. s, a)
  if s ~= mine_of or not mine[a] then return end
  mine[a], mine_changed[a] = nil, nil
  for i, it in ipairs(mine) do
    if it.a == a then
      table.remove(mine, i)
      return
    end
  end
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

-- Lanes touched by a call; their rings are mended once, by mend_rings().
local touched = {}
local function touch(a, p) touched[a .. ':' .. p] = { a, p } end

-- A mail takes its place: at the end of its lane, or at the front if it only comes back. Whoever calls it touches the lane;
-- that of another account, if its pool chose one, is touched here. g and u of the mail, if the caller knows them (false:
-- it has none). Answers the account.
local function to_lane(id, a, p, from, front, g, u)
  if from == 'scheduled' or from == 'retry' then index.leave(id, from) end
  if g == nil then g, u = unpack(redis.call('HMGET', MAIL .. id, 'g', 'u')) end
  local may_move = g and not u
  if may_move then
    local pool = read_pool(g)
    local to = choose_again(pool, a, p, not front)
    if to ~= a then
      change_account(id, a, to, p, pool)
      touch(to, p)
      a = to
    end
  end
  if not account(a).exists then return bury(id, from, 'no_account') end
  redis.call('HSET', MAIL .. id, 's', 'ready')
  redis.call(front and 'LPUSH' or 'RPUSH', LANE .. a .. ':' .. p, id)
  if may_move then note_pooled(id, a, p, front) end
  moved(from, 'ready')
  return a
end
local function mend_rings()
  for _, it in pairs(touched) do ring_one(it[1], it[2]) end
  touched = {}
end

local function rings_empty()
  for _, p in ipairs(PRIORITIES) do
    if redis.call('ZCARD', RING .. p) > 0 then return false end
  end
  return true
end

local function change_permits(a, s, permits, load)
  local before = lane_of(s, a)
  if permits <= 0 then
    forget_lane(s, a)
    redis.call('HDEL', PERMITS .. a, s)
    permits = 0
  else
    write_lane(s, a, permits, load)
    if permits ~= before then redis.call('HSET', PERMITS .. a, s, permits) end
  end
  if permits ~= before and account(a).exists then
    local it = change(a)
    it.permits = it.permits + permits - before
  end
end
