-- Puts down which recipients are left of a mail whose first part was taken, so that nothing is taken for delivered that was
-- not if the worker is lost before the rest. ARGV: id, session, fence, recipients. Answers whether the lease holds (0|1).

local id, s, fence = ARGV[1], ARGV[2], ARGV[3]
local m = redis.call('HMGET', MAIL .. id, 's', 'w', 'f')
if m[1] ~= 'sending' or m[2] ~= s or m[3] ~= fence then return 0 end
redis.call('HSET', MAIL .. id, 'o', ARGV[4])
return 1
