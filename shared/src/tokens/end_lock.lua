-- Gives the refresh lock up, and counts a refresh that failed. KEYS[2] lock, KEYS[3] rest, KEYS[4] figures; ARGV[1] owner,
-- ARGV[2] the failure's word or '', ARGV[3] its text, ARGV[4] ms in which nobody shall ask again (0: none), ARGV[5] what
-- those are told who would ask. Touches nobody else's lock; without a lock there is no rest either.
even_if_full()
if ARGV[2] ~= '' then
  count(KEYS[4], 'failure:' .. ARGV[2])
  redis.call('HINCRBY', KEYS[4], 'in_a_row', 1)
  redis.call('HSET', KEYS[4], 'failed', string.format('%.0f', time_ms()), 'failed_with', ARGV[3])
end
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
if ARGV[4] ~= '0' then redis.call('SET', KEYS[3], ARGV[5], 'PX', ARGV[4]) end
return redis.call('DEL', KEYS[2])
