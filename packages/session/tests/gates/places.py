"""Stores of a gate's own: started, killed, started again, and removed.

A gate owns its Redis, memcached and PostgreSQL, so that it may kill them; MariaDB is
the server that other tests use too, with a database that is dropped afterwards.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import itertools
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from flaskware_core.testing.services import Services
from flaskware_core.testing.services import ServiceUnavailable
from flaskware_core.testing.services import temporary_database

KINDS = (
    *("memory", "sqlite", "file", "redis", "cluster", "memcached"),
    *("postgresql", "mariadb"),
)
# What tells the caller that a gate could not be run, as automake's tests do.
CANNOT_RUN = 77


class Missing(Exception):
    """A program that the gate needs is not installed."""


class Place:
    """A store's URL, and how to kill its server.

    :param restart: Kills the server and starts it again; ``None`` where there is no
        server, or killing it loses what it holds by design.
    :param disturb: Does to the server what an operator may do at any time; says
        whether there was anything to do.
    """

    def __init__(
        self,
        kind: str,
        url: str,
        restart: cabc.Callable[[], None] | None = None,
        disturb: cabc.Callable[[], object] | None = None,
    ) -> None:
        self.kind = kind
        self.url = url
        self.restart = restart
        self.disturb = disturb

    @property
    def workers(self) -> int:
        """How many processes can share the store."""
        return 1 if self.kind == "memory" else 3


class Server:
    """A process that listens on a port of its own."""

    def __init__(self, command: list[str], port: int) -> None:
        self._command = command
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for_port(self._port)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        self.kill()
        time.sleep(0.2)
        self.start()


class PostgreSQL:
    """A cluster of its own, which survives being killed."""

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
        if not found:
            raise Missing("the programs of a PostgreSQL server are not installed")
        self._bin, self._port = found[-1].parent, free_port()
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/postgres"
        # PostgreSQL refuses to run as root.
        switch = shutil.which("runuser") or "/usr/sbin/runuser"
        self._user = [switch, "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self._data = folder / "data"
        if self._user:
            shutil.chown(folder, "postgres")
        self._run("initdb", "-U", "postgres", "-A", "trust", "-N")

    def start(self) -> None:
        # The kernel survives, so that nothing need reach the disk.
        options = f"-p {self._port} -h 127.0.0.1 -k {self._data} -c fsync=off"
        log = str(self._data / "log")
        self._run("pg_ctl", "-w", "-l", log, "-o", options, "start")

    def kill(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", "-m", "immediate", "stop")

    def restart(self) -> None:
        self.kill()
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._user, str(self._bin / program), "-D", str(self._data)]
        subprocess.run(
            [*command, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )


def free_port() -> int:
    # A Redis Cluster's bus takes the port above by 10,000, which must be one too.
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            if (port := int(probe.getsockname()[1])) < 55_000:
                return port


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")


def program(name: str) -> str:
    # The wheel that stands in for a server on a laptop is built without TLS.
    folders = [one for one in os.get_exec_path() if not one.startswith(sys.prefix)]
    found = shutil.which(name, path=os.pathsep.join(folders)) or shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed")
    return found


def redis_server(folder: Path, port: int, *options: str) -> Server:
    """A Redis that acknowledges what it has written to its log."""
    folder.mkdir(exist_ok=True)
    command = [program("redis-server"), "--port", str(port), "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
    return Server([*command, *options], port)


def memcached_server(port: int, megabytes: int = 256) -> Server:
    command = [program("memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0"]
    command += ["-m", str(megabytes), "-c", "4096"]
    if os.geteuid() == 0:
        command += ["-u", "nobody"]
    return Server(command, port)


def redis_cluster(folder: Path, stack: contextlib.ExitStack) -> list[int]:
    """Start three primaries that share the slots; return their ports."""
    import redis

    ports = [free_port() for _ in range(3)]
    for port in ports:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        server = redis_server(folder / str(port), port, *options)
        stack.callback(server.kill)
        server.start()
    nodes = [f"127.0.0.1:{port}" for port in ports]
    command = [program("redis-cli"), "--cluster", "create", *nodes, "--cluster-yes"]
    subprocess.run(command, check=True, capture_output=True)
    deadline = time.monotonic() + 40
    for port in ports:
        with redis.Redis(port=port) as client:
            while client.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
                if time.monotonic() > deadline:
                    raise RuntimeError("the cluster did not become whole")
                time.sleep(0.1)
    return ports


class Mover:
    """Moves slots that are in use between the nodes of a cluster, key by key.

    Slower than ``redis-cli --cluster reshard``, so that more requests meet a slot half
    of whose keys have moved.

    :param ports: Of all primaries.
    """

    def __init__(self, ports: list[int]) -> None:
        import redis

        self._nodes: dict[int, t.Any] = {port: redis.Redis(port=port) for port in ports}
        self._ids = {
            port: str(node.execute_command("CLUSTER MYID"), "ascii")
            for port, node in self._nodes.items()
        }
        self._turns = itertools.cycle(ports)

    def move(self) -> bool:
        """Move one slot with all its keys; say whether the node had any."""
        source = next(self._turns)
        if (key := self._nodes[source].randomkey()) is None:
            return False
        with self.moving(key) as move_one:
            while move_one():
                time.sleep(0.01)
        return True

    @contextlib.contextmanager
    def moving(self, key: bytes | str) -> cabc.Generator[cabc.Callable[[], bool]]:
        """Begin to move the slot of a key, and end it with the rest of its keys.

        :return: Moves one more of its keys; says whether there was one.
        """
        slot = next(iter(self._nodes.values())).execute_command("CLUSTER KEYSLOT", key)
        count = "CLUSTER COUNTKEYSINSLOT"
        sizes = {
            port: node.execute_command(count, slot)
            for port, node in self._nodes.items()
        }
        source = max(sizes, key=sizes.__getitem__)
        node = self._nodes[source]
        target = random.choice([port for port in self._nodes if port != source])
        self._set(target, slot, "IMPORTING", self._ids[source])
        self._set(source, slot, "MIGRATING", self._ids[target])

        def move_one() -> bool:
            keys = node.execute_command("CLUSTER GETKEYSINSLOT", slot, 1)
            for found in keys:
                node.execute_command("MIGRATE", "127.0.0.1", target, found, 0, 5000)
            return bool(keys)

        yield move_one
        while move_one():
            pass
        for port in (target, source, *self._nodes):
            self._set(port, slot, "NODE", self._ids[target])

    def _set(self, port: int, slot: int, *what: str) -> None:
        self._nodes[port].execute_command("CLUSTER SETSLOT", slot, *what)


@contextlib.contextmanager
def opened(kind: str) -> cabc.Generator[Place]:
    """Start or find the store of a kind, empty, with its table where it needs one.

    :raises Missing: if it cannot be had here.
    """
    with contextlib.ExitStack() as stack:
        # Not inside pytest's folders: PostgreSQL's user cannot read those.
        folder = Path(tempfile.mkdtemp(prefix="flaskware-gate-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        place = _open(kind, folder, stack)
        if kind in {"postgresql", "mariadb"}:
            from flaskware_session import SQLAlchemyStore

            store = SQLAlchemyStore(place.url)
            store.create_table()
            store.close()
        yield place


def _open(kind: str, folder: Path, stack: contextlib.ExitStack) -> Place:
    if kind == "memory":
        return Place(kind, "memory://")
    if kind == "sqlite":
        return Place(kind, f"sqlite:///{folder}/sessions.db")
    if kind == "file":
        return Place(kind, f"file:///{folder}/sessions")
    if kind == "postgresql":
        postgresql = PostgreSQL(folder)
        stack.callback(postgresql.kill)
        postgresql.start()
        return Place(kind, postgresql.url, postgresql.restart)
    if kind == "mariadb":
        services = stack.enter_context(Services())
        try:
            service = services.get("mariadb")
        except ServiceUnavailable as error:
            raise Missing(str(error)) from None
        return Place(kind, stack.enter_context(temporary_database(service)))
    if kind == "cluster":
        ports = redis_cluster(folder, stack)
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return Place(kind, f"redis+cluster://{hosts}", disturb=Mover(ports).move)
    port = free_port()
    if kind == "memcached":
        server, restart = memcached_server(port), False
        url = f"memcached://127.0.0.1:{port}"
    else:
        server = redis_server(folder, port)
        url, restart = f"redis://127.0.0.1:{port}/0", True
    stack.callback(server.kill)
    server.start()
    return Place(kind, url, server.restart if restart else None)
