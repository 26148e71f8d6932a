-- A worker's session. ARGV: what (open|beat|leave|mend), session, lease (ms); for open also name, connections an
-- account, and the limits of the dead letters (ms, bytes) with the retention (ms); for mend the truth after an answer was
-- lost: count of jobs it knows of, their ids, then pairs of account and permits it holds. Answers {'gone'}, {'more'} (leave
-- again) or {'ok', work (0|1), jobs it holds}.

local what, s, lease = ARGV[1], ARGV[2], math.floor(tonumber(ARGV[3]) / 2) * 2

-- Jobs that were handed out without the worker hearing of it take their place again; permits are what it says.
local function mend()
  local known, loads, permits = {}, {}, {}
  local count = tonumber(ARGV[4])
  for i = 5, 4 + count do known[ARGV[i]] = true end
  for i = 5 + count, #ARGV, 2 do permits[ARGV[i]] = tonumber(ARGV[i + 1]) end
  for _, id in ipairs(redis.call('HKEYS', JOBS .. s)) do
    local m = redis.call('HMGET', MAIL .. id, 's', 'w', 'a', 'p', 'c')
    if m[1] ~= 'sending' or m[2] ~= s then
      redis.call('HDEL', JOBS .. s, id)
    elseif known[id] then
      loads[m[3]] = (loads[m[3]] or 0) + 1
    else
      redis.call('HDEL', JOBS .. s, id)
      redis.call('SREM', BEGUN .. s, id)
      redis.call('HDEL', MAIL .. id, 'w')
      put_down(m[3], 1, tonumber(m[5] or '1'))
      to_lane(id, m[3], m[4], 'sending', true)
      touch(m[3], m[4])
    end
  end
  for _, a in ipairs(redis.call('HKEYS', LANES .. s)) do
    if not permits[a] then
      change_permits(a, s, 0, 0)
      ring_all(a)
    end
  end
  for a, n in pairs(permits) do
    change_permits(a, s, n, loads[a] or 0)
    ring_all(a)
  end
  mend_rings()
end

if what == 'open' then
  even_if_full()
  redis.call('HSET', CONFIG, 'connections', ARGV[5])
  redis.call('HSET', CONFIG, 'dead_for', ARGV[6], 'dead_bytes', ARGV[7], 'retention', ARGV[8])
  redis.call('HSET', SESSION .. s, 'name', ARGV[4], 'since', now)
  sweep(lease)
  redis.call('ZADD', SESSIONS, now + lease, s)
elseif what == 'leave' then
  even_if_full()
  if redis.call('ZREM', SESSIONS, s) == 1 then redis.call('SADD', LOST, s) end
  redis.call('SREM', IDLE, s)
  sweep(lease)
  if not rings_empty() then wake_any(1) end
  write_accounts()
  write_counts()
  return { redis.call('SISMEMBER', LOST, s) == 1 and 'more' or 'ok' }
elseif what == 'mend' then
  even_if_full()
  if not redis.call('ZSCORE', SESSIONS, s) then return { 'gone' } end
  mend()
else
  -- The heartbeat of an idle worker, the only thing it ever asks: as few commands as can be.
  local away = everybody_was_away(lease)
  -- Nothing changed if it is gone, and also if it was renewed in this millisecond: just now, because everybody was away.
  local is_later = redis.call('ZADD', SESSIONS, 'XX', 'CH', now + lease, s) == 1
  if not is_later and not redis.call('ZSCORE', SESSIONS, s) then return { 'gone' } end
  local lost = not away and redis.call('ZRANGEBYSCORE', SESSIONS, '-inf', now, 'LIMIT', 0, 1)[1]
  local anything = redis.call('EXISTS', DUE, HOLDS, LATER, LOST, RING .. 'u', RING .. 'n', RING .. 'b', LANES .. s, JOBS .. s) > 0
  if not lost and not anything then return { 'ok', 0, 0 } end
  if sweep(lease) then wake_any(1) end
end

write_accounts()
write_counts()
local held = redis.call('HLEN', JOBS .. s)
if not rings_empty() then return { 'ok', 1, held } end
local lanes = redis.call('HGETALL', LANES .. s)
for i = 1, math.min(#lanes, 400), 2 do
  local permits, load = string.match(lanes[i + 1], '^(%d+):(%d+)$')
  if tonumber(load) < tonumber(permits) and has_mail_waiting(lanes[i]) then return { 'ok', 1, held } end
end
return { 'ok', 0, held }
