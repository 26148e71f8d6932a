-- Stores mails and gives each its place. ARGV: count, window of idempotency (ms), life of an entry of MAILS (ms), life of
-- a value that mails are found by (ms), and of one of a mail that is told of for long; then for each mail: id, account,
-- priority, send_at (ms, 0: now), ttl (ms), idempotency hash or '', fingerprint, recipients, its pool with what belongs to it
-- (pools.lua) or '', job, its values (queue/index.rs), the bytes of its id. Of a mail with a pool the account is chosen here.
-- Answers for each mail: {'new', id} | {'same', id} | {'conflict', id} | {'no_account', id}.

local count, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local answers = {}

-- Mails that may go now, by their lanes: each lane is appended to once for all mails of a call.
local ready = {}
local function gather(id, a, p)
  local lane = a .. ':' .. p
  local list = ready[lane]
  if not list then
    list = { a = a }
    ready[lane] = list
    touch(a, p)
  end
  list[#list + 1] = id
end
local pushed = {}
local function append()
  for lane, list in pairs(ready) do
    redis.call('RPUSH', LANE .. lane, unpack(list))
    pushed[list.a] = (pushed[list.a] or 0) + #list
  end
  ready = {}
end

-- Times as text, each made once: mails of a call have the same ones as a rule.
local texts = {}
local function text(at)
  if not texts[at] then texts[at] = string.format('%.0f', at) end
  return texts[at]
end

local function already(hash, fingerprint)
  local stored = redis.call('GET', IDEM .. hash)
  if not stored then return nil end
  local id, print = string.match(stored, '^([^:]+):(.*)$')
  return { print == fingerprint and 'same' or 'conflict', id }
end

local function store(id, a, p, send_at, ttl, hash, fingerprint, recipients, g, job, values, bytes_of_id)
  local at = math.max(now, send_at)
  local state = send_at > now and 'scheduled' or 'ready'
  -- What is kept for long anyway need not be known again.
  if (string.byte(values) or 0) >= 97 then
    redis.call('HSET', MAIL .. id, 's', state, 'a', a, 'p', p, 'q', NOW, 'd', text(at + ttl),
      't', text(at), 'i', values)
  else
    redis.call('HSET', MAIL .. id, 's', state, 'a', a, 'p', p, 'q', NOW, 'd', text(at + ttl),
      't', text(at))
  end
  index.note(values, bytes_of_id, NOW)
  -- Absent for the usual one, to save room.
  if recipients ~= '1' then redis.call('HSET', MAIL .. id, 'c', recipients) end
  redis.call('SET', JOB .. id, job)
  redis.call('XADD', MAILS, '*', 'm', id)
  if hash ~= '' then
    redis.call('SET', IDEM .. hash, id .. ':' .. fingerprint, 'PX', math.max(window, at + ttl - now))
  end
  if g ~= '' then redis.call('HSET', MAIL .. id, 'g', g) end
  bump(state, 1)
  if state == 'scheduled' then
    index.place(id, state)
    return add_due(id, at)
  end
  if g ~= '' then note_pooled(id, a, p, false) end
  gather(id, a, p)
end

for i = 0, count - 1 do
  local at = 6 + i * 12
  local id, a, hash = ARGV[at], ARGV[at + 1], ARGV[at + 5]
  local known = hash ~= '' and already(hash, ARGV[at + 6]) or nil
  local pool = not known and ARGV[at + 8] ~= '' and read_pool(ARGV[at + 8])
  if pool then
    append() -- Where most room is depends on what lies in the lanes.
    a = choose(pool, ARGV[at + 2]) or a
  end
  if known then
    answers[i + 1] = known
  elseif not account(a).exists then
    answers[i + 1] = { 'no_account', id }
  else
    store(id, a, ARGV[at + 2], tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), hash, ARGV[at + 6], ARGV[at + 7],
      ARGV[at + 8], ARGV[at + 9], ARGV[at + 10], ARGV[at + 11])
    if pool then remember_thread(pool, a) end
    answers[i + 1] = { 'new', id }
  end
end

append()
redis.call('XTRIM', MAILS, 'MINID', '~', math.max(0, now - tonumber(ARGV[3])), 'LIMIT', 1000)
index.write(ARGV[4], ARGV[5])
mend_rings()
write_accounts()
write_counts()
for a, n in pairs(pushed) do wake_for(a, math.min(n, 8)) end
return answers
