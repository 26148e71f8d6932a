-- Puts a version of a template, unless the newest one is the same. Numbers rise for ever, so that `welcome@3` never means
-- another text than it once did, not even after the template was removed and put again.
--
-- ARGV: name, sha, record, summary, how many versions are kept, how many templates there may be
-- Answers the number and 1 if it is new; 0 and the number of templates if there are too many.
local name, sha, record, summary = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local kept, most = tonumber(ARGV[5]), tonumber(ARGV[6])
local key = TEMPLATE .. name
local last = tonumber(redis.call('HGET', TEMPLATE_NUMBERS, name) or '0')
if redis.call('HGET', key, 'sha') == sha then
  return {last, 0}
end
if redis.call('HEXISTS', TEMPLATES, name) == 0 and redis.call('HLEN', TEMPLATES) >= most then
  return {0, redis.call('HLEN', TEMPLATES)}
end
local number = last + 1
redis.call('HSET', TEMPLATE_NUMBERS, name, number)
redis.call('HSET', key, 'sha', sha, number, record)
-- One version is put at a time, so one at most is too old.
redis.call('HDEL', key, number - kept)
redis.call('HSET', TEMPLATES, name, number .. '\n' .. summary)
return {number, 1}
