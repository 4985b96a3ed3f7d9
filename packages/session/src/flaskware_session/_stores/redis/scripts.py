"""Steps of the store, as Lua scripts of Redis.

A record is one text under ``<namespace>:{<tag>}:s:<key>``, which costs the server half
of what a hash does: a line each for the epoch, the version, when it was last seen, when
it ends, its idle timeout, when it ends at the latest, and the user; then what only the
client reads. The tag is the same for all sessions of a user, so that a cluster has them
on one node, and every key that a script touches can be declared:

- ``<namespace>:{<tag>}:u`` is a sorted set of the user's keys by expiry, for listing;
- ``<namespace>:{<tag>}:e`` is the epoch of the user: a random text which the sessions
  of the user have too. A revocation replaces it, and with that every session that has
  the old epoch has ended, whether it is listed or not. Where it is missing, as after an
  eviction, they have ended as well: nobody stays signed in by a loss.
"""

from __future__ import annotations

import hashlib

# KEYS: of the session, the user's index and the user's epoch
_BASIS = """
local session, index, epochs = KEYS[1], KEYS[2], KEYS[3]
local now = tonumber(ARGV[1])
local function parse(name)
  local text = redis.pcall('GET', name)
  if not text then return nil end
  if type(text) == 'table' then
    -- another program's key, of another type; any other error is raised again
    if text.err:find('WRONGTYPE', 1, true) then return nil, true end
    redis.call('GET', name)
  end
  local epoch, rest, version, seen, expires, tail, idle, ending, user = string.match(
    text,
    '^([^\\n]*)\\n()(%d+)\\n(%d+)\\n(%d+)\\n()(%d+)\\n(%d+)\\n([^\\n]*)\\n')
  if not version then return nil, true end
  return {text = text:sub(rest), epoch = epoch, version = version, seen = seen,
    expires = expires, tail = tail - rest + 1, idle = idle, ending = ending,
    user = user}
end
local function find(name, epoch_name)
  local r, is_foreign = parse(name)
  if not r then return nil, is_foreign end
  if tonumber(r.expires) <= now then return nil end
  if r.user ~= '' then
    -- the key of a visitor's session declares no epoch
    if not epoch_name or redis.call('GET', epoch_name) ~= r.epoch then return nil end
  end
  return r
end
"""

_PUT = """
local function put(name, listed, epoch, expires, text)
  local left = math.max(expires - now, 1)
  -- first, as a server that is full refuses only the first write of a script
  redis.call('SET', name, epoch .. '\\n' .. text, 'PX', left)
  if epoch == '' then return end
  local added = redis.pcall('ZADD', index, expires, listed)
  if type(added) == 'table' then
    -- somebody else's key makes room: who signs in must be found by it
    redis.log(redis.LOG_WARNING, index .. ' is no index of sessions: renamed')
    redis.call('RENAME', index, index .. ':foreign')
    redis.call('ZADD', index, expires, listed)
  end
  for _, key in ipairs({index, epochs}) do
    if redis.call('PTTL', key) < left then redis.call('PEXPIRE', key, left) end
  end
end
local function epoch_of(user, fresh)
  if user == '' then return '' end
  local found = redis.pcall('GET', epochs)
  if type(found) == 'string' then return found end
  redis.call('SET', epochs, fresh)
  return fresh
end
"""

_DROP = """
local function drop(name, listed, r)
  -- also where somebody else's key has taken the place of the index
  if r and r.user ~= '' and index then redis.pcall('ZREM', index, listed) end
  return redis.call('DEL', name)
end
"""

# ARGV: now, the key, the interval
_READ = """
local r, is_foreign = find(session, epochs)
if not r then return is_foreign and {} or false end
local interval = tonumber(ARGV[3])
-- no use is noted for an interval without end: FOREVER of the records
if interval >= 253402300800000
    or now - r.seen < math.min(interval, math.floor(r.idle / 4)) then
  return r.text
end
local expires = string.format('%.0f', math.min(now + r.idle, tonumber(r.ending)))
local text = table.concat({r.version, ARGV[1], expires, r.text:sub(r.tail)}, '\\n')
-- a server that is full, or cannot save to disk, can still be read; a former primary
-- raises its error, so that the connection is replaced
local noted, reason = pcall(put, session, ARGV[2], r.epoch, expires, text)
if noted then return text end
if type(reason) == 'table' then reason = reason.err end
local lost = reason:find('READONLY', 1, true)
if lost then return redis.error_reply(reason:sub(lost)) end
return r.text
"""

# ARGV: now, the key, the version, the expiry, the user, the record, a fresh epoch
_CREATE = """
local found = redis.call('GET', session)
if found then
  -- a repeated command, whose first answer was lost, finds what it has made
  return found:sub((found:find('\\n', 1, true) or 0) + 1) == ARGV[6] and 1 or 0
end
put(session, ARGV[2], epoch_of(ARGV[5], ARGV[7]), ARGV[4], ARGV[6])
return 1
"""

_UPDATE = """
local r = find(session, epochs)
if not r then return false end
if tonumber(r.version) ~= ARGV[3] - 1 then return r.text end
put(session, ARGV[2], r.epoch, ARGV[4], ARGV[6])
return 1
"""

# KEYS: further, the old session, its user's index and epoch. ARGV: further, the old key
_REPLACE = """
local r = find(KEYS[4], KEYS[6])
if not r then
  -- a repeated command, whose first answer was lost, has done it already
  return find(session, epochs) and 1 or false
end
if tonumber(r.version) ~= ARGV[3] - 1 then return r.text end
if r.user ~= '' then redis.pcall('ZREM', KEYS[5], ARGV[8]) end
redis.call('DEL', KEYS[4])
put(session, ARGV[2], epoch_of(ARGV[5], ARGV[7]), ARGV[4], ARGV[6])
return 1
"""

# ARGV: now, the key, the version or nothing
_DELETE = """
local r = parse(session)
if ARGV[3] ~= '' and not (r and r.version == ARGV[3]) then return 0 end
local is_live = r and find(session, epochs)
return drop(session, ARGV[2], r) == 1 and is_live and 1 or 0
"""

# KEYS: the user's index twice, the epoch, and the sessions that the index may name.
# ARGV: now, the beginning of their names, whether all of them must be declared. The
# answer is 0 and the keys in the index, if some were to be declared and are not: while
# a cluster moves a slot, what is not declared seems to be missing. Otherwise 1 and the
# outcome.
_LIST = """
local declared, is_strict = {}, ARGV[3] == '1'
for i = 4, #KEYS do declared[KEYS[i]] = true end
local function list()
  redis.pcall('ZREMRANGEBYSCORE', index, '-inf', now)
  local keys, found = redis.pcall('ZRANGE', index, 0, -1), {}
  -- somebody else's key lists nothing
  if keys.err then return found end
  for _, key in ipairs(keys) do
    if is_strict and not declared[ARGV[2] .. key] then return nil, keys end
  end
  for _, key in ipairs(keys) do
    local r = find(ARGV[2] .. key, epochs)
    if r then
      found[#found + 1] = {key, r}
    else
      redis.call('ZREM', index, key)
    end
  end
  return found
end
local found, keys = list()
if not found then return {0, keys} end
"""

_FOR_USER = """
for _, one in ipairs(found) do one[2] = one[2].text end
return {1, found}
"""

# ARGV: further, the key to keep or nothing, a fresh epoch
_DELETE_USER = """
local kept = ARGV[4] ~= '' and find(ARGV[2] .. ARGV[4], epochs)
local count = 0
for _, one in ipairs(found) do
  if not (kept and one[1] == ARGV[4]) then
    count = count + drop(ARGV[2] .. one[1], one[1], one[2])
  end
end
if kept then
  local name = ARGV[2] .. ARGV[4]
  redis.call('SET', epochs, ARGV[5], 'KEEPTTL')
  redis.call('SET', name, ARGV[5] .. '\\n' .. kept.text, 'KEEPTTL')
  redis.pcall('ZADD', index, kept.expires, ARGV[4])
  local left = redis.call('PTTL', name)
  if redis.call('PTTL', index) < left then redis.call('PEXPIRE', index, left) end
else
  redis.call('DEL', epochs)
end
return {1, count}
"""

# ARGV: further, how many, the key to keep
_LIMIT_USER = """
local count = 0
table.sort(found, function(a, b)
  if (a[1] == ARGV[5]) ~= (b[1] == ARGV[5]) then return a[1] == ARGV[5] end
  return tonumber(a[2].seen) > tonumber(b[2].seen)
end)
for i = tonumber(ARGV[4]) + 1, #found do
  count = count + drop(ARGV[2] .. found[i][1], found[i][1], found[i][2])
end
return {1, count}
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
REPLACE = Script(_PUT, _REPLACE)
DELETE = Script(_DROP, _DELETE)
FOR_USER = Script(_LIST, _FOR_USER)
DELETE_USER = Script(_LIST, _DROP, _DELETE_USER)
LIMIT_USER = Script(_LIST, _DROP, _LIMIT_USER)
