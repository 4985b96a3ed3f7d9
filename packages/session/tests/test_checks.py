from __future__ import annotations

import flask_login
import pytest
import redis

from flaskware_core import examine
from flaskware_core.testing import make_app
from flaskware_session import MemoryStore
from flaskware_session import Sessions

CHOSEN = {"SESSION_IDLE_TIMEOUT": 86400, "SESSION_ABSOLUTE_TIMEOUT": 86400}


def found(*, deploy: bool = True, **config: object) -> set[str]:
    if "SESSION_PRESET" not in config:
        config = CHOSEN | config
    app = make_app(Sessions(), **config)
    report = examine(app, deploy=deploy)
    # No server is behind the addresses that are written here.
    ids = {f.id for f in report.findings if f.id.startswith("session.")}
    return ids - {"session.unreachable"}


@pytest.mark.parametrize(
    ("config", "ids"),
    [
        ({}, set()),
        ({"SESSION_STORE": "memory://"}, {"session.memory-store"}),
        ({"SESSION_STORE": MemoryStore()}, {"session.memory-store"}),
        ({"SESSION_STORE": "redis://localhost/0"}, set()),
        ({"SESSION_STORE": "redis://127.0.0.2/0"}, set()),
        ({"SESSION_STORE": "rediss://cache.example/0"}, set()),
        ({"SESSION_STORE": "redis://cache.example/0"}, {"session.store-clear"}),
        (
            {"SESSION_STORE": "redis+sentinel://a.example,b.example/m"},
            {"session.store-clear"},
        ),
        (
            {"SESSION_STORE": "postgresql+psycopg://db.example/x"},
            {"session.store-clear"},
        ),
        ({"SESSION_STORE": "postgresql+psycopg://db.example/x?sslmode=require"}, set()),
        ({"SESSION_STORE": "postgresql+psycopg:///x"}, set()),
        (
            {"SESSION_STORE": "memcached://cache.example"},
            {"session.store-clear", "session.store-forgets"},
        ),
        ({"SESSION_PRESET": "owasp"}, set()),
        (
            {"SESSION_PRESET": "owasp", "SESSION_IDLE_TIMEOUT": 3600},
            {"session.lifetime-preset"},
        ),
        ({"SESSION_COOKIE_POLICY": "plain"}, {"session.cookie-plain"}),
        ({"SESSION_COOKIE_HTTPONLY": False}, {"session.cookie-httponly"}),
        ({"SESSION_COOKIE_DOMAIN": "x.example"}, {"session.cookie-prefix"}),
        ({"SESSION_ABSOLUTE_TIMEOUT": 86400 * 365}, {"session.lifetime-long"}),
    ],
)
def test_what_is_risky_when_deployed_is_found(
    config: dict[str, object], ids: set[str]
) -> None:
    assert found(**config) == ids


@pytest.mark.parametrize(
    ("config", "is_found"),
    [
        ({}, True),
        ({"SESSION_IDLE_TIMEOUT": 1800}, True),
        ({"PERMANENT_SESSION_LIFETIME": 1800}, True),
        (
            {"PERMANENT_SESSION_LIFETIME": 1800, "SESSION_ABSOLUTE_TIMEOUT": 28800},
            False,
        ),
        ({"PERMANENT_SESSION_LIFETIME": 1801, "SESSION_ABSOLUTE_TIMEOUT": 28800}, True),
        ({"SESSION_PRESET": "owasp"}, False),
        (CHOSEN, False),
    ],
)
def test_timeouts_that_nobody_has_chosen_are_those_of_owasp_or_found(
    config: dict[str, object], is_found: bool
) -> None:
    app = make_app(Sessions(), **config)
    for deploy, wanted in ((True, is_found), (False, False)):
        ids = {finding.id for finding in examine(app, deploy=deploy).findings}
        assert ("session.lifetime-default" in ids) is wanted


@pytest.mark.parametrize("is_secure", [True, False])
def test_a_remember_cookie_that_goes_over_plain_http_is_found(is_secure: bool) -> None:
    app = make_app(Sessions(), REMEMBER_COOKIE_SECURE=is_secure, **CHOSEN)
    flask_login.LoginManager(app)
    ids = {finding.id for finding in examine(app, deploy=True).findings}
    assert ("session.remember-cookie" in ids) is not is_secure


def test_while_developing_the_memory_store_is_fine() -> None:
    assert found(deploy=False, SESSION_STORE="memory://") == set()


@pytest.mark.parametrize(
    ("changes", "ids"),
    [
        ({"save": "60 1"}, {"session.redis-restores"}),
        ({"save": ""}, set()),
        ({"save": "60 1", "appendonly": "yes"}, set()),
    ],
)
def test_a_redis_whose_crash_undoes_a_revocation_is_found(
    own_redis: str, changes: dict[str, str], ids: set[str]
) -> None:
    with redis.Redis.from_url(own_redis) as client:
        for name, value in changes.items():
            client.config_set(name, value)
    assert found(SESSION_STORE=own_redis) == ids


@pytest.mark.parametrize(
    ("own_redis", "ids"),
    [("noeviction", set()), ("volatile-lru", {"session.redis-evicts"})],
    indirect=["own_redis"],
)
def test_a_redis_that_drops_sessions_is_found(own_redis: str, ids: set[str]) -> None:
    assert found(SESSION_STORE=own_redis) == ids
