-- Ends attempts. Fenced by the lease: only its holder moves the mail, but a delivery is never thrown away.
-- ARGV: count, retention (ms), what a delivery earns of a login (ms), session whose mails begin, then for each end: id, session,
-- fence, outcome (sent|retry|check|dead|back), at (ms, of retry and check), attempts to count (0|1), reason, open recipients
-- ('' for all), event (JSON or ''; of a delivery it lies in the record), record to keep when done ('': none), recipients to
-- whom it may have gone (0: it surely did not go), whether the account proved itself (0|1);
-- then the ids of mails whose bytes are about to leave.
-- Answers {whether the session lives, so that they may leave (0|1), answers}. An answer: 'ok' | 'late' (delivered after the lease was lost) | 'doubled' (it had been sent already) |
-- 'lost' (somebody else has it now) | 'gone' (nothing is known of it).
-- A settlement may be repeated until its answer is heard: 'x' of a mail is the fence of the lease that settled it last.

local count, retention, earned = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local answers, loads, ended, sums = {}, {}, {}, {}
even_if_full()

-- What the ends come to for their accounts, gathered and written once.
local function sum_up(a, it, recipients)
  local sum = sums[a]
  if not sum then
    sum = { messages = 0, recipients = 0, in_hand = 0, orc = 0, sent = 0, ends = 0 }
    sums[a] = sum
  end
  sum.ends = sum.ends + 1
  sum.orc = sum.orc + recipients
  sum.proves = sum.proves or it.proves
  if it.outcome == 'sent' then sum.sent = sum.sent + 1 end
  if it.spent > 0 then
    sum.messages = sum.messages + 1
    sum.recipients = sum.recipients + it.spent
  end
end

local function settle_account(a, sum)
  local it = change(a)
  put_down(a, sum.ends, sum.orc)
  if sum.messages > 0 then spend(a, sum.messages, sum.recipients) end
  it.logins = math.max(0, it.logins - sum.sent * earned)
  local on_trial = not is_proven(it)
  local first = tried(a, sum.proves)
  if on_trial or sum.messages < sum.ends then ring_all(a) end
  if first then wake_for(a, 8) end
end

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

local function late(it, state, holder, a, attempts, recipients)
  if it.outcome ~= 'sent' then return 'lost' end
  -- Every lease that told a delivery, for a settlement may be repeated, and a mail found in Sent is not sent twice when its
  -- first worker tells of it at last.
  local known = redis.call('HMGET', MAIL .. it.id, 'y', 'r')
  if state == 'sent' and string.find(known[1] or '', ',' .. it.fence .. ',', 1, true) then return 'late' end
  redis.call('HSET', MAIL .. it.id, 'y', (known[1] or ',') .. it.fence .. ',')
  if state == 'sent' then
    if known[2] == 'found' and not known[1] then return 'late' end
    bump('doubled', 1)
    log(it.id, 'doubled')
    redis.call('PEXPIRE', LOG .. it.id, retention)
    return 'doubled'
  end
  if state == 'sending' then
    redis.call('SREM', JOBS .. holder, it.id)
    redis.call('SREM', BEGUN .. holder, it.id)
    put_down(a, 1, recipients)
    drop_load(holder, a)
  elseif state == 'dead' then
    unbury(it.id)
  else
    redis.call('ZREM', DUE, it.id)
  end
  done(it, state, attempts, true)
  return 'late'
end

-- Sent is asked before the mail is sent again; at its deadline at the latest somebody decides.
local function keep_in_doubt(it, deadline)
  local since, asked = string.match(redis.call('HGET', MAIL .. it.id, 'u') or '', '^(%d+):(%d+)$')
  -- Sent once more, it is in doubt anew.
  if it.spent > 0 then since = nil end
  local doubt = since and (since .. ':' .. (tonumber(asked) + 1)) or (NOW .. ':0')
  redis.call('HSET', MAIL .. it.id, 'u', doubt)
  if deadline > now then it.at = math.min(it.at, deadline) end
end

local function settle(it, a, recipients)
  -- At its first lease a mail has had no attempt.
  local attempts = '0'
  if it.fence ~= '1' then attempts = redis.call('HGET', MAIL .. it.id, 'n') or '0' end
  ended[it.s] = ended[it.s] or {}
  table.insert(ended[it.s], it.id)
  drop_load(it.s, a)
  sum_up(a, it, recipients)
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
    -- What was sent blindly at its last chance (e) may have been taken before, whatever is said of it now.
    if redis.call('HEXISTS', MAIL .. it.id, 'e') == 1 then it.reason = 'uncertain' end
    if it.reason ~= 'uncertain' and it.reason ~= 'poison' then redis.call('HDEL', MAIL .. it.id, 'u') end
    bury(it.id, 'sending', it.reason)
  elseif it.outcome == 'retry' and it.at >= deadline then
    bury(it.id, 'sending', redis.call('HEXISTS', MAIL .. it.id, 'e') == 1 and 'uncertain' or 'expired')
  else
    if it.outcome == 'check' then keep_in_doubt(it, deadline) else redis.call('HDEL', MAIL .. it.id, 'u', 'k') end
    redis.call('HSET', MAIL .. it.id, 's', 'retry', 'r', it.reason, 't', it.at)
    moved('sending', 'retry')
    add_due(it.id, it.at)
  end
  return 'ok'
end

for i = 0, count - 1 do
  local at = 5 + i * 12
  local it = {
    id = ARGV[at], s = ARGV[at + 1], fence = ARGV[at + 2], outcome = ARGV[at + 3], at = tonumber(ARGV[at + 4]),
    counted = ARGV[at + 5] == '1', reason = ARGV[at + 6], open = ARGV[at + 7], event = ARGV[at + 8], keep = ARGV[at + 9],
    spent = tonumber(ARGV[at + 10]), proves = ARGV[at + 11] == '1',
  }
  local m = redis.call('HMGET', MAIL .. it.id, 's', 'w', 'f', 'a', 'c')
  local holds = m[1] == 'sending' and m[2] == it.s and m[3] == it.fence
  local recipients = tonumber(m[5] or '1')
  local before = not holds and m[1] and redis.call('HMGET', MAIL .. it.id, 'x', 'n') or {}
  if not m[1] then
    answers[i + 1] = 'gone'
  elseif before[1] == it.fence then
    answers[i + 1] = 'ok'
  else
    -- What happened is told before what follows from it.
    if it.event ~= '' then redis.call('RPUSH', LOG .. it.id, it.event) end
    answers[i + 1] = holds and settle(it, m[4], recipients)
      or late(it, m[1], m[2], m[4], before[2] or '0', recipients)
  end
end

for s, ids in pairs(ended) do
  redis.call('SREM', JOBS .. s, unpack(ids))
  redis.call('SREM', BEGUN .. s, unpack(ids))
end
for _, it in pairs(loads) do
  local permits, load = lane_of(it.s, it.a)
  if permits > 0 then redis.call('HSET', LANES .. it.s, it.a, permits .. ':' .. math.max(0, load - it.by)) end
end
for a, sum in pairs(sums) do settle_account(a, sum) end
mend_rings()
write_accounts()
write_counts()
local lives = 1
local first = 5 + count * 12
if #ARGV >= first then
  if redis.call('ZSCORE', SESSIONS, ARGV[4]) then
    redis.call('SADD', BEGUN .. ARGV[4], unpack(ARGV, first))
  else
    lives = 0
  end
end
if redis.call('SCARD', IDLE) > 0 and not rings_empty() then wake_any(1) end
return { lives, answers }
