-- Whether a refresh may ask with an OAuth2 client. KEYS[2] what is known of the client; ARGV[1] tag (its id and secret),
-- ARGV[2] owner, ARGV[3] ms of a first request. Answers 'good' (ask), 'first' (ask, and tell what came of it), 'busy' (another
-- is the first: see what comes of it), or 'bad <word>' (it was refused; do not ask).
-- Of a client of which nothing is known one request finds out; what was known of another secret counts for nothing.
even_if_full()
local state, tag, word = string.match(redis.call('GET', KEYS[2]) or '', '^(%a+) (%x+) ?(.*)$')
if tag == ARGV[1] then
  if state == 'bad' then return 'bad ' .. word end
  if state == 'good' then return 'good' end
  return 'busy'
end
redis.call('SET', KEYS[2], 'first ' .. ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
return 'first'
