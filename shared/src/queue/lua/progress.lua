-- Puts down which recipients of a mail are left, and who of them is about to have it (the third part), so that nobody is taken
-- for delivered who was not if the worker is lost. `v` is the fence of the lease that says so.
-- ARGV: id, session, fence, recipients. Answers whether the lease holds (0|1).

local id, s, fence = ARGV[1], ARGV[2], ARGV[3]
local m = redis.call('HMGET', MAIL .. id, 's', 'w', 'f')
if m[1] ~= 'sending' or m[2] ~= s or m[3] ~= fence then return 0 end
redis.call('HSET', MAIL .. id, 'o', ARGV[4], 'v', fence)
return 1
