-- Changes one mail by hand. ARGV: what (cancel|retry|discard), id, retention (ms), ttl (ms, of retry), event (JSON),
-- record to keep ('': none), account that a retry goes through ('': the mail's own).
-- Answers {'ok' | 'no' | 'no_account' | 'doubt' (the server may have it), state it was in} or {'gone'}.

local what, id, retention = ARGV[1], ARGV[2], tonumber(ARGV[3])
local m = redis.call('HMGET', MAIL .. id, 's', 'a', 'p', 'u', 'g')
local state, a, p = m[1], m[2], m[3]
if not state then return { 'gone' } end

local function ended(as)
  redis.call('ZREM', DUE, id)
  if m[5] then forget_pooled(id, a, p) end
  unbury(id)
  redis.call('HSET', MAIL .. id, 's', as, 'r', 'operator', 't', now)
  redis.call('RPUSH', LOG .. id, ARGV[5])
  finish(id, ARGV[6], retention)
  moved(state, as)
end

if what == 'cancel' then
  if state ~= 'scheduled' and state ~= 'ready' and state ~= 'retry' then return { 'no', state } end
  if m[4] then return { 'doubt', state } end
  ended('cancelled')
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
  redis.call('HDEL', MAIL .. id, 'r', 'l', 'k', 'u', 'e')
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
