"""Links to Redis: connections of our own, or a client of the app."""

from __future__ import annotations

import collections
import collections.abc as cabc
import time
import typing as t
from urllib.parse import parse_qsl
from urllib.parse import unquote
from urllib.parse import urlsplit

import hiredis
import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from flaskware_core import ForkGuard

from .records import scanned_of

_MAX_IDLE_CONNECTIONS = 50
_SENTINEL_PORT = 26379
_CLUSTER_PORT = 6379
_MOVING = ("TTL exhausted", "TRYAGAIN", "Multiple keys request during rehashing")
_PAUSE = 0.02

Argument: t.TypeAlias = str | int | bytes

# Its stub allows for no more than one argument.
_packed: cabc.Callable[[tuple[Argument, ...]], bytes]
_packed = t.cast("t.Any", hiredis).pack_command


class Link(t.Protocol):
    """Sends one command and returns the answer."""

    def send(self, *command: Argument) -> t.Any:
        """Send a command; its error is raised."""
        ...

    def scan(self, pattern: str) -> cabc.Iterator[t.Any]:
        """Go through the names of keys, a part at a time."""
        ...

    def scan_from(
        self, cursor: str, pattern: str, count: int
    ) -> tuple[str | None, list[t.Any]]:
        """Return a part of the names of keys, and the cursor of the next, if any.

        :param cursor: Empty at first.
        """
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


class DirectLink(Link):
    """Connections of redis-py, used without the work that its client does a command.

    Each carries one command at a time, and idle connections are kept. A connection
    that is lost, or leads to a former primary, is replaced once. A late answer is not
    asked for again, so that a slow server gets no more work.
    """

    def __init__(self, client: t.Any) -> None:
        # The client is kept, as connections found by Sentinel refer to its pool.
        self._client = client
        self._idle: collections.deque[t.Any] = collections.deque()
        self._fork = ForkGuard()

    def send(self, *command: Argument) -> t.Any:
        if self._fork.in_child():
            self._leave_to_parent()
        packed = [_packed(command)]
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._exchange(self._connect(), packed)
        try:
            return self._exchange(connection, packed)
        except (exceptions.ConnectionError, exceptions.ReadOnlyError):
            # The other connections are lost too, as by a restart. A command is safe to
            # repeat: the second time it finds what the first has done.
            self.close()
            return self._exchange(self._connect(), packed)

    def scan(self, pattern: str) -> cabc.Iterator[t.Any]:
        yield from self._client.scan_iter(match=pattern, count=1000)

    def scan_from(
        self, cursor: str, pattern: str, count: int
    ) -> tuple[str | None, list[t.Any]]:
        answer = self.send("SCAN", cursor or 0, "MATCH", pattern, "COUNT", count)
        return scanned_of(answer)

    def close(self) -> None:
        if self._fork.in_child():
            self._leave_to_parent()
        while self._idle:
            self._idle.pop().disconnect()
        self._client.close()

    def _exchange(self, connection: t.Any, packed: list[bytes]) -> t.Any:
        try:
            connection.send_packed_command(packed, check_health=False)
            answer = connection.read_response()
        except exceptions.ReadOnlyError:
            connection.disconnect()
            raise
        except exceptions.ResponseError as error:
            # Before Redis 7 what a script met stands inside the script's own error.
            if "-READONLY" in str(error):
                connection.disconnect()
                raise exceptions.ReadOnlyError(str(error)) from None
            self._keep(connection)
            raise
        except BaseException:
            connection.disconnect()
            raise
        self._keep(connection)
        return answer

    def _keep(self, connection: t.Any) -> None:
        if len(self._idle) < _MAX_IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            connection.disconnect()

    def _connect(self) -> t.Any:
        pool = self._client.connection_pool
        connection = pool.connection_class(**pool.connection_kwargs)
        connection.connect()
        return connection

    def _leave_to_parent(self) -> None:
        # Closing what the child of a fork inherited would say goodbye for the parent.
        inherited, self._idle = self._idle, collections.deque()
        self._fork.leave(inherited)


class ClientLink(Link):
    """Somebody's client: of a cluster, of another library, or made by the app.

    :param client: An object with ``execute_command``, ``scan_iter`` and ``close``.
    :param timeout: How long to wait for a slot that a cluster is moving, in seconds.
    """

    def __init__(self, client: t.Any, timeout: float) -> None:
        self._client = client
        self._timeout = timeout

    def send(self, *command: Argument) -> t.Any:
        deadline: float | None = None
        while True:
            try:
                return self._client.execute_command(*command)
            except Exception as error:
                # Some keys of the command are on one node, and some on another, and
                # redis-py has given up after half a second.
                if not str(error).startswith(_MOVING):
                    raise
                deadline = deadline or time.monotonic() + self._timeout
                if time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE)

    def scan(self, pattern: str) -> cabc.Iterator[t.Any]:
        yield from self._client.scan_iter(match=pattern, count=1000)

    def scan_from(
        self, cursor: str, pattern: str, count: int
    ) -> tuple[str | None, list[t.Any]]:
        # Only a client of a cluster has nodes, each with a cursor of its own.
        primaries = getattr(self._client, "get_primaries", None)
        if primaries is None:
            answer = self.send("SCAN", cursor or 0, "MATCH", pattern, "COUNT", count)
            return scanned_of(answer)
        nodes = sorted(primaries(), key=lambda node: str(node.name))
        number, _, place = (cursor or "0:0").partition(":")
        if int(number) >= len(nodes):
            return None, []
        cursors, names = self._client.scan(
            int(place), match=pattern, count=count, target_nodes=nodes[int(number)]
        )
        [place_after] = cursors.values()
        if place_after:
            return f"{number}:{place_after}", names
        following = int(number) + 1
        return (f"{following}:0" if following < len(nodes) else None), names

    def close(self) -> None:
        self._client.close()


def connect(url: str, *, timeout: float) -> Link:
    """Make a link to what a URL names; nothing is connected yet.

    :param timeout: How long to wait for a connection, and for an answer, in seconds.
    :raises ValueError: if the URL cannot be understood.
    """
    scheme, _, rest = url.partition("://")
    kind, _, topology = scheme.replace("valkey", "redis", 1).partition("+")
    options: dict[str, t.Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
    }
    if topology == "sentinel":
        return DirectLink(_by_sentinel(url, kind, options))
    if topology == "cluster":
        return ClientLink(_cluster(url, kind, options), timeout)
    return DirectLink(redis.Redis.from_url(f"{kind}://{rest}", **options))


def _by_sentinel(url: str, kind: str, options: dict[str, t.Any]) -> t.Any:
    from redis.sentinel import Sentinel

    hosts, username, password, path, query = _several_hosts(url, _SENTINEL_PORT)
    name, _, number = path.partition("/")
    if not name:
        raise ValueError("no name of a primary after the hosts")
    watch = options | {
        key.removeprefix("sentinel_"): query.pop(key)
        for key in ("sentinel_username", "sentinel_password")
        if key in query
    }
    if kind == "rediss":
        options = options | {"ssl": True}
    make: t.Any = Sentinel
    sentinel = make(hosts, sentinel_kwargs=watch, **query)
    return sentinel.master_for(
        name, username=username, password=password, db=int(number or 0), **options
    )


def _cluster(url: str, kind: str, options: dict[str, t.Any]) -> t.Any:
    from redis.cluster import ClusterNode
    from redis.cluster import RedisCluster

    hosts, username, password, _, query = _several_hosts(url, _CLUSTER_PORT)
    node: t.Any = ClusterNode
    nodes = [node(host, port) for host, port in hosts]
    # Connected on first use: a cluster that is down must not keep an app from starting.
    return _Later(
        lambda: RedisCluster(
            startup_nodes=nodes,
            username=username,
            password=password,
            ssl=kind == "rediss",
            **(options | {"retry": Retry(NoBackoff(), 1)}),
            **query,
        )
    )


class _Later:
    """A client that is made when it is first used."""

    def __init__(self, make: cabc.Callable[[], t.Any]) -> None:
        self._make = make
        self._client: t.Any = None

    def __getattr__(self, name: str) -> t.Any:
        if self._client is None:
            self._client = self._make()
        return getattr(self._client, name)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


def _several_hosts(
    url: str, usual_port: int
) -> tuple[list[tuple[str, int]], str | None, str | None, str, dict[str, t.Any]]:
    parts = urlsplit(url)
    login, _, places = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    hosts: list[tuple[str, int]] = []
    for place in places.split(","):
        one = urlsplit(f"//{place}")
        if not one.hostname:
            raise ValueError("a host is missing")
        hosts.append((one.hostname, one.port or usual_port))
    return (
        hosts,
        unquote(username) or None,
        unquote(password) or None,
        parts.path.strip("/"),
        dict(parse_qsl(parts.query)),
    )
