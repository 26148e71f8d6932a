-- Marks a forced refresh. KEYS[2] mark; ARGV[1] what came of it (see `Forced` in cache.rs), ARGV[2] ms.
even_if_full()
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
