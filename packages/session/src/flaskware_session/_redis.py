from __future__ import annotations

import collections.abc as cabc
import hashlib
import typing as t

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from ._errors import StoreUnavailable
from ._record import Lifetime
from ._record import Record
from ._record import StoreStats
from ._record import Written

# Each script begins with the parts it needs. A record is a hash under
# `<namespace>:s:<key>`, a user's sessions are a sorted set of keys by expiry under
# `<namespace>:u:<user>`.
_NAMES = """
local space, now = ARGV[1], tonumber(ARGV[2])
local function name(key) return space .. ':s:' .. key end
local function index(user) return space .. ':u:' .. user end
"""

_FIND = """
local function find(key)
  local r = redis.call('HMGET', name(key), 'version', 'created', 'last_seen',
    'expires', 'address', 'agent', 'user_id', 'data')
  for i = 1, 4 do if not tonumber(r[i]) then return nil end end
  for i = 5, 8 do if not r[i] then return nil end end
  if tonumber(r[4]) <= now then return nil end
  return r
end
-- Two texts are read faster than eight. The user comes last, as the only one of the
-- first seven that may hold the separator.
local function pack(r) return {table.concat(r, '\\n', 1, 7), r[8]} end
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
    'address', ARGV[first + 4], 'agent', ARGV[first + 5],
    'user_id', ARGV[first + 6], 'data', ARGV[first + 7])
  keep(key, ARGV[first + 6], tonumber(ARGV[first + 3]))
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
if now - tonumber(r[3]) >= tonumber(interval) then
  local expires = math.min(now + idle, r[2] + absolute)
  r[3], r[4] = ARGV[2], string.format('%.0f', expires)
  redis.call('HSET', name(key), 'last_seen', r[3], 'expires', r[4])
  keep(key, r[7], expires)
end
return pack(r)
"""

_CREATE = "put(ARGV[3], 4) return 1"

_UPDATE = """
local key, version, expires = ARGV[3], ARGV[4], ARGV[6]
local r = find(key)
if not r then return false end
if tonumber(r[1]) ~= version - 1 then return pack(r) end
redis.call('HSET', name(key), 'version', version, 'last_seen', ARGV[5],
  'expires', expires, 'data', ARGV[7])
keep(key, r[7], tonumber(expires))
return 1
"""

# ARGV: the old key, the new key, the new fields
_REPLACE = """
local old, key, version = ARGV[3], ARGV[4], tonumber(ARGV[5])
local r = find(old)
if not r then
  -- a repeated command, whose first answer was lost, has done it already
  if find(key) then return 1 end
  return false
end
if tonumber(r[1]) ~= version - 1 then return pack(r) end
drop(old)
put(key, 5)
return 1
"""

_DELETE = """
local key, version = ARGV[3], ARGV[4]
if version ~= '' and redis.call('HGET', name(key), 'version') ~= version then
  return 0
end
return drop(key)
"""

_FOR_USER = """
local found = {}
redis.call('ZREMRANGEBYSCORE', index(ARGV[3]), '-inf', now)
for _, key in ipairs(redis.call('ZRANGE', index(ARGV[3]), 0, -1)) do
  local r = find(key)
  if r then
    found[#found + 1] = {key, pack(r)}
  else
    redis.call('ZREM', index(ARGV[3]), key)
  end
end
return found
"""

_DELETE_USER = """
local count = 0
for _, key in ipairs(redis.call('ZRANGE', index(ARGV[3]), 0, -1)) do
  if key ~= ARGV[4] then count = count + drop(key) end
end
return count
"""


class _Script:
    """A Lua script, sent by its hash; in full where the server does not know it."""

    def __init__(self, *parts: str) -> None:
        self._text = _NAMES + "".join(parts)
        # What EVALSHA takes is SHA-1 by definition; nothing is guarded by it.
        digest = hashlib.sha1(self._text.encode(), usedforsecurity=False)
        self._sha = digest.hexdigest()

    def __call__(self, client: t.Any, *arguments: str | int) -> t.Any:
        try:
            return client.execute_command("EVALSHA", self._sha, 0, *arguments)
        except exceptions.NoScriptError:
            return client.execute_command("EVAL", self._text, 0, *arguments)


_read = _Script(_FIND, _KEEP, _READ)
_create = _Script(_KEEP, _PUT, _CREATE)
_update = _Script(_FIND, _KEEP, _UPDATE)
_replace = _Script(_FIND, _KEEP, _PUT, _DROP, _REPLACE)
_delete = _Script(_DROP, _DELETE)
_for_user = _Script(_FIND, _FOR_USER)
_delete_user = _Script(_DROP, _DELETE_USER)


class RedisStore:
    """Keeps sessions in Redis or Valkey; each step is one script, so one trip.

    Redis removes what has expired. A lost connection is opened again once; nothing
    waits longer than ``timeout`` for an answer.

    :param url: As redis-py takes it: ``redis://``, ``rediss://`` or ``unix://``.
    :param namespace: What the name of each key starts with.
    :param timeout: How long to wait for a connection, and for an answer, in seconds.
    """

    def __init__(
        self, url: str, *, namespace: str = "session", timeout: float = 1.0
    ) -> None:
        self._namespace = namespace
        # A command is safe to repeat: the second time it finds the version changed
        # by the first, and the same change is made again on top. An answer that is
        # late is not asked for again, so that a slow server is not asked twice.
        self._client: t.Any = redis.Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 1, supported_errors=(exceptions.ConnectionError,)),
        )

    def read(self, key: str, now: int, lifetime: Lifetime) -> Record | None:
        """See :meth:`Store.read`."""
        return _record(
            key,
            self._run(
                _read,
                now,
                key,
                lifetime.idle,
                lifetime.absolute,
                lifetime.touch_interval,
            ),
        )

    def create(self, record: Record, now: int) -> None:
        """See :meth:`Store.create`."""
        if self._run(_create, now, record.key, *_fields(record)) != 1:
            raise StoreUnavailable(
                f"a key under {self._namespace!r} belongs to something else"
            )

    def update(self, record: Record, now: int) -> Written:
        """See :meth:`Store.update`."""
        answer = self._run(
            _update,
            now,
            record.key,
            record.version,
            record.last_seen,
            record.expires,
            record.data,
        )
        return _written(record.key, answer)

    def replace(self, old_key: str, record: Record, now: int) -> Written:
        """See :meth:`Store.replace`."""
        answer = self._run(_replace, now, old_key, record.key, *_fields(record))
        return _written(old_key, answer)

    def delete(self, key: str, *, version: int | None = None) -> bool:
        """See :meth:`Store.delete`."""
        return bool(self._run(_delete, 0, key, "" if version is None else version))

    def for_user(self, user_id: str, now: int) -> list[Record]:
        """See :meth:`Store.for_user`."""
        answer = self._run(_for_user, now, user_id) or ()
        found = (_record(_text(key), fields) for key, fields in answer)
        records = [record for record in found if record is not None]
        return sorted(records, key=lambda record: record.last_seen, reverse=True)

    def delete_user(self, user_id: str, *, keep: str | None = None) -> int:
        """See :meth:`Store.delete_user`."""
        return int(self._run(_delete_user, 0, user_id, keep or "") or 0)

    def prune(self, now: int, limit: int) -> int:  # noqa: ARG002
        """See :meth:`Store.prune`; Redis does this by itself, so none is left."""
        return 0

    def stats(self, now: int) -> StoreStats:  # noqa: ARG002
        """See :meth:`Store.stats`; this walks over all keys, a part at a time."""
        return StoreStats(self._count("s"), self._count("u"))

    def ping(self) -> None:
        """See :meth:`Store.ping`."""
        self._guard(self._client.ping)

    def close(self) -> None:
        """See :meth:`Store.close`."""
        self._client.close()

    def _run(self, script: _Script, now: int, *arguments: str | int) -> t.Any:
        return self._guard(
            lambda: script(self._client, self._namespace, now, *arguments)
        )

    def _count(self, kind: str) -> int:
        pattern = f"{self._namespace}:{kind}:*"
        count: int = self._guard(
            lambda: sum(1 for _ in self._client.scan_iter(match=pattern, count=1000))
        )
        return count

    def _guard(self, call: cabc.Callable[[], t.Any]) -> t.Any:
        try:
            return call()
        except exceptions.ResponseError as error:
            # Somebody else's key of another type: as good as no session.
            if "WRONGTYPE" in str(error):
                return None
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
        except (exceptions.RedisError, OSError) as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


def _written(key: str, answer: t.Any) -> Written:
    if answer == 1:
        return Written(saved=True)
    return Written(saved=False, current=_record(key, answer))


def _fields(record: Record) -> tuple[str | int, ...]:
    return (
        record.version,
        record.created,
        record.last_seen,
        record.expires,
        record.address.replace("\n", " "),
        record.agent.replace("\n", " "),
        record.user_id or "",
        record.data,
    )


def _record(key: str, answer: t.Any) -> Record | None:
    if not isinstance(answer, list):
        return None
    about, data = t.cast("list[bytes | str]", answer)
    try:
        version, created, last_seen, expires, address, agent, user_id = _text(
            about
        ).split("\n", 6)
        return Record(
            key=key,
            data=_text(data),
            version=int(version),
            created=int(created),
            last_seen=int(last_seen),
            expires=int(expires),
            user_id=user_id or None,
            address=address,
            agent=agent,
        )
    except ValueError:
        return None


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
