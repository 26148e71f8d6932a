-- Changes an account. ARGV: what (put|hold|resume|remove), account, then
-- put: kind, aliases (JSON), connections or '', limit or ''; hold: hold (JSON), until (ms, 0: open).
-- Answers 'ok', 'no_account', or for remove 'more' while mails of it are still being buried.

local what, a = ARGV[1], ARGV[2]
local key = ACCOUNT .. a
even_if_full()

local function resume()
  redis.call('HDEL', key, 'hold')
  redis.call('ZREM', HOLDS, a)
end

if what == 'put' then
  if not account(a).exists then
    local out = 0
    for _, n in ipairs(redis.call('HVALS', PERMITS .. a)) do out = out + tonumber(n) end
    redis.call('HSET', key, 'permits', out)
  end
  redis.call('HSET', key, 'kind', ARGV[3], 'aliases', ARGV[4], 'connections', ARGV[5], 'limit', ARGV[6])
  resume()
elseif not account(a).exists and what ~= 'remove' then
  return 'no_account'
elseif what == 'hold' then
  redis.call('HSET', key, 'hold', ARGV[3])
  redis.call('ZREM', HOLDS, a)
  if ARGV[4] ~= '0' then redis.call('ZADD', HOLDS, ARGV[4], a) end
  for _, p in ipairs(PRIORITIES) do redis.call('SREM', WAITING .. p, a) end
elseif what == 'resume' then
  resume()
elseif what == 'remove' then
  redis.call('DEL', key)
  redis.call('ZREM', HOLDS, a)
  for _, p in ipairs(PRIORITIES) do
    redis.call('ZREM', RING .. p, a)
    redis.call('SREM', WAITING .. p, a)
    local ids = redis.call('LPOP', LANE .. a .. ':' .. p, 200)
    for _, id in ipairs(ids or {}) do
      if redis.call('HGET', MAIL .. id, 's') == 'ready' then bury(id, 'ready', 'no_account') end
    end
    if ids and #ids == 200 then
      write_counts()
      return 'more'
    end
  end
  write_counts()
  return 'ok'
end

accounts[a] = nil
ring_all(a)
wake_for(a, 8)
-- Whoever sleeps must know when the hold ends.
if what == 'hold' and ARGV[4] ~= '0' then wake_any(1) end
return 'ok'
