-- Counting in an account's figures, on the way of the token scripts: never a call of its own.
local KEPT = 90 * 86400 * 1000

local function time_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Adds one to a figure. An account that does nothing for a quarter of a year has none any more.
local function count(figures, field)
  redis.call('HSETNX', figures, 'since', string.format('%.0f', time_ms()))
  redis.call('HINCRBY', figures, field, 1)
  redis.call('PEXPIRE', figures, KEPT)
end
