-- Removes all versions of a template; their numbers are not used again. ARGV: name. Answers 1 if there was one.
even_if_full()
redis.call('DEL', TEMPLATE .. ARGV[1])
return redis.call('HDEL', TEMPLATES, ARGV[1])
