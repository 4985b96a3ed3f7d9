"""What Redis does in one step, as Lua.

A record is a hash under ``<namespace>:s:<key>``, a user's sessions are a sorted set of
keys by expiry under ``<namespace>:u:<user>``. Each script begins with the parts that
it needs.
"""

from __future__ import annotations

import hashlib

_NAMES = """
local space, now = ARGV[1], tonumber(ARGV[2])
local function name(key) return space .. ':s:' .. key end
local function index(user) return space .. ':u:' .. user end
"""

_FIND = """
local function find(key)
  local r = redis.call('HMGET', name(key), 'version', 'created', 'last_seen',
    'expires', 'issued', 'address', 'agent', 'user_id', 'data')
  for i = 1, 5 do if not tonumber(r[i]) then return nil end end
  for i = 6, 9 do if not r[i] then return nil end end
  if tonumber(r[4]) <= now then return nil end
  return r
end
-- Two texts are read faster than nine. The user comes last, as the only one of the
-- first eight that may hold the separator.
local function pack(r) return {table.concat(r, '\\n', 1, 8), r[9]} end
"""

_KEEP = """
local function keep(key, user, expires)
  redis.call('PEXPIRE', name(key), expires - now)
  if user ~= '' then
    redis.call('ZADD', index(user), expires, key)
    if redis.call('PTTL', index(user)) < expires - now then
      redis.call('PEXPIRE', index(user), expires - now)
    end
  end
end
"""

_PUT = """
local function put(key, first)
  redis.call('HSET', name(key), 'version', ARGV[first], 'created', ARGV[first + 1],
    'last_seen', ARGV[first + 2], 'expires', ARGV[first + 3],
    'issued', ARGV[first + 4], 'address', ARGV[first + 5], 'agent', ARGV[first + 6],
    'user_id', ARGV[first + 7], 'data', ARGV[first + 8])
  keep(key, ARGV[first + 7], tonumber(ARGV[first + 3]))
end
"""

_DROP = """
local function drop(key)
  local user = redis.call('HGET', name(key), 'user_id')
  if user and user ~= '' then redis.call('ZREM', index(user), key) end
  return redis.call('DEL', name(key))
end
"""

_READ = """
local key, idle, absolute, interval = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local r = find(key)
if not r then return false end
if now - tonumber(r[3]) >= tonumber(interval) and r[1] ~= '0' then
  local expires = math.min(now + idle, r[2] + absolute)
  r[3], r[4] = ARGV[2], string.format('%.0f', expires)
  redis.call('HSET', name(key), 'last_seen', r[3], 'expires', r[4])
  keep(key, r[8], expires)
end
return pack(r)
"""

_CREATE = """
-- a repeated command, whose first answer was lost, finds what it has made
if redis.call('EXISTS', name(ARGV[3])) == 1 then
  return redis.call('HGET', name(ARGV[3]), 'data') == ARGV[12] and 1 or 0
end
put(ARGV[3], 4)
return 1
"""

_UPDATE = """
local key, version, expires = ARGV[3], ARGV[4], ARGV[6]
local r = find(key)
if not r then return false end
if tonumber(r[1]) ~= version - 1 then return pack(r) end
redis.call('HSET', name(key), 'version', version, 'last_seen', ARGV[5],
  'expires', expires, 'data', ARGV[7])
keep(key, r[8], tonumber(expires))
return 1
"""

# ARGV: the old key, the new key, the new fields, the alias's fields if there is one
_REPLACE = """
local old, key, version = ARGV[3], ARGV[4], tonumber(ARGV[5])
local r = find(old)
if not r or r[1] == '0' then
  -- a repeated command, whose first answer was lost, has done it already
  if find(key) then return 1 end
  return r and pack(r) or false
end
if tonumber(r[1]) ~= version - 1 then return pack(r) end
drop(old)
put(key, 5)
if ARGV[14] then put(old, 14) end
return 1
"""

_DELETE = """
local key, version = ARGV[3], ARGV[4]
if version ~= '' and redis.call('HGET', name(key), 'version') ~= version then
  return 0
end
while true do
  local r = redis.call('HMGET', name(key), 'version', 'address')
  local dropped = drop(key)
  -- an alias has the key of the session in place of an address
  if r[1] ~= '0' or dropped == 0 or not r[2] then return dropped end
  key = r[2]
end
"""

_LIST = """
local function list(user)
  local found = {}
  redis.call('ZREMRANGEBYSCORE', index(user), '-inf', now)
  for _, key in ipairs(redis.call('ZRANGE', index(user), 0, -1)) do
    local r = find(key)
    if r then
      found[#found + 1] = {key, r}
    else
      redis.call('ZREM', index(user), key)
    end
  end
  return found
end
"""

_FOR_USER = """
local found = list(ARGV[3])
for _, one in ipairs(found) do one[2] = pack(one[2]) end
return found
"""

_DELETE_USER = """
local count, kept = 0, ARGV[4]
while true do
  local r = redis.call('HMGET', name(kept), 'version', 'address')
  if r[1] ~= '0' or not r[2] then break end
  kept = r[2]
end
for _, key in ipairs(redis.call('ZRANGE', index(ARGV[3]), 0, -1)) do
  if key ~= kept then count = count + drop(key) end
end
return count
"""

_LIMIT_USER = """
local found, count = list(ARGV[3]), 0
table.sort(found, function(a, b)
  if (a[1] == ARGV[5]) ~= (b[1] == ARGV[5]) then return a[1] == ARGV[5] end
  return tonumber(a[2][3]) > tonumber(b[2][3])
end)
for i = tonumber(ARGV[4]) + 1, #found do count = count + drop(found[i][1]) end
return count
"""


class Script:
    """A Lua script, sent by its hash; in full where the server does not know it."""

    def __init__(self, *parts: str) -> None:
        self.text = _NAMES + "".join(parts)
        # What EVALSHA takes is SHA-1 by definition; nothing is guarded by it.
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False)
        self.sha = digest.hexdigest()


READ = Script(_FIND, _KEEP, _READ)
CREATE = Script(_KEEP, _PUT, _CREATE)
UPDATE = Script(_FIND, _KEEP, _UPDATE)
REPLACE = Script(_FIND, _KEEP, _PUT, _DROP, _REPLACE)
DELETE = Script(_DROP, _DELETE)
FOR_USER = Script(_FIND, _LIST, _FOR_USER)
DELETE_USER = Script(_DROP, _DELETE_USER)
LIMIT_USER = Script(_FIND, _LIST, _DROP, _LIMIT_USER)
