"""Steps of the store, as Lua scripts of Redis.

A record is one text under ``<namespace>:s:<key>``, which costs the server half of what
a hash does: a line each for the version, when it was last seen, when it ends, when it
was created, when it was issued, the address, the agent and the user; then the content.
A user's sessions are a sorted set of keys by expiry under ``<namespace>:u:<user>``.
Each script begins with the parts that it needs.
"""

from __future__ import annotations

import hashlib

_BASIS = """
local space, now = ARGV[1], tonumber(ARGV[2])
local function name(key) return space .. ':s:' .. key end
local function index(user) return space .. ':u:' .. user end
local function parse(key)
  local text = redis.call('GET', name(key))
  if not text then return nil end
  local version, seen, expires, rest, created, address, user = string.match(text,
    '^(%d+)\\n(%d+)\\n(%d+)\\n()(%d+)\\n%d+\\n([^\\n]*)\\n[^\\n]*\\n([^\\n]*)\\n')
  if not version then return nil end
  return {text = text, version = version, seen = seen, expires = expires, rest = rest,
    created = created, address = address, user = user}
end
local function find(key)
  local r = parse(key)
  if r and tonumber(r.expires) > now then return r end
end
"""

_PUT = """
local function put(key, expires, user, text)
  local left = math.max(expires - now, 1)
  redis.call('SET', name(key), text, 'PX', left)
  if user ~= '' then
    local added = redis.pcall('ZADD', index(user), expires, key)
    if type(added) == 'table' then
      -- somebody else's key makes room: who signs in must be found by it
      redis.log(redis.LOG_WARNING, index(user) .. ' is no index of sessions: renamed')
      redis.call('RENAME', index(user), index(user) .. ':foreign')
      redis.call('ZADD', index(user), expires, key)
    end
    if redis.call('PTTL', index(user)) < left then
      redis.call('PEXPIRE', index(user), left)
    end
  end
end
"""

_DROP = """
local function drop(key, r)
  -- also where somebody else's key has taken the place of the index
  if r and r.user ~= '' then redis.pcall('ZREM', index(r.user), key) end
  return redis.call('DEL', name(key))
end
"""

_READ = """
local key, idle, absolute, interval = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local r = find(key)
if not r then return false end
if now - r.seen < tonumber(interval) or r.version == '0' then return r.text end
local expires = string.format('%.0f', math.min(now + idle, r.created + absolute))
local text = table.concat({r.version, ARGV[2], expires, r.text:sub(r.rest)}, '\\n')
-- a server that is full, or cannot save to disk, can still be read; a former primary
-- raises its error, so that the connection is replaced
local noted, reason = pcall(put, key, expires, r.user, text)
if noted then return text end
if type(reason) == 'table' then reason = reason.err end
local lost = reason:find('READONLY', 1, true)
if lost then return redis.error_reply(reason:sub(lost)) end
return r.text
"""

_CREATE = """
local key = ARGV[3]
local found = redis.call('GET', name(key))
-- a repeated command, whose first answer was lost, finds what it has made
if found then return found == ARGV[7] and 1 or 0 end
put(key, ARGV[5], ARGV[6], ARGV[7])
return 1
"""

_UPDATE = """
local key = ARGV[3]
local r = find(key)
if not r then return false end
if tonumber(r.version) ~= ARGV[4] - 1 then return r.text end
put(key, ARGV[5], ARGV[6], ARGV[7])
return 1
"""

# ARGV: the old key, the new key, the new record, the alias if there is one
_REPLACE = """
local old, key = ARGV[3], ARGV[4]
local r = find(old)
if not r or r.version == '0' then
  -- a repeated command, whose first answer was lost, has done it already
  if find(key) then return 1 end
  return r and r.text or false
end
if tonumber(r.version) ~= ARGV[5] - 1 then return r.text end
drop(old, r)
put(key, ARGV[6], ARGV[7], ARGV[8])
if ARGV[9] then put(old, ARGV[10], ARGV[11], ARGV[12]) end
return 1
"""

_DELETE = """
local key, version = ARGV[3], ARGV[4]
local r = parse(key)
if version ~= '' and not (r and r.version == version) then return 0 end
while true do
  local dropped = drop(key, r)
  -- an alias has the key of the session in place of an address
  if not r or r.version ~= '0' then return dropped end
  key = r.address
  r = parse(key)
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
for _, one in ipairs(found) do one[2] = one[2].text end
return found
"""

_DELETE_USER = """
local count, kept = 0, ARGV[4]
local r = parse(kept)
while r and r.version == '0' do
  kept = r.address
  r = parse(kept)
end
for _, key in ipairs(redis.call('ZRANGE', index(ARGV[3]), 0, -1)) do
  if key ~= kept then count = count + drop(key, parse(key)) end
end
return count
"""

_LIMIT_USER = """
local found, count = list(ARGV[3]), 0
table.sort(found, function(a, b)
  if (a[1] == ARGV[5]) ~= (b[1] == ARGV[5]) then return a[1] == ARGV[5] end
  return tonumber(a[2].seen) > tonumber(b[2].seen)
end)
for i = tonumber(ARGV[4]) + 1, #found do
  count = count + drop(found[i][1], found[i][2])
end
return count
"""


class Script:
    """A Lua script, sent by its hash; in full where the server does not know it."""

    def __init__(self, *parts: str) -> None:
        self.text = _BASIS + "".join(parts)
        # EVALSHA takes SHA-1 by definition; it guards nothing.
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False)
        self.sha = digest.hexdigest()


READ = Script(_PUT, _READ)
CREATE = Script(_PUT, _CREATE)
UPDATE = Script(_PUT, _UPDATE)
REPLACE = Script(_PUT, _DROP, _REPLACE)
DELETE = Script(_DROP, _DELETE)
FOR_USER = Script(_LIST, _FOR_USER)
DELETE_USER = Script(_DROP, _DELETE_USER)
LIMIT_USER = Script(_LIST, _DROP, _LIMIT_USER)
