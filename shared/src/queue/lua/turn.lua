-- A worker's turn: it ends attempts, tells which mails begin, and asks for jobs. Each part may be empty.
-- ARGV: session ('': attempts end, and nothing else), retention (ms), what a delivery earns of a login (ms); count of plain
-- deliveries, and they (see end_deliveries); count of other ends, and they (see end_attempts); count of mails whose bytes are
-- about to leave, and their ids; and if it asks for jobs what claim() wants.
-- Answers {whether the session lives (0|1), what did not go as asked, {} or what claim() answers, Redis's clock (ms)}.

local session = ARGV[1]
kept_until, earned = end_of(ARGV[2]), tonumber(ARGV[3])
even_if_full()
local lives = session ~= '' and redis.call('ZSCORE', SESSIONS, session) and true or false
if lives then read_lanes(session) end

local deliveries = tonumber(ARGV[4])
end_deliveries(session, 5, deliveries)
local at = 5 + deliveries * 3
local others = tonumber(ARGV[at])
end_attempts(at + 1, others, deliveries)
if deliveries + others > 0 then sum_up_ends() end

at = at + 1 + others * 12
local begins = tonumber(ARGV[at])
if lives and begins > 0 then redis.call('SADD', BEGUN .. session, unpack(ARGV, at + 1, at + begins)) end

at = at + 1 + begins
local claimed = {}
if lives and ARGV[at] then
  claimed = claim(session, at)
  lives = claimed ~= nil
elseif redis.call('SCARD', IDLE) > 0 and not rings_empty() then
  wake_any(1)
end
write_lanes()
write_accounts()
write_counts()
return { lives and 1 or 0, told, claimed or {}, now }
