-- The ends of attempts. Fenced by the lease: only its holder moves the mail, but a delivery is never thrown away.
-- A settlement may be repeated until its answer is heard: 'x' of a mail is the fence of the lease that settled it last.

-- Until when a mail that was sent now is told of, and what a delivery earns of a login (ms); set by the turn.
local kept_until, earned = nil, nil
-- What is told of the ends that did not go as asked: their places, from 0, each followed by a word: 'late' (delivered after
-- the lease was lost) | 'doubled' (it had been sent already) | 'lost' (somebody else has it now) | 'gone' (nothing is known
-- of it).
local told = {}
-- Jobs that their sessions have no more, how many of each account, and what the ends come to for accounts.
local ends = { jobs = {}, loads = {}, sums = {} }

-- What the ends come to for their accounts, gathered and written once.
local function sum_up(a, recipients, spent, is_sent, proves)
  local sum = ends.sums[a]
  if not sum then
    sum = { messages = 0, recipients = 0, orc = 0, sent = 0, ends = 0 }
    ends.sums[a] = sum
  end
  sum.ends = sum.ends + 1
  sum.orc = sum.orc + recipients
  sum.proves = sum.proves or proves
  if is_sent then sum.sent = sum.sent + 1 end
  if spent > 0 then
    sum.messages = sum.messages + 1
    sum.recipients = sum.recipients + spent
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

-- The mail is with its session no more.
local function put_aside(s, id, a)
  if not ends.jobs[s] then ends.jobs[s], ends.loads[s] = {}, {} end
  local ids, of = ends.jobs[s], ends.loads[s]
  ids[#ids + 1] = id
  of[a] = (of[a] or 0) + 1
end

-- A mail that went at its first lease has no log: all there is to tell lies in the record.
local function done(id, fence, reason, keep, from, attempts, may_have_log)
  redis.call('HSET', MAIL .. id, 's', 'sent', 'r', reason, 't', NOW, 'x', fence, 'n', attempts)
  finish(id, keep, kept_until, may_have_log)
  moved(from, 'sent')
end

local function late(it, state, holder, a, attempts, recipients)
  -- That Sent has it says not to whom it went: whoever has the lease knows more, or asks for itself.
  if it.outcome ~= 'sent' or it.reason == 'found' then return 'lost' end
  -- Every lease that told a delivery, for a settlement may be repeated, and a mail found in Sent is not sent twice when its
  -- first worker tells of it at last.
  local known = redis.call('HMGET', MAIL .. it.id, 'y', 'r')
  if state == 'sent' and string.find(known[1] or '', ',' .. it.fence .. ',', 1, true) then return 'late' end
  redis.call('HSET', MAIL .. it.id, 'y', (known[1] or ',') .. it.fence .. ',')
  if state == 'sent' then
    if known[2] == 'found' and not known[1] then return 'late' end
    bump('doubled', 1)
    log(it.id, 'doubled')
    redis.call('PEXPIREAT', LOG .. it.id, kept_until)
    return 'doubled'
  end
  if state == 'sending' then
    put_aside(holder, it.id, a)
    put_down(a, 1, recipients)
  elseif state == 'dead' then
    unbury(it.id)
  else
    redis.call('ZREM', DUE, it.id)
    index.leave(it.id, state)
  end
  done(it.id, it.fence, it.reason, it.keep, state, attempts, true)
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
  put_aside(it.s, it.id, a)
  sum_up(a, recipients, it.spent, it.outcome == 'sent', it.proves)
  if it.counted then attempts = string.format('%d', tonumber(attempts) + 1) end
  if it.outcome == 'sent' then
    done(it.id, it.fence, it.reason, it.keep, 'sending', attempts, it.fence ~= '1')
    return 'ok'
  end
  local m = redis.call('HMGET', MAIL .. it.id, 'p', 'd', 't')
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
    -- When it was due at first: `t` is when it goes next.
    redis.call('HSETNX', MAIL .. it.id, 'td', m[3] or NOW)
    redis.call('HSET', MAIL .. it.id, 's', 'retry', 'r', it.reason, 't', it.at)
    index.place(it.id, 'retry')
    moved('sending', 'retry')
    add_due(it.id, it.at)
  end
  return 'ok'
end

-- Answers nothing, or what did not go as asked.
local function end_attempt(it)
  local m = redis.call('HMGET', MAIL .. it.id, 's', 'w', 'f', 'a', 'c')
  if not m[1] then return 'gone' end
  local holds = m[1] == 'sending' and m[2] == it.s and m[3] == it.fence
  local recipients = tonumber(m[5] or '1')
  local before = not holds and redis.call('HMGET', MAIL .. it.id, 'x', 'n') or {}
  if before[1] == it.fence then return nil end
  -- What happened is told before what follows from it.
  if it.event ~= '' then redis.call('RPUSH', LOG .. it.id, it.event) end
  if holds then
    settle(it, m[4], recipients)
    return nil
  end
  return late(it, m[1], m[2], m[4], before[2] or '0', recipients)
end

-- What a session noted of a job at its first lease: its recipients and its account. Most notes are the same.
local read_notes = {}
local function read_note(note)
  local it = read_notes[note]
  if it == nil then
    local recipients, a = string.match(note, '^1 (%d+) (%S+)')
    it = a and { a = a, recipients = tonumber(recipients) } or false
    read_notes[note] = it
  end
  return it
end

-- Ends what most attempts are: deliveries at a mail's first lease, by the session `s`. What its jobs say of them is read at
-- once for all. ARGV from `at` on: for each id, recipients, record to keep.
local function end_deliveries(s, at, count)
  local ids = {}
  for i = 1, count do ids[i] = ARGV[at + i * 3 - 3] end
  local jobs = count > 0 and redis.call('HMGET', JOBS .. s, unpack(ids)) or {}
  for i, id in ipairs(ids) do
    local spent, keep = ARGV[at + i * 3 - 2] + 0, ARGV[at + i * 3 - 1]
    local note = read_note(jobs[i] or '')
    if note then
      put_aside(s, id, note.a)
      sum_up(note.a, note.recipients, spent, true, true)
      done(id, '1', 'delivered', keep, 'sending', '1', false)
    else
      local word = end_attempt({
        id = id, s = s, fence = '1', outcome = 'sent', counted = true, reason = 'delivered', open = '', event = '',
        keep = keep, spent = spent, proves = true,
      })
      if word then told[#told + 1], told[#told + 2] = i - 1, word end
    end
  end
end

-- Ends any attempts. ARGV from `at` on, for each: id, session, fence, outcome (sent|retry|check|dead|back), at (ms, of retry and
-- check), attempts to count (0|1), reason, open recipients ('' for all), event (JSON or ''; of a delivery it lies in the
-- record), record to keep when done ('': none), recipients to whom it may have gone (0: it surely did not go), whether the
-- account proved itself (0|1). `first` is the place of the first of them.
local function end_attempts(at, count, first)
  for i = 0, count - 1 do
    local from = at + i * 12
    local word = end_attempt({
      id = ARGV[from], s = ARGV[from + 1], fence = ARGV[from + 2], outcome = ARGV[from + 3],
      at = tonumber(ARGV[from + 4]), counted = ARGV[from + 5] == '1', reason = ARGV[from + 6], open = ARGV[from + 7],
      event = ARGV[from + 8], keep = ARGV[from + 9], spent = tonumber(ARGV[from + 10]), proves = ARGV[from + 11] == '1',
    })
    if word then told[#told + 1], told[#told + 2] = first + i, word end
  end
end

-- What the ends come to, for sessions and accounts.
local function sum_up_ends()
  for s, ids in pairs(ends.jobs) do
    redis.call('HDEL', JOBS .. s, unpack(ids))
    redis.call('SREM', BEGUN .. s, unpack(ids))
  end
  for s, of in pairs(ends.loads) do
    for a, by in pairs(of) do
      local permits, load = lane_of(s, a)
      if permits > 0 then write_lane(s, a, permits, math.max(0, load - by)) end
    end
  end
  for a, sum in pairs(ends.sums) do settle_account(a, sum) end
  mend_rings()
end
