-- Pools: a mail of a pool may be sent by several accounts. It lies in the lane of one of them and moves to another's when
-- that one may not send; never when the server may have it (`u`). Its hash has `g`, a line each: the pool, what its thread
-- is known by (hashes of Message-IDs), and each account. While it lies in a lane it stands in `pooled:<account>:<p>` too,
-- so that nobody who has no such mail pays for them.

local THREAD_LASTS = 30 * DAY
-- A mail of a thread waits so long for the thread's account (ms).
local THREAD_WAITS = 600000
local MOST_ROOM = 1000000000

local function read_pool(g)
  local lines = {}
  for line in string.gmatch(g, '[^\n]+') do lines[#lines + 1] = line end
  local it = { name = lines[1], thread = {}, accounts = {} }
  for hash in string.gmatch(lines[2], '%S+') do it.thread[#it.thread + 1] = hash end
  for i = 3, #lines do it.accounts[#it.accounts + 1] = lines[i] end
  return it
end

local function has_budget(it, p)
  local messages, recipients = left(it, p)
  return messages > 0 and recipients > 0
end

local function may_send(a, p)
  local it = account(a)
  return it.exists and not it.held and has_budget(it, p)
end

-- When an account may send, as far as is known: now, later, or math.huge.
local function sends_from(a, p)
  local it, at = account(a), now
  if not it.exists then return math.huge end
  if it.held then
    for _, cause in pairs(causes(a)) do at = math.max(at, cause['until'] or math.huge) end
  end
  if not has_budget(it, p) then at = math.max(at, it.le > 0 and it.le + STEP + DAY or now + DAY) end
  return at
end

-- What of an account's budget the mails that wait for it leave to another one of a priority. Lanes are counted once a call.
local waits = {}
local function room(a, p)
  if not waits[a] then
    waits[a] = {}
    for _, q in ipairs(PRIORITIES) do waits[a][q] = redis.call('LLEN', LANE .. a .. ':' .. q) end
  end
  local messages = math.min(left(account(a), p), MOST_ROOM)
  for _, q in ipairs(PRIORITIES) do
    messages = messages - waits[a][q]
    if q == p then return messages end
  end
end
local function placed(a, p)
  if waits[a] then waits[a][p] = waits[a][p] + 1 end
end

-- The account of a pool that may send and has most room, but for one.
local function roomiest(pool, p, except)
  local found, most = nil, nil
  for _, a in ipairs(pool.accounts) do
    if a ~= except and may_send(a, p) then
      local it = room(a, p)
      if not most or it > most then found, most = a, it end
    end
  end
  return found, most
end

-- The account that sent the last mail of a mail's thread, if it is one that may send this one.
local function account_of_thread(pool)
  if not pool.thread[2] then return nil end
  local known = redis.call('GET', THREAD .. pool.name .. ':' .. pool.thread[1])
  for _, a in ipairs(pool.accounts) do
    if a == known and account(a).exists then return a end
  end
end

local function remember_thread(pool, a)
  for _, hash in ipairs(pool.thread) do
    redis.call('SET', THREAD .. pool.name .. ':' .. hash, a, 'PX', THREAD_LASTS)
  end
end

-- Where a mail of a pool begins: with its thread, else where most room is, else where it may go first.
local function choose(pool, p)
  local known = account_of_thread(pool)
  if known and sends_from(known, p) <= now + THREAD_WAITS then return known end
  local found = roomiest(pool, p)
  if found then return found end
  local first = math.huge
  for _, a in ipairs(pool.accounts) do
    if account(a).exists then
      local at = sends_from(a, p)
      if not found or at < first then found, first = a, at end
    end
  end
  return found
end

-- Where a mail goes whose account may not send: nil if it is better off where it is.
local function another(pool, a, p)
  if account(a).exists and pool.thread[2] and sends_from(a, p) <= now + THREAD_WAITS then return nil end
  local known = account_of_thread(pool)
  if known and known ~= a and may_send(known, p) then return known end
  local found, most = roomiest(pool, p, a)
  if found and (most > 0 or not account(a).exists) then return found end
end

-- Where a mail of a pool goes that takes its place: chosen anew if it has become due, else its own account unless that may
-- not send.
local function choose_again(pool, a, p, anew)
  if anew and not pool.thread[2] then return choose(pool, p) or a end
  if may_send(a, p) then return a end
  return another(pool, a, p) or account(a).exists and a or choose(pool, p) or a
end

-- A mail belongs to another account from here on. It has a timeline now, which a mail of fence 1 has not (settle.lua).
local function change_account(id, from, to, p, pool)
  local it, why = account(from), 'chosen'
  if not it.exists then why = 'removed' elseif it.held then why = 'held' elseif not has_budget(it, p) then why = 'budget' end
  redis.call('HSET', MAIL .. id, 'a', to)
  redis.call('HSETNX', MAIL .. id, 'f', '1')
  log(id, 'moved', ',"from":' .. cjson.encode(from) .. ',"to":' .. cjson.encode(to) .. ',"why":"' .. why .. '"')
  remember_thread(pool, to)
end

-- Their order is that of the lane: by microseconds, with a mail more for each of a call (it takes longer than one).
local noted_at = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function note_pooled(id, a, p, front)
  noted_at = noted_at + 1
  redis.call('ZADD', POOLED .. a .. ':' .. p, front and 0 or string.format('%.0f', noted_at), id)
  placed(a, p)
end
local function forget_pooled(id, a, p) redis.call('ZREM', POOLED .. a .. ':' .. p, id) end

-- An account may not send mail of a priority: what of it belongs to pools looks for another one, in slices (sweep.lua).
-- Once it has been looked through, it is not looked through again before anything has changed (`stuck`).
local pools_move = false
local function leave_pooled(a, p)
  if redis.call('EXISTS', POOLED .. a .. ':' .. p) == 0 or redis.call('SISMEMBER', STUCK, p .. ' ' .. a) == 1 then return end
  pools_move = redis.call('ZADD', LATER, 'NX', now, 'move ' .. p .. ' ' .. a) == 1 or pools_move
end
