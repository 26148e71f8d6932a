-- Changes one mail by hand. ARGV: what (cancel|retry|discard|reschedule), id, retention (ms), ttl (ms) of retry or time (ms)
-- of reschedule, event (JSON), record to keep ('': none), account that a retry goes through ('': the mail's own).
-- Answers {'ok' | 'no' | 'no_account' | 'doubt' (the server may have it), state it was in} or {'gone'}.

local what, id, retention = ARGV[1], ARGV[2], tonumber(ARGV[3])
local m = redis.call('HMGET', MAIL .. id, 's', 'a', 'p', 'u', 'g')
local state, a, p = m[1], m[2], m[3]
if not state then return { 'gone' } end

local function ended(as)
  redis.call('ZREM', DUE, id)
  if m[5] then forget_pooled(id, a, p) end
  unbury(id)
  index.leave(id, state)
  redis.call('HSET', MAIL .. id, 's', as, 'r', 'operator', 't', now)
  index.place_for(id, as, retention)
  redis.call('RPUSH', LOG .. id, ARGV[5])
  finish(id, ARGV[6], end_of(retention), true)
  moved(state, as)
end

-- A mail that waits gets another time, and its deadline moves with it. One that is in its lane already leaves it; its entry
-- there goes if it is near either end, else it is skipped when its turn comes.
local function reschedule()
  local known = redis.call('HMGET', MAIL .. id, 't', 'd', 'n')
  -- What was tried is between two attempts, wherever it waits.
  if m[4] or tonumber(known[3] or '0') > 0 then return { 'no', 'retry' } end
  local at = math.max(now, tonumber(ARGV[4]))
  local deadline = at + tonumber(known[2]) - tonumber(known[1])
  redis.call('HSET', MAIL .. id, 't', string.format('%.0f', at), 'd', string.format('%.0f', deadline))
  -- It has a timeline now, which a mail of fence 1 has not (settle.lua).
  redis.call('HSETNX', MAIL .. id, 'f', '1')
  redis.call('RPUSH', LOG .. id, ARGV[5])
  if at > now then
    if state == 'ready' then
      local lane = LANE .. a .. ':' .. p
      local is_last = not take_entry(id, a, p) and redis.call('LPOS', lane, id, 'RANK', -1, 'MAXLEN', 200)
      if is_last then redis.call('LREM', lane, -1, id) end
      if m[5] then forget_pooled(id, a, p) end
      redis.call('HSET', MAIL .. id, 's', 'scheduled')
      index.place(id, 'scheduled')
      moved('ready', 'scheduled')
      ring_one(a, p)
    end
    index.lengthen(id, string.format('%.0f', deadline - now + retention))
    add_due(id, at)
  elseif state == 'scheduled' then
    redis.call('ZREM', DUE, id)
    local to = to_lane(id, a, p, state, false)
    touch(a, p)
    mend_rings()
    if account(to or a).exists then wake_for(to or a, 1) end
  end
  write_accounts()
  return { 'ok', state }
end

if what == 'cancel' then
  if state ~= 'scheduled' and state ~= 'ready' and state ~= 'retry' then return { 'no', state } end
  if m[4] then return { 'doubt', state } end
  ended('cancelled')
elseif what == 'reschedule' then
  if state ~= 'scheduled' and state ~= 'ready' then return { 'no', state } end
  local answer = reschedule()
  write_counts()
  return answer
elseif state ~= 'dead' then
  return { 'no', state }
elseif what == 'discard' then
  ended('discarded')
else
  if ARGV[7] ~= '' then a = ARGV[7] end
  if not account(a).exists then return { 'no_account', state } end
  -- Whoever names an account means that one: the mail belongs to its pool no more.
  if ARGV[7] ~= '' then redis.call('HDEL', MAIL .. id, 'g') end
  unbury(id)
  -- It begins afresh, with no lost lease (l, k) and no doubt (u, e); attempts go on counting, for the timeline goes on.
  redis.call('HSET', MAIL .. id, 'a', a, 'd', now + tonumber(ARGV[4]), 't', now)
  redis.call('HDEL', MAIL .. id, 'r', 'l', 'k', 'u', 'e', 'td')
  redis.call('RPUSH', LOG .. id, ARGV[5])
  a = to_lane(id, a, p, 'dead', false)
  ring_one(a, p)
  write_accounts()
  write_counts()
  wake_for(a, 1)
  return { 'ok', state }
end
write_counts()
return { 'ok', state }
