-- Forgets that an account uses any other service account than ARGV[2] ('': any). ARGV[1] account. A key that nobody uses
-- any more goes. An account has one service account, and another one more for each change that broke off: few.
even_if_full()
for _, email in ipairs(redis.call('SMEMBERS', SERVICE_OF .. ARGV[1])) do
  if email ~= ARGV[2] then
    redis.call('SREM', SERVICE_OF .. ARGV[1], email)
    redis.call('SREM', SERVICE_USERS .. email, ARGV[1])
    if redis.call('EXISTS', SERVICE_USERS .. email) == 0 then redis.call('DEL', SERVICE_KEY .. email) end
  end
end
