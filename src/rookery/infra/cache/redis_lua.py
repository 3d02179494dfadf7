"""The scripts of caches in Redis.

A record is a letter, the era (16 bytes), a version (8, big endian) and what belongs to it:
- `V` a value: until when it may be used (8, a double: ms since 1970, or 0 for always), and the value, packed
- `F` none: nothing older than the version is accepted; the token (8) of the loads that may bring a value, or zeros
"""

from typing import Final

from rookery.infra.redis.port import ERA, Script

VERSION: Final = slice(17, 25)
TOKEN: Final = slice(25, 33)
VALUE: Final = 33

_COMMON = (
    ERA
    + """
local call, sub, unpack = redis.call, string.sub, struct.unpack
local NONE = string.rep('\\0', 8)
local present = era()

-- A server's former life knew less than was answered since: what it kept counts for nothing.
local function held_at(key)
  local held = call('GET', key)
  return held and sub(held, 2, 17) == present and held
end

local function above(version, other)
  local h, l = unpack('>I4I4', version)
  local high, low = unpack('>I4I4', other)
  return h > high or (h == high and l > low)
end
"""
)

GET = Script(
    _COMMON
    + """
local moment, token, hold, found = tonumber(ARGV[1]), ARGV[2], ARGV[3], {}
for at, key in ipairs(KEYS) do
  local held = held_at(key)
  if held and sub(held, 1, 1) == 'V' then
    local until_ = unpack('>d', held, 26)
    if until_ ~= 0 and until_ < moment then held = 'F' .. sub(held, 2, 25) .. NONE end
  end
  if not held then held = 'F' .. present .. NONE .. NONE end
  if sub(held, 1, 1) == 'F' and sub(held, 26, 33) == NONE then
    held = sub(held, 1, 25) .. token
    call('SET', key, held, 'PX', hold)
  end
  found[at] = held
end
return found
"""
)
"""KEYS: what is asked for. ARGV: the moment, a token, ms for which records without a value are held. The records; those without a
value carry the token with which one may be brought.
"""

CHANGE = Script(
    _COMMON
    + """
local hold, life = ARGV[1], ARGV[2]
for at, key in ipairs(KEYS) do
  local act, version, token = unpack('c1c8c8', ARGV[at + 2])
  local held = held_at(key)
  local full = held and sub(held, 1, 1) == 'V'
  local known = held and sub(held, 18, 25)
  if act == 'I' then
    if not full or above(version, known) then
      if known and above(known, version) then version = known end
      call('SET', key, 'F' .. present .. version .. NONE, 'PX', hold)
    end
  elseif held and (full and above(version, known) or not full and not above(known, version))
    and (act == 'P' or not full and token == sub(held, 26, 33)) then
    call('SET', key, 'V' .. present .. version .. sub(ARGV[at + 2], 18), 'PX', life)
  end
end
"""
)
"""KEYS: what changes. ARGV: ms for which records without a value are held, and those with one; for each key the act (I: invalidate, P:
put, F: fill after a load), a version, a token, and the value with its time.

A key that is absent stays absent but for an invalidation: who lost its record may have lost a newer one, too.
"""
