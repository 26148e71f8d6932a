-- Changes an account. ARGV: what (put|change|hold|used_up|resume|remove), account, then
-- put, change: kind, aliases (JSON), connections or '', limit or '', recipients or '', share, rate or '', burst or '',
--   client or '', messages in 24 hours, recipients in 24 hours or '';
-- hold: reason, note, least (ms, -1: until a person acts), most (ms), how long ago the attempt began that showed it (ms; '':
--   a person holds), whether the server found its connections too many (0|1); resume: reason or '' (all).
-- Answers {'ok', until (ms, of hold; 0: open)}, {'outdated'} for what was seen before the account was resumed, {'no_account'},
-- or for remove {'more'} while mails are still being buried.

local what, a = ARGV[1], ARGV[2]
local key = ACCOUNT .. a
local answer = '0'
even_if_full()

local function put()
  local it = account(a)
  if not it.exists then
    it.exists, it.permits = true, 0
    for _, n in ipairs(redis.call('HVALS', PERMITS .. a)) do it.permits = it.permits + tonumber(n) end
    changed[a] = true
  end
  write_accounts()
  redis.call('HSET', key, 'kind', ARGV[3], 'aliases', ARGV[4], 'connections', ARGV[5], 'limit', ARGV[6], 'recipients',
    ARGV[7], 'share', ARGV[8], 'rate', ARGV[9], 'burst', ARGV[10], 'client', ARGV[11], 'lm', ARGV[12], 'lr', ARGV[13])
end

-- Buries a slice of the mails that wait for it; answers whether there are more.
local function bury_waiting()
  for _, p in ipairs(PRIORITIES) do
    redis.call('ZREM', RING .. p, a)
    redis.call('SREM', WAITING .. p, a)
    local ids = redis.call('LPOP', LANE .. a .. ':' .. p, 200)
    for _, id in ipairs(ids or {}) do
      local m = redis.call('HMGET', MAIL .. id, 's', 'a', 'g', 'u')
      -- Mail of a pool goes to another account of it, if there is one.
      if m[1] == 'ready' and m[2] == a then to_lane(id, a, p, 'ready', false, m[3], m[4]) end
    end
    if ids and #ids == 200 then return true end
  end
  return false
end

if what == 'remove' then
  redis.call('DEL', key, LEDGER .. a, TOKEN_REST .. a, TOKEN_FIGURES .. a)
  redis.call('ZREM', HOLDS, a)
  redis.call('ZREM', LATER, a)
  local more = bury_waiting()
  if not more then redis.call('DEL', POOLED .. a .. ':u', POOLED .. a .. ':n', POOLED .. a .. ':b') end
  mend_rings()
  write_accounts()
  write_counts()
  wake_any(1)
  return { more and 'more' or 'ok' }
end
if what == 'put' or what == 'change' then
  put()
  accounts[a], freed = nil, true
elseif not account(a).exists then
  return { 'no_account' }
end

if what == 'put' or what == 'resume' then
  -- A person says that it may work now: nobody need wait for the token endpoint any more, and what was refused before says
  -- nothing of it.
  redis.call('DEL', TOKEN_REST .. a, TOKEN_FORCED .. a)
  redis.call('HSET', key, 'resumed', string.format('%.0f', now))
  redis.call('HDEL', key, 'fewer')
  account(a).fewer_until = 0
end
if what == 'put' then
  write_causes(a, {})
elseif what == 'hold' then
  local age, resumed = tonumber(ARGV[7]), redis.call('HGET', key, 'resumed')
  if age and resumed and now - age < tonumber(resumed) then return { 'outdated' } end
  if ARGV[8] == '1' then have_fewer(a, ARGV[3]) end
  answer = string.format('%.0f', hold_account(a, ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])))
elseif what == 'used_up' then
  local it = change(a)
  if it.lm < math.huge then it.elsewhere = math.max(0, it.lm - it.um) end
elseif what == 'resume' then
  local all = causes(a)
  if ARGV[3] == '' then all = {} elseif not all[ARGV[3]] then return { 'ok', '0' } else all[ARGV[3]] = nil end
  write_causes(a, all)
end

ring_all(a)
write_accounts()
wake_for(a, 8)
-- Whoever sleeps must know when the hold ends.
if answer ~= '0' or pools_move then wake_any(1) end
return { 'ok', answer }
