-- Notes what a request told of an OAuth2 client. KEYS[2] what is known of it; ARGV[1] tag, ARGV[2] owner, ARGV[3] 'good', 'bad'
-- or 'nothing', ARGV[4] the refusal's word, ARGV[5] ms for which it holds. 'nothing' only lets another be the first.
even_if_full()
if ARGV[3] == 'nothing' then
  if redis.call('GET', KEYS[2]) == 'first ' .. ARGV[1] .. ' ' .. ARGV[2] then redis.call('DEL', KEYS[2]) end
else
  redis.call('SET', KEYS[2], ARGV[3] .. ' ' .. ARGV[1] .. ' ' .. ARGV[4], 'PX', ARGV[5])
end
