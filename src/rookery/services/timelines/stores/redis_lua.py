"""The scripts of cached timelines in Redis.

A timeline is one string: a head of 57 bytes and places for entries of 16 bytes each, some of which are free. Numbers are big endian;
Lua's own are doubles, so ids are compared in halves of 32 bits.

head: state (1: readable, 2: privileged), era (16), token (8), version (8), floor (8), newest entry (8), entries (4), places (4)
entry: the entry's id (8), its tweet's (8); ascending, each once
"""

from typing import Final

from rookery.infra.redis.port import ERA, Script

HEAD: Final = 57
ENTRY: Final = 16

_COMMON = (
    ERA
    + """
local call, byte, sub, pack, unpack = redis.call, string.byte, string.sub, struct.pack, struct.unpack
local FORM, HEAD, COUNTED = '>Bc16c8c8c8c8I4I4', 57, 41
local NONE = string.rep('\\0', 8)

-- How many of these entries, ascending, are older than this id.
local function place(entries, id)
  local high, low = unpack('>I4I4', id)
  local from, to = 0, #entries / 16
  while from < to do
    local middle = math.floor((from + to) / 2)
    local h, l = unpack('>I4I4', entries, middle * 16 + 1)
    if h < high or (h == high and l < low) then from = middle + 1 else to = middle end
  end
  return from
end

local function above(id, other)
  local h, l = unpack('>I4I4', id)
  local high, low = unpack('>I4I4', other)
  return h > high or (h == high and l > low)
end

-- Both together, ascending, each once.
local function merged(entries, more)
  if #more == 0 then return entries end
  if #entries == 0 then return more end
  if #more > #entries then entries, more = more, entries end
  for at = 1, #more, 16 do
    local id = sub(more, at, at + 7)
    local before = place(entries, id) * 16
    if sub(entries, before + 1, before + 8) ~= id then
      entries = sub(entries, 1, before) .. sub(more, at, at + 15) .. sub(entries, before + 1)
    end
  end
  return entries
end

-- Write a timeline whole, with free places; the oldest that do not fit go, and raise the floor.
local function write(key, state, now, token, version, floor, entries, most, spare)
  if #entries > 16 * most then
    entries = sub(entries, -16 * most)
    floor = sub(entries, 1, 8)
  end
  local count = #entries / 16
  local places = math.min(most + spare, count + math.max(8, math.floor(count / 4)))
  local newest = count > 0 and sub(entries, -16, -9) or NONE
  call('SET', key, pack(FORM, state, now, token, version, floor, newest, count, places) .. entries
    .. string.rep('\\0', 16 * (places - count)))
end

-- The reverse: the owners of the timelines that follow an actor, 8 bytes each.
local function find(owners, owner)
  local at = 1
  while true do
    at = string.find(owners, owner, at, true)
    if not at or at % 8 == 1 then return at end
    at = at + 1
  end
end

local function follow(key, owner)
  local owners = call('GET', key) or ''
  if not find(owners, owner) then call('SET', key, owners .. owner) end
end

local function unfollow(key, owner)
  local owners = call('GET', key)
  local at = owners and find(owners, owner)
  if at then
    if #owners == 8 then call('DEL', key)
    else call('SET', key, sub(owners, 1, at - 1) .. sub(owners, at + 8)) end
  end
end
"""
)

_READ = """
local function read(key, now)
  local found = call('GET', key)
  if not found or byte(found) % 2 == 0 or sub(found, 2, 17) ~= now then return false end
  local count = unpack('>I4', found, 50)
  return sub(found, 1, HEAD + 16 * count)
end
"""

READ = Script(_COMMON + _READ + "return read(KEYS[1], era())")
"""KEYS: the timeline. What is used of it; false where there is nothing to be read."""

READ_MERGED = Script(
    _COMMON
    + _READ
    + """
local now = era()
local merged = call('GET', KEYS[2])
merged = merged and sub(merged, 1, 16) == now and sub(merged, 17)
return {read(KEYS[1], now), merged}
"""
)
"""KEYS: the timeline, what is merged into it. Both, each false where there is none."""

KEEP_MERGED = Script(ERA + "return redis.call('SET', KEYS[1], era() .. ARGV[1], 'PX', ARGV[2])")
"""KEYS: what is merged into a timeline. ARGV: that, ms for which it is kept."""

ACTORS = Script("return redis.call('GET', KEYS[1])")
"""KEYS: the actors of a timeline. They, packed."""

BEGIN = Script(
    _COMMON
    + """
local timeline, actors, owned = KEYS[1], KEYS[2], KEYS[3]
local owner, before, after, added, state, token, version, most, spare, moment = unpack_args()
local held = call('GET', actors) or ''
if redis.sha1hex(held) ~= before then return false end
local now = era()
call('ZADD', owned, 'GT', moment, owner)
if held == after then
  local head = call('GETRANGE', timeline, 0, HEAD - 1)
  if #head == HEAD then
    local was, of, token, at = unpack(FORM, head)
    if of == now and at == version then
      if was - was % 2 ~= state then call('SETRANGE', timeline, 0, string.char(was % 2 + state)) end
      return token
    end
  end
end
for at = 4, 3 + added do follow(KEYS[at], owner) end
for at = 4 + added, #KEYS do unfollow(KEYS[at], owner) end
call('SET', actors, after)
write(timeline, state, now, token, version, NONE, '', most, spare)
return token
""".replace(
        "unpack_args()",
        "ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]),"
        " tonumber(ARGV[10])",
    )
)
"""KEYS: the timeline, its actors, the shard's owners, the lists of actors that are new, of those that are left. ARGV: the owner, the
digest of the actors it had, the ones it gets, how many are new, the state, a token, the version, entries, spare places, now.

The token with which it may be filled; false where it had other actors. A timeline of this version, era and these actors goes on:
what it gathered is all that was delivered since it was begun.
"""

FILL = Script(
    _COMMON
    + """
local token, version, floor, entries = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local found = call('GET', KEYS[1])
if not found then return 0 end
local state, of, held, at, low, newest, count = unpack(FORM, found)
if state % 2 == 1 or held ~= token or at ~= version or of ~= era() then return 0 end
if above(low, floor) then floor = low end
entries = merged(entries, sub(found, HEAD + 1, HEAD + 16 * count))
entries = sub(entries, 16 * place(entries, floor) + 1)
write(KEYS[1], state + 1, of, token, version, floor, entries, tonumber(ARGV[5]), tonumber(ARGV[6]))
return 1
"""
)
"""KEYS: the timeline. ARGV: its token, version, the truth's floor and entries, entries, spare places."""

DELIVER = Script(
    _COMMON
    + """
local timeline, batch, from, budget = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local most, spare, twice = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == '1'
local followers, got, special = {}, {}, {}
local total, spent = #batch / 19, 0
local reached, now = 0, nil

while from < total and spent < budget do
  local actor, famous = unpack('>I2B', batch, from * 19 + 1)
  local entry = sub(batch, from * 19 + 4, from * 19 + 19)
  local owners = followers[actor]
  if not owners then
    owners = {}
    local packed = call('GET', KEYS[actor]) or ''
    for at = 1, #packed, 8 do owners[#owners + 1] = sub(packed, at, at + 7) end
    followers[actor] = owners
  end
  if famous == 1 then
    local self = sub(KEYS[actor], -8)
    for _, owner in ipairs(owners) do
      -- Lists are privileged always; their owners are negative.
      if owner == self or byte(owner) > 127 then got[owner] = merged(got[owner] or '', entry)
      else special[owner] = merged(special[owner] or '', entry) end
    end
  elseif twice then
    for _, owner in ipairs(owners) do got[owner] = merged(got[owner] or '', entry) end
  else
    for at = 1, #owners do
      local owner = owners[at]
      local before = got[owner]
      got[owner] = before and before .. entry or entry
    end
  end
  spent = spent + #owners + 1
  from = from + 1
end

local function insert(owner, entries)
  local key = timeline .. owner
  local head = call('GETRANGE', key, 0, HEAD - 1)
  if #head ~= HEAD then return end
  local state, of, token, version, floor, newest, count, places = unpack(FORM, head)
  now = now or era()
  if of ~= now then return end
  local privileged = special[owner]
  if privileged then
    special[owner] = nil
    if state >= 2 then entries = merged(entries, privileged) end
  end
  if #entries == 0 then return end
  if above(floor, entries) then
    entries = sub(entries, 16 * place(entries, floor) + 1)
    if #entries == 0 then return end
  end
  local more = #entries / 16
  if above(entries, newest) then
    if count + more <= places then
      call('SETRANGE', key, HEAD + 16 * count, entries)
      call('SETRANGE', key, COUNTED, pack('>c8I4', sub(entries, -16, -9), count + more))
      reached = reached + more
      return
    end
    reached = reached + more
    entries = call('GETRANGE', key, HEAD, HEAD + 16 * count - 1) .. entries
  else
    entries = merged(call('GETRANGE', key, HEAD, HEAD + 16 * count - 1), entries)
    local added = #entries / 16 - count
    if added == 0 then return end
    reached = reached + added
  end
  write(key, state, of, token, version, floor, entries, most, spare)
end

for owner, entries in pairs(got) do insert(owner, entries) end
for owner in pairs(special) do insert(owner, '') end
return {reached, from}
"""
)
"""KEYS: the lists of actors. ARGV: what keys of timelines begin with, deliveries ascending (19 bytes: the number of the actor's key,
whether famous, the entry), the first one to look at, after how many it should end, entries, spare places, whether an entry stands
there twice.

How many were inserted, and the first one that was not looked at.
"""

PRIVILEGE = Script(
    """
local state = redis.call('GETRANGE', KEYS[1], 0, 0)
if #state == 0 then return 0 end
redis.call('SETRANGE', KEYS[1], 0, string.char(string.byte(state) % 2 + 2 * tonumber(ARGV[1])))
return 1
"""
)
"""KEYS: the timeline. ARGV: 1 or 0."""

DROP = Script(
    _COMMON
    + """
if redis.sha1hex(call('GET', KEYS[2]) or '') ~= ARGV[2] then return -1 end
for at = 5, #KEYS do unfollow(KEYS[at], ARGV[1]) end
call('UNLINK', KEYS[2], KEYS[4])
call('ZREM', KEYS[3], ARGV[1])
return call('UNLINK', KEYS[1])
"""
)
"""KEYS: the timeline, its actors, the shard's owners, what is merged into it, the lists of its actors. ARGV: the owner, the digest of the actors.

1 where there was one; -1 where it had other actors.
"""

OWNERS = Script("return redis.call('ZRANGE', KEYS[1], 0, -1)")
"""KEYS: the shard's owners."""

VISITED = Script("for at = 1, #ARGV, 2 do redis.call('ZADD', KEYS[1], 'XX', 'GT', ARGV[at], ARGV[at + 1]) end return 1")
"""KEYS: the shard's owners. ARGV: moments and owners, in turn."""

IDLE = Script("return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1], 'WITHSCORES')")
"""KEYS: the shard's owners. ARGV: a moment. Those whose timelines were not looked at since, each with when that was."""
