-- Ends attempts. Fenced by the lease: only its holder moves the mail, but a delivery is never thrown away.
-- ARGV: count, retention (ms), then for each: id, session, fence, outcome (sent|retry|dead|back), at (ms, of retry),
-- attempts to count (0|1), reason, open recipients ('' for all), event (JSON or ''; of a delivery it lies in the record),
-- record to keep when done ('': none).
-- Answers for each: 'ok' | 'late' (delivered after the lease was lost) | 'doubled' (it had been sent already) |
-- 'lost' (somebody else has it now) | 'gone' (nothing is known of it).
-- A settlement may be repeated until its answer is heard: 'x' of a mail is the fence of the lease that settled it last.

local count, retention = tonumber(ARGV[1]), tonumber(ARGV[2])
local answers, loads, ended = {}, {}, {}
even_if_full()

local function drop_load(s, a)
  local key = s .. '|' .. a
  local it = loads[key]
  if not it then
    it = { s = s, a = a, by = 0 }
    loads[key] = it
  end
  it.by = it.by + 1
end

-- A mail that went at its first lease has no log: all there is to tell lies in the record.
local function done(it, from, attempts, may_have_log)
  local id = it.id
  redis.call('HSET', MAIL .. id, 's', 'sent', 'r', it.reason, 't', NOW, 'x', it.fence, 'n', attempts)
  if it.keep ~= '' then redis.call('SET', JOB .. id, it.keep, 'PX', retention) else redis.call('DEL', JOB .. id) end
  redis.call('PEXPIRE', MAIL .. id, retention)
  if may_have_log then redis.call('PEXPIRE', LOG .. id, retention) end
  moved(from, 'sent')
end

local function late(it, state, holder, a, attempts)
  if it.outcome ~= 'sent' then return 'lost' end
  if state == 'sent' then
    bump('doubled', 1)
    log(it.id, 'doubled')
    redis.call('PEXPIRE', LOG .. it.id, retention)
    return 'doubled'
  end
  if state == 'sending' then
    redis.call('SREM', JOBS .. holder, it.id)
    drop_load(holder, a)
  elseif state == 'dead' then
    unbury(it.id)
  else
    redis.call('ZREM', DUE, it.id)
  end
  done(it, state, attempts, true)
  return 'late'
end

local function settle(it, a)
  -- At its first lease a mail has had no attempt.
  local attempts = '0'
  if it.fence ~= '1' then attempts = redis.call('HGET', MAIL .. it.id, 'n') or '0' end
  ended[it.s] = ended[it.s] or {}
  table.insert(ended[it.s], it.id)
  drop_load(it.s, a)
  if it.counted then attempts = string.format('%d', tonumber(attempts) + 1) end
  if it.outcome == 'sent' then
    done(it, 'sending', attempts, it.fence ~= '1')
    return 'ok'
  end
  local m = redis.call('HMGET', MAIL .. it.id, 'p', 'd')
  local p, deadline = m[1], tonumber(m[2])
  if it.open ~= '' then redis.call('HSET', MAIL .. it.id, 'o', it.open) end
  redis.call('HSET', MAIL .. it.id, 'x', it.fence, 'n', attempts)
  redis.call('HDEL', MAIL .. it.id, 'w')
  if it.outcome == 'back' then
    to_lane(it.id, a, p, 'sending', true)
    touch(a, p)
  elseif it.outcome == 'dead' then
    bury(it.id, 'sending', it.reason)
  elseif it.at >= deadline then
    bury(it.id, 'sending', 'expired')
  else
    redis.call('HSET', MAIL .. it.id, 's', 'retry', 'r', it.reason, 't', it.at)
    moved('sending', 'retry')
    add_due(it.id, it.at)
  end
  return 'ok'
end

for i = 0, count - 1 do
  local at = 3 + i * 10
  local it = {
    id = ARGV[at], s = ARGV[at + 1], fence = ARGV[at + 2], outcome = ARGV[at + 3], at = tonumber(ARGV[at + 4]),
    counted = ARGV[at + 5] == '1', reason = ARGV[at + 6], open = ARGV[at + 7], event = ARGV[at + 8], keep = ARGV[at + 9],
  }
  local m = redis.call('HMGET', MAIL .. it.id, 's', 'w', 'f', 'a')
  local holds = m[1] == 'sending' and m[2] == it.s and m[3] == it.fence
  local before = not holds and m[1] and redis.call('HMGET', MAIL .. it.id, 'x', 'n') or {}
  if not m[1] then
    answers[i + 1] = 'gone'
  elseif before[1] == it.fence then
    answers[i + 1] = 'ok'
  else
    -- What happened is told before what follows from it.
    if it.event ~= '' then redis.call('RPUSH', LOG .. it.id, it.event) end
    answers[i + 1] = holds and settle(it, m[4]) or late(it, m[1], m[2], m[4], before[2] or '0')
  end
end

for s, ids in pairs(ended) do redis.call('SREM', JOBS .. s, unpack(ids)) end
for _, it in pairs(loads) do
  local permits, load = lane_of(it.s, it.a)
  if permits > 0 then redis.call('HSET', LANES .. it.s, it.a, permits .. ':' .. math.max(0, load - it.by)) end
end
mend_rings()
write_counts()
if redis.call('SCARD', IDLE) > 0 and not rings_empty() then wake_any(1) end
return answers
