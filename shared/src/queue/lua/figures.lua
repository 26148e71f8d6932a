-- Reads what waits where, for metrics: the shard as a whole, and some of its accounts. Moves no mail.
-- ARGV: accounts of this shard; whoever calls bounds them.
-- Answers {shard, accounts}. The shard: workers that live, how long (ms) the oldest entry of `due` has been due, the age (ms)
-- of the oldest dead letter, then the counters, name and value. An account: mails in its lanes u, n and b; permits that could
-- be at work now; why it is held or '-'; limit of 24 hours or -1, and what is used of it; how long (ms) the first of each lane
-- could have gone: 0 where nothing may go.

even_if_full()

-- How long a sorted set's first entry lies back; 0: it is empty, or its first is yet to come.
local function age_of_first(key)
  local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return head[2] and math.max(0, now - tonumber(head[2])) or 0
end

-- Mails that are due though no script has brought them to their lane yet: where all workers are gone nobody does.
local function overdue()
  local found = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, 100)) do
    local m = redis.call('HMGET', MAIL .. id, 's', 'a', 'p')
    if m[2] and (m[1] == 'scheduled' or m[1] == 'retry') then
      local lane = m[2] .. ':' .. m[3]
      found[lane] = (found[lane] or 0) + 1
    end
  end
  return found
end

-- Why an account is held now: of several reasons the one that lasts longest. A hold that is over counts as none, though no
-- script has ended it yet.
local function held_by(a, it)
  local reason, longest = '-', 0
  for _, cause in pairs(it.held and causes(a) or {}) do
    local ends = cause['until'] or math.huge
    if holds_now(cause) and ends > longest then reason, longest = cause.reason, ends end
  end
  return reason
end

-- How long the first mail of a lane could have gone. Entries of mails that are not there any more are passed over, a few.
local function waits_since(a, it, p)
  for _, id in ipairs(redis.call('LRANGE', LANE .. a .. ':' .. p, 0, 9)) do
    local m = redis.call('HMGET', MAIL .. id, 's', 'a', 't')
    if m[1] == 'ready' and m[2] == a then return math.max(0, now - math.max(tonumber(m[3] or '') or now, it.open)) end
  end
  return 0
end

local function of_account(a, due)
  local it = account(a)
  local row, reason, could = {}, held_by(a, it), 0
  for i, p in ipairs(PRIORITIES) do row[i] = redis.call('LLEN', LANE .. a .. ':' .. p) end
  for i, p in ipairs(PRIORITIES) do
    local here = row[i] + (due[a .. ':' .. p] or 0)
    could = could + math.max(0, math.min(here, allowed(it, p) - could))
    row[7 + i] = reason == '-' and row[i] > 0 and has_budget(it, p) and waits_since(a, it, p) or 0
  end
  row[4] = it.exists and reason == '-' and math.min(cap_of(it), it.om + could) or 0
  row[5], row[6], row[7] = reason, it.lm < math.huge and it.lm or -1, it.um + it.om
  return table.concat(row, ' ')
end

local shard = { redis.call('ZCOUNT', SESSIONS, now, '+inf'), age_of_first(DUE), age_of_first(DEAD) }
for _, it in ipairs(redis.call('HGETALL', COUNTS)) do shard[#shard + 1] = tostring(it) end
local due, of_accounts = overdue(), {}
for i, a in ipairs(ARGV) do of_accounts[i] = of_account(a, due) end
write_accounts()
return { shard, of_accounts }
