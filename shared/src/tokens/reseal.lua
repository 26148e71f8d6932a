-- Puts a record that was sealed anew in the place of the one it was made from; not if that has changed meanwhile. KEYS[2]
-- where; ARGV[1] the field if that is a hash, else '', ARGV[2] record before, ARGV[3] record. Ends stay as they were.
if ARGV[1] == '' then
  if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
  redis.call('SET', KEYS[2], ARGV[3], 'KEEPTTL')
else
  if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return 0 end
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
end
return 1
