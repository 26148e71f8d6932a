-- Asks for a login of an account. ARGV: account, burst, interval (ms). Answers 0, or for how long (ms) there is none left:
-- the account is held so long, unless it may have another connection that stands: that one goes on, and no other begins
-- meanwhile (`may_start`). A bucket of `burst` logins that fills by one each interval. Deliveries fill it, too
-- (settle.lua): a fleet that sends pays for its logins, and only logins that lead to nothing are slowed.

local a, burst, interval = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
even_if_full()
if not account(a).exists then return 0 end
local it = change(a)
it.logins = math.max(it.logins, now - (burst - 1) * interval)
local pause = math.ceil(it.logins - now)
if pause <= 0 then
  it.logins = it.logins + interval
  write_accounts()
  return 0
end
if it.permits <= 1 then hold_account(a, 'login_limit', 'too many logins in a short time', pause, 0) end
ring_all(a)
write_accounts()
wake_any(1)
return pause
