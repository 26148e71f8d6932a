-- Notes that an API key was used, at most once in a span. ARGV: id, now, span in ms.
local key = API_KEY .. ARGV[1]
if redis.call('EXISTS', key) == 0 then return end
local used = tonumber(redis.call('HGET', key, 'used') or 0)
if tonumber(ARGV[2]) - used >= tonumber(ARGV[3]) then redis.call('HSET', key, 'used', ARGV[2]) end
