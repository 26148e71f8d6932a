-- What mails are found by, in sorted sets by the time they were handed over (`q`): BY .. 's' .. state .. ':' .. reason, for states
-- that are left or ended rarely; and BY .. kind .. hash for each value of a mail (queue/index.rs), with the bytes of its id. A
-- mail on its usual way is entered once, at push, and nothing of it is touched again. `i` of a mail has its values, so that
-- they can be kept for longer: under the capital of their kind.

local index = { most = 10000, gathered = {} }

-- A mail of which the hash says so is in a state; it leaves it before the hash says another state or reason.
function index.place(id, state)
  local m = redis.call('HMGET', MAIL .. id, 'q', 'r')
  local key = BY .. 's' .. state .. ':' .. (m[2] or '')
  redis.call('ZADD', key, m[1] or 0, id)
  return key
end
function index.leave(id, state)
  redis.call('ZREM', BY .. 's' .. state .. ':' .. (redis.call('HGET', MAIL .. id, 'r') or ''), id)
end

-- The same of a state that ends with the mail: nobody takes it out.
function index.place_for(id, state, life)
  local key = index.place(id, state)
  redis.call('ZREMRANGEBYRANK', key, 0, -index.most - 1)
  redis.call('PEXPIRE', key, life)
end

-- Values of a mail that is handed over; those of all mails of a call are written at once.
function index.note(values, bytes_of_id, at)
  for from = 1, #values, 9 do
    local value = string.sub(values, from, from + 8)
    local list = index.gathered[value]
    if not list then
      list = {}
      index.gathered[value] = list
    end
    list[#list + 1] = at
    list[#list + 1] = bytes_of_id
  end
end

-- Lives as text (lib.lua tells why). The oldest of a value go with every sixteenth mail of it or so, or when many come at once.
function index.write(life, long_life)
  for value, list in pairs(index.gathered) do
    local key, is_long = BY .. value, string.byte(value) < 97
    redis.call('ZADD', key, unpack(list))
    redis.call('PEXPIRE', key, is_long and long_life or life)
    if #list >= 32 or string.byte(list[2], 16) % 16 == 0 then
      redis.call('ZREMRANGEBYRANK', key, 0, -index.most - 1)
      if not is_long then redis.call('ZREMRANGEBYSCORE', key, '-inf', tonumber(list[1]) - life) end
    end
  end
end

-- A mail will be told of for longer than most.
function index.lengthen(id, life)
  local m = redis.call('HMGET', MAIL .. id, 'i', 'q')
  if not m[1] then return end
  local bytes = string.gsub(string.gsub(id, '-', ''), '..', function(hex) return string.char(tonumber(hex, 16)) end)
  for from = 1, #m[1], 9 do
    local key = BY .. string.upper(string.sub(m[1], from, from)) .. string.sub(m[1], from + 1, from + 8)
    redis.call('ZADD', key, m[2], bytes)
    redis.call('ZREMRANGEBYRANK', key, 0, -index.most - 1)
    if redis.call('PTTL', key) < tonumber(life) then redis.call('PEXPIRE', key, life) end
  end
end

-- A dead letter is kept so long, and may be tried again on its last day.
function index.bury(id)
  index.place(id, 'dead')
  if not index.dead_life then
    local config = redis.call('HMGET', CONFIG, 'dead_for', 'retention')
    index.dead_life = tonumber(config[1] or '7776000000') + tonumber(config[2] or '604800000') + 2592000000
  end
  index.lengthen(id, string.format('%.0f', index.dead_life))
end
