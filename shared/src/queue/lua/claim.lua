-- Handing out jobs: as many as a session has free slots, each under a permit of its account.

-- How long a session goes on with a lane before others that wait come first (ms).
local TURN = 2000
local MOST_POPS = 500

-- The session; its free slots; jobs that one permit may have waiting; mails of an account that are noted as begun though they
-- wait behind others for a connection. Set by claim().
local s, free, depth, ahead = nil, 0, 1, 0
local more, pops, expired = false, 0, 0
-- What the call hands out: ids with what their session notes of them, those noted as begun, and what is answered.
local out = { ids = {}, begun = {}, jobs = {}, groups = {}, grants = {} }

-- What a session notes of a job. Long enough that Redis keeps the notes in a table: in a short hash of short values it looks
-- through all of them for each. Those of first leases are the same for an account, and written once.
local NOTE = '%s %d %-65s'
local first_notes = {}
local function note_of(fence, recipients, a)
  if fence ~= '1' then return string.format(NOTE, fence, recipients, a) end
  local notes = first_notes[a] or {}
  first_notes[a] = notes
  notes[recipients] = notes[recipients] or string.format(NOTE, fence, recipients, a)
  return notes[recipients]
end

local function word(text) return ' ' .. ((text and text ~= '') and text or '-') end

-- Hands out a mail if the account has room for its recipients. Answers its recipients; nil if it cannot go any more, false if
-- it has to wait for room. Its record is fetched by the worker: here it would only be copied.
local function hand_out(id, a, p, room, begins)
  local mail = MAIL .. id
  local m = redis.call('HMGET', mail, 's', 'd', 'f', 'c', 'a', 'g', 't')
  -- An entry of a mail that moved to another account is no place of it.
  if m[5] ~= a then return nil end
  if m[1] ~= 'ready' then
    if m[6] then forget_pooled(id, a, p) end
    return nil
  end
  local recipients, again = m[4] and tonumber(m[4]) or 1, nil
  local deadline, due, fence = m[2], m[7] or '-', '1'
  if m[3] then
    fence = string.format('%d', tonumber(m[3]) + 1)
    again = redis.call('HMGET', mail, 'n', 'o', 'k', 'u', 'td')
  end
  local doubt = again and again[4]
  -- What became of a mail in doubt is found out even after its deadline. (A difference reads a number once, tonumber() twice.)
  if deadline - now <= 0 and not doubt then bury(id, 'ready', 'expired') expired = expired + 1 return nil end
  if recipients > room then return false end
  if m[6] then forget_pooled(id, a, p) end
  redis.call('HSET', mail, 's', 'sending', 'w', s, 'f', fence)
  -- One in doubt is looked for first.
  begins = begins and not doubt
  if begins then out.begun[#out.begun + 1] = id end
  -- Numbers stay the texts that they are in Redis: the worker reckons.
  local entry = id .. (begins and ' 1 ' or ' 0 ') .. deadline .. ' ' .. due
  if again then
    entry = entry .. ' ' .. fence .. word(again[1]) .. word(again[3]) .. word(again[4]) .. word(again[2]) .. word(again[5])
  end
  local group = out.groups[a]
  if not group then
    group = { a, account(a).open }
    out.groups[a] = group
    out.jobs[#out.jobs + 1] = group
  end
  group[#group + 1] = entry
  local ids = out.ids
  ids[#ids + 1] = id
  ids[#ids + 1] = note_of(fence, recipients, a)
  return recipients
end

-- The rest of a slice that has no room goes back, in its order.
local function put_back(a, p, popped, from)
  for j = #popped, from, -1 do redis.call('LPUSH', LANE .. a .. ':' .. p, popped[j]) end
  redis.call('SREM', WAITING .. p, a)
  look_again(a, frees_at(account(a)) or now + 60000)
end

-- Gives up to `want` mails of a lane, of which the first `ready` are noted as begun: they go over connections that stand, at
-- once or soon.
local function give(a, p, want, ready)
  local it, got, taken = account(a), 0, 0
  local _, room = left(it, p)
  want = math.min(want, allowed(it, p))
  while got < want and pops < MOST_POPS do
    local wanted = math.min(want - got, 100)
    local popped = redis.call('LPOP', LANE .. a .. ':' .. p, wanted)
    if not popped or #popped < wanted then redis.call('SREM', WAITING .. p, a) end
    if not popped then break end
    pops = pops + #popped
    for i, id in ipairs(popped) do
      local recipients = hand_out(id, a, p, room - taken, got < ready)
      if recipients == false then
        put_back(a, p, popped, i)
        want = got
        break
      elseif recipients then
        got, taken = got + 1, taken + recipients
      end
    end
  end
  if pops >= MOST_POPS then more = true end
  free = free - got
  if got > 0 then
    hand_over(a, got, taken)
    bump('ready', -got)
    bump('sending', got)
  end
  if it.held or allowed(it, p) <= 0 then touch(a, p) end
  return got
end

local function begin_turn(a)
  change(a).turn = now
  for _, p in ipairs(PRIORITIES) do
    redis.call('ZREM', RING .. p, a)
    ring_one(a, p)
  end
end

-- How many more mails a lane may have, so many to a permit. Nothing waits behind a connection that is yet to be opened.
local function room_of(lane, depth)
  return math.ceil((lane.permits - lane.new) * depth) + lane.new - lane.load
end

-- Lanes whose permits the session holds: no new login is needed. They are filled to one level, `most` mails a permit at the
-- highest, so that no connection runs dry while another has many; what is left goes to whoever has more. Where accounts wait
-- in the ring, those whose turn is over stand back until the ring had its turn.
local function from_mine(p, fresh, contended, most)
  if free <= 0 or #mine == 0 then return end
  local names, able, permits, loads = {}, {}, 0, 0
  for i = 1, math.min(#mine, 1000) do names[i] = mine[i].a end
  for i, has_mail in ipairs(waiting(p, names)) do
    local lane = mine[i]
    if has_mail == 1 and room_of(lane, most) > 0 then
      if not contended or (now - account(lane.a).turn <= TURN) == fresh then
        able[#able + 1] = lane
        permits, loads = permits + lane.permits - lane.new, loads + lane.load - lane.new
      end
    end
  end
  local level = (free + loads) / math.max(1, permits)
  for _, up_to in ipairs({ math.min(level, most), most }) do
    for step = 1, #able do
      if free <= 0 or pops >= MOST_POPS then return end
      local lane = able[(step + now) % #able + 1]
      local want = math.min(room_of(lane, up_to), free)
      if want > 0 and not lane.empty then
        local got = give(lane.a, p, want, lane.permits + ahead - lane.load)
        if got > 0 then write_lane(s, lane.a, lane.permits, lane.load + got) end
        lane.empty = got < want
        if got > 0 and not fresh then begin_turn(lane.a) end
        if lane.empty and free > 0 then touch(lane.a, p) end
      end
    end
  end
  for _, lane in ipairs(able) do lane.empty = nil end
end

-- Lanes with free permits, the longest waiting first; one job a new permit.
local function from_ring(p)
  if free <= 0 then return end
  local waiting = redis.call('ZRANGE', RING .. p, 0, math.min(free, 64) - 1)
  for _, a in ipairs(waiting) do
    if free <= 0 or pops >= MOST_POPS then return end
    local it = account(a)
    local got = may_start(a) and give(a, p, math.min(cap_of(it) - it.permits, free), 0) or 0
    if got > 0 then
      local permits, load = lane_of(s, a)
      change_permits(a, s, permits + got, load + got)
      mine[a].new = mine[a].new + got
      out.grants[#out.grants + 1] = a
      out.grants[#out.grants + 1] = permits + got
    end
    begin_turn(a)
  end
end

local function write_jobs()
  local ids, begun = out.ids, out.begun
  for i = 1, #ids, 200 do redis.call('HSET', JOBS .. s, unpack(ids, i, math.min(i + 199, #ids))) end
  for i = 1, #begun, 200 do redis.call('SADD', BEGUN .. s, unpack(begun, i, math.min(i + 199, #begun))) end
end

-- Accounts of which this session has a permit that others could use now.
local function to_give_up()
  if redis.call('SCARD', IDLE) == 0 then return {} end
  if not rings_empty() then wake_any(1) end
  local list = {}
  for _, lane in ipairs(mine) do
    if #list >= 20 then break end
    if lane.load < lane.permits and has_mail_waiting(lane.a) then list[#list + 1] = lane.a end
  end
  return list
end

-- ARGV from `at` on: free slots, depth, ahead, lease (ms), count of accounts of which the session holds fewer permits now,
-- then pairs of account and permits still held (absolute, so that repeating them is harmless).
-- Answers {more (0|1), next_in (ms, -1), jobs, grants {account, permits now, …}, give_up {account, …}, dead letters dropped for
-- their age, and for their bytes, mails that expired in their lane, leases that were found lost}. Jobs: for each account
-- {account, since when nothing keeps it on purpose (0: ever), job, …}. A job: 'id begun(0|1) deadline due', and if it was leased
-- before also ' fence attempts leases lost while begun, doubt, open recipients, due at first'; -: none, and of `due`: now.
-- Answers nil if the session's own lease had run out, and was found to.
local function claim(session, at)
  s, free, depth, ahead = session, tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local asked, lease = free, math.floor(tonumber(ARGV[at + 3]) / 2) * 2

  -- 1. Permits whose connections the session has closed.
  for i = 0, tonumber(ARGV[at + 4]) - 1 do
    local a, n = ARGV[at + 5 + i * 2], tonumber(ARGV[at + 6 + i * 2])
    local permits, load = lane_of(s, a)
    change_permits(a, s, math.min(permits, n), load)
    ring_all(a)
    if has_mail_waiting(a) then wake_for(a, 1) end
  end

  -- 2. What became due, was lost, or may go on.
  more = sweep(lease)
  -- Nobody would ever take back what a session gets after its end.
  if lost_now[s] then return nil end
  local by_age, by_bytes = sweep_dead(100)
  more = more or by_age + by_bytes == 100

  -- 3. Jobs: first one for each connection that stands, then for new ones, then those that wait behind others.
  for _, p in ipairs(PRIORITIES) do
    local others = redis.call('ZCARD', RING .. p) > 0
    local contended = p ~= 'u' and others
    if others then
      from_mine(p, true, contended, 1)
      from_ring(p)
    end
    from_mine(p, true, contended, depth)
    if contended then from_mine(p, false, contended, depth) end
  end
  write_jobs()
  mend_rings()
  bump('claimed', asked - free)

  -- 4. Whether to look again, and what others could use.
  local give_up = {}
  if free > 0 and not more then
    redis.call('SADD', IDLE, s)
  else
    redis.call('SREM', IDLE, s)
    give_up = to_give_up()
  end
  return { more and 1 or 0, next_in(), out.jobs, out.grants, give_up, by_age, by_bytes, expired, bumps['leases_lost'] or 0 }
end
