-- Stores a service account's key, and that an account uses it. ARGV: account, service account, key's id, sealed key.
redis.call('HSET', SERVICE_KEY .. ARGV[2], 'id', ARGV[3], 'sealed', ARGV[4])
redis.call('SADD', SERVICE_USERS .. ARGV[2], ARGV[1])
redis.call('SADD', SERVICE_OF .. ARGV[1], ARGV[2])
