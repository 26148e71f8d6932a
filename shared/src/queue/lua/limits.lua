-- What an account may do now: whether it is held, how many mails its limits leave, with how many it may be tried.
-- Accounts are read once a call, and what changed is written once, by write_accounts().

local DAY = 86400000
-- The ledger counts in steps of five minutes; a step is free again when all of it is older than 24 hours.
local STEP = 300000
-- An account that has not proved for so long that it may send is tried with one mail first (ms).
local PROOF_LASTS = 900000

-- What scripts change, kept in the field `state`, in this order. permits: connections given out; turn: when it began one
-- last; proven: when it last proved that it may send; start: when it began to be tried; om, orc: messages and recipients
-- that workers have in hand; um, ur: those of the last 24 hours, as the list LEDGER and the step under way have them; le:
-- the oldest step of them; cs, cm, cr: the step under way, its messages and recipients; elsewhere: messages that Gmail must
-- have counted besides; logins: up to when logins are used up, and tat: the rate (both as a GCRA).
local STATE = { 'permits', 'turn', 'proven', 'start', 'om', 'orc', 'um', 'ur', 'le', 'cs', 'cm', 'cr', 'elsewhere', 'logins', 'tat' }
local STATE_READ = '^' .. string.rep('(%S+) ', #STATE - 1) .. '(%S+)$'
local STATE_WRITTEN = string.rep('%d ', #STATE - 1) .. '%.3f'

local default_cap = nil
local accounts, changed = {}, {}
-- An account may send again, or more: mails of pools that found none may find it now.
local freed = false

local function read_state(it, text)
  local values = { string.match(text or '', STATE_READ) }
  for i, field in ipairs(STATE) do it[field] = tonumber(values[i] or '0') end
end

-- What kept the account on purpose (a hold, a used-up budget) ended now: waiting counts from here.
local function reopened(a, it)
  it.open = now
  redis.call('HSET', ACCOUNT .. a, 'open', NOW)
end

-- Whether the limits of 24 hours leave nothing to what is not urgent. Where there is no limit nothing is ever used up.
local function is_used_up(it)
  local function all(limit, used) return limit < math.huge and used >= limit - math.floor(limit * it.share / 100) end
  return all(it.lm, it.um + it.om) or all(it.lr, it.ur + it.orc)
end

local function trim_ledger(a, it)
  for _ = 1, 300 do
    if it.le == 0 or it.le + STEP + DAY > now then return end
    if it.exists and it.open < now and is_used_up(it) then reopened(a, it) end
    local oldest = redis.call('LPOP', LEDGER .. a)
    local _, m, r = string.match(oldest or '', '^(%d+):(%d+):(%d+)$')
    if not m then m, r, it.cs, it.cm, it.cr = it.cm, it.cr, 0, 0, 0 end
    it.um, it.ur = math.max(0, it.um - tonumber(m)), math.max(0, it.ur - tonumber(r))
    local head = redis.call('LINDEX', LEDGER .. a, 0)
    it.le = head and tonumber(string.match(head, '^%d+')) or it.cs
    changed[a], freed = true, true
  end
end

local function account(a)
  local it = accounts[a]
  if it then return it end
  if not default_cap then default_cap = tonumber(redis.call('HGET', CONFIG, 'connections') or '3') end
  local v = redis.call('HMGET', ACCOUNT .. a, 'kind', 'held', 'connections', 'lm', 'lr', 'share', 'rate', 'burst', 'state',
    'fewer', 'open')
  it = {
    exists = v[1] and true or false,
    held = v[2] and true or false,
    cap = tonumber(v[3] or '') or default_cap,
    lm = tonumber(v[4] or '') or math.huge,
    lr = tonumber(v[5] or '') or math.huge,
    share = tonumber(v[6] or '') or 0,
    rate = tonumber(v[7] or ''),
    burst = tonumber(v[8] or '') or 1,
    open = tonumber(v[11] or '') or 0,
  }
  local fewer, ends = string.match(v[10] or '', '^(%d+) (%d+)$')
  it.fewer, it.fewer_until = tonumber(fewer or it.cap), tonumber(ends or 0)
  read_state(it, v[9])
  accounts[a] = it
  trim_ledger(a, it)
  return it
end

local function change(a)
  changed[a] = true
  return account(a)
end

local function write_accounts()
  for a in pairs(changed) do
    local it = accounts[a]
    if it.exists then
      local values = {}
      for i, field in ipairs(STATE) do values[i] = it[field] end
      redis.call('HSET', ACCOUNT .. a, 'state', string.format(STATE_WRITTEN, unpack(values)))
    end
  end
  changed = {}
  if not freed then return end
  freed = false
  for _, it in ipairs(redis.call('SPOP', STUCK, 1000)) do redis.call('ZADD', LATER, 'NX', now, 'move ' .. it) end
end

-- Accounts to be looked at again at a time: for a limit that frees itself, or a trial that may grow.
local function look_again(a, at) redis.call('ZADD', LATER, 'LT', math.ceil(at), a) end

-- Counts mails that may have gone, to so many recipients.
local function spend(a, messages, recipients)
  local it = change(a)
  local step = now - now % STEP
  if it.cs ~= step then
    if it.cs > 0 then
      redis.call('RPUSH', LEDGER .. a, string.format('%.0f:%d:%d', it.cs, it.cm, it.cr))
      redis.call('PEXPIRE', LEDGER .. a, DAY + 2 * STEP)
    end
    it.cs, it.cm, it.cr = step, 0, 0
    if it.le == 0 then it.le = step end
  end
  it.cm, it.cr = it.cm + messages, it.cr + recipients
  it.um, it.ur = it.um + messages, it.ur + recipients
end

-- Workers have mails no more that they had in hand.
local function put_down(a, messages, recipients)
  local it = change(a)
  it.om = math.max(0, it.om - messages)
  it.orc = math.max(0, it.orc - recipients)
end

-- Whether the account proved lately that it may send.
local function is_proven(it) return it.proven > 0 and now - it.proven < PROOF_LASTS end

-- With how many mails at once it may be tried: until it has proved itself with one, doubled each second, so that a first
-- mail that is slow does not keep the others for long.
local function trial(it)
  if is_proven(it) then return math.huge end
  if it.start == 0 then return 1 end
  return 2 ^ math.min(20, math.floor((now - it.start) / 1000))
end

-- How many connections it may have: fewer for a while after the server had found them too many (`fewer`: how many, until).
local function lasting_cap(it) return it.fewer_until > now and math.min(it.cap, it.fewer) or it.cap end
local function cap_of(it) return math.min(lasting_cap(it), trial(it)) end

-- A limit of 24 hours without the share that is kept for urgent mail. What has no limit has no share of it either.
local function open_to(it, p, limit)
  if p == 'u' or limit == math.huge then return limit end
  return limit - math.floor(limit * it.share / 100)
end

-- What the limits of 24 hours leave for a priority: messages and recipients.
local function left(it, p)
  local elsewhere = is_proven(it) and it.elsewhere or 0
  return open_to(it, p, it.lm) - it.um - it.om - elsewhere, open_to(it, p, it.lr) - it.ur - it.orc
end

local function used_up_to(it) return math.max(it.tat, now - it.burst * 1000 / it.rate) end
local function rate_left(it)
  if not it.rate then return math.huge end
  return math.floor((now - used_up_to(it)) * it.rate / 1000 + 0.001)
end

-- How many mails of a priority may be handed out now.
local function allowed(it, p)
  local messages, recipients = left(it, p)
  if recipients <= 0 then return 0 end
  return math.max(0, math.min(messages, rate_left(it), trial(it) - it.om))
end

-- When more may be handed out than now, if time alone brings it.
local function frees_at(it)
  local at = nil
  local function sooner(when) if when > now and (not at or when < at) then at = when end end
  if it.le > 0 then sooner(it.le + STEP + DAY) end
  if it.rate then sooner(used_up_to(it) + 1000 / it.rate) end
  if not is_proven(it) and it.start > 0 then sooner(it.start + 1000 * (math.floor((now - it.start) / 1000) + 1)) end
  return at
end

-- Mails of the account were handed out.
local function hand_over(a, messages, recipients)
  local it = change(a)
  it.om, it.orc = it.om + messages, it.orc + recipients
  if it.rate then it.tat = used_up_to(it) + messages * 1000 / it.rate end
  if not is_proven(it) and it.start == 0 then it.start = now end
end

-- An attempt ended. An account that proved itself may send all it has; one that did not is tried with one again.
local function tried(a, proves)
  local it = account(a)
  if not proves then
    if not is_proven(it) and it.start > 0 then change(a).start = 0 end
    return false
  end
  if is_proven(it) and now - it.proven < 60000 and it.elsewhere == 0 then return false end
  local first = not is_proven(it)
  it = change(a)
  it.proven, it.start, it.elsewhere = now, 0, 0
  if first and not it.held then redis.call('HDEL', ACCOUNT .. a, 'hold') end
  return first
end

-- Holds: `hold` of an account is a JSON object with a cause for each reason: reason, note, since, times, until (absent: until
-- a person acts). A cause that ended stays until the account has proved itself, so that the next of its kind lasts longer.
-- `held` says that one of them holds now.
local function causes(a)
  local text = redis.call('HGET', ACCOUNT .. a, 'hold')
  return text and cjson.decode(text) or {}
end

local function holds_now(cause) return not cause['until'] or cause['until'] > now end

-- Puts down what keeps an account; answers whether anything does.
local function write_causes(a, all)
  local held, ends = false, nil
  for _, cause in pairs(all) do
    if holds_now(cause) then
      held = true
      local at = cause['until']
      if at and (not ends or at < ends) then ends = at end
    end
  end
  local it = change(a)
  if next(all) then redis.call('HSET', ACCOUNT .. a, 'hold', cjson.encode(all)) else redis.call('HDEL', ACCOUNT .. a, 'hold') end
  if held then redis.call('HSET', ACCOUNT .. a, 'held', '1') else redis.call('HDEL', ACCOUNT .. a, 'held') end
  if ends then redis.call('ZADD', HOLDS, ends, a) else redis.call('ZREM', HOLDS, a) end
  if held then redis.call('SREM', STUCK, 'u ' .. a, 'n ' .. a, 'b ' .. a) elseif it.held then freed = true reopened(a, it) end
  it.held, it.proven, it.start = held, 0, 0
  return held
end

-- The server found that an account has too many connections: one fewer for an hour. Refusals of several connections at once
-- are one finding: those that come while it is held already for it change nothing.
local FEWER_LASTS = 3600000
local function have_fewer(a, reason)
  local cause = causes(a)[reason]
  if cause and holds_now(cause) then return end
  local it = account(a)
  it.fewer, it.fewer_until = math.max(1, lasting_cap(it) - 1), now + FEWER_LASTS
  redis.call('HSET', ACCOUNT .. a, 'fewer', string.format('%d %.0f', it.fewer, it.fewer_until))
end

-- Holds an account for a reason, for `least` ms (-1: until a person acts), doubled with every time the reason came again, at
-- most up to `most`. Answers until when; 0: until a person acts.
local function hold_account(a, reason, note, least, most)
  local all = causes(a)
  local cause = all[reason]
  if not cause then cause = { reason = reason, since = now, times = 0, ['until'] = 0 } end
  if not (all[reason] and holds_now(cause)) then
    cause.since, cause.times = now, cause.times + 1
    local pause = least * 2 ^ math.min(20, cause.times - 1)
    cause['until'] = now + math.max(least, math.min(pause, most))
  end
  if least < 0 then cause['until'] = nil end
  cause.note = note
  all[reason] = cause
  write_causes(a, all)
  return cause['until'] or 0
end
