from __future__ import annotations

import datetime as dt
import re
import sys
import typing as t

import flask
import pytest

from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_session import MemoryStore
from flaskware_session import Sessions
from flaskware_session import SessionSettings


def problem(**config: object) -> str:
    with pytest.raises(ConfigError) as caught:
        make_app(Sessions(), **config)
    assert len(caught.value.problems) == 1
    return str(caught.value.problems[0])


def test_flask_s_own_keys_are_left_alone() -> None:
    app = flask.Flask("x")
    assert "SESSION_REFRESH_EACH_REQUEST" in app.config
    assert SessionSettings.from_config(app.config).store == "sqlite:///sessions.db"


@pytest.mark.parametrize("key", sorted(SessionSettings.replaced))
def test_each_key_of_flask_session_is_told_what_to_write(key: str) -> None:
    text = problem(**{key: "x"})
    assert text.startswith(f"  {key}\n")
    assert SessionSettings.replaced[key] in text


def test_the_usual_key_of_flask_session_has_a_usable_answer() -> None:
    assert problem(SESSION_TYPE="redis") == (
        "  SESSION_TYPE\n"
        "    expected  nothing: the key has no effect here\n"
        '    write     SESSION_STORE = "redis://localhost:6379/0", and'
        ' SESSION_MOVE_FROM = ["flask-session+redis://localhost:6379/0"] to take over'
        " what is stored"
    )


def test_a_misspelled_key_is_told_the_right_one() -> None:
    text = problem(SESSION_IDLE_TIMOUT=60)
    assert "did you mean SESSION_IDLE_TIMEOUT?" in text


@pytest.mark.parametrize(
    "url",
    ["redis:/x", "postgres://u:hunter2@h/d", "sqlite://", "sqlite:///", "hunter2", ""],
)
def test_a_store_that_is_not_known_is_refused_without_printing_it(url: str) -> None:
    text = problem(SESSION_STORE=url)
    assert "SESSION_STORE" in text
    assert "SESSION_STORE = 'redis://localhost:6379/0'" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("path", ["abc", "0/abc", "-1", "1x"])
def test_a_database_of_redis_that_is_no_number_is_refused(path: str) -> None:
    text = problem(SESSION_STORE=f"redis://:hunter2@127.0.0.1:6379/{path}")
    assert "the number of a database after the host" in text
    assert "hunter2" not in text


def test_an_object_that_is_no_store_is_refused() -> None:
    assert "instance of Store" in problem(SESSION_STORE=object())


def test_an_object_with_the_methods_is_a_store() -> None:
    store = MemoryStore()
    sessions = Sessions(store=store)
    app = make_app(sessions)
    assert sessions.state_of(app).manager.store is store


def test_a_redis_url_that_is_wrong_is_refused_without_its_password() -> None:
    text = problem(SESSION_STORE="redis://:hunter2@localhost:port/0")
    assert "a URL as redis-py takes it" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("url", "module", "words"),
    [
        ("redis://localhost", "redis", "pip install 'flaskware-session[redis]'"),
        (
            "memcached://localhost",
            "pymemcache",
            "pip install 'flaskware-session[memcached]'",
        ),
        (
            "postgresql://localhost/x",
            "sqlalchemy",
            "pip install 'flaskware-session[sqlalchemy]'",
        ),
        ("mysql+pymysql://localhost/x", "pymysql", "pip install pymysql"),
    ],
)
def test_a_missing_driver_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, url: str, module: str, words: str
) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == module or name.startswith(
            ("flaskware_session._stores.redis", "flaskware_session._stores.sql")
        ):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert words in problem(SESSION_STORE=url)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"SESSION_IDLE_TIMEOUT": 0}, ["SESSION_IDLE_TIMEOUT", "greater than"]),
        ({"SESSION_TOUCH_INTERVAL": "soon"}, ["SESSION_TOUCH_INTERVAL", "'soon'"]),
        ({"SESSION_ON_OUTAGE": "ignore"}, ["'503' or 'anonymous'", "'ignore'"]),
        ({"SESSION_COOKIE_POLICY": "lax"}, ["'auto', 'secure' or 'plain'"]),
        (
            {"SESSION_COOKIE_SAMESITE": "lax"},
            ["SESSION_COOKIE_SAMESITE", "'Lax', 'Strict' or 'None'", "'lax'"],
        ),
        (
            {"SESSION_COOKIE_NAME": "__Host-id", "SESSION_COOKIE_DOMAIN": "x.example"},
            ["SESSION_COOKIE_NAME", "without __Host-"],
        ),
        (
            {"SESSION_COOKIE_POLICY": "plain", "SESSION_COOKIE_SECURE": True},
            ["SESSION_COOKIE_POLICY", 'write     SESSION_COOKIE_POLICY = "secure"'],
        ),
        (
            {"SESSION_IDLE_TIMEOUT": 7200, "SESSION_ABSOLUTE_TIMEOUT": 3600},
            [
                "SESSION_IDLE_TIMEOUT and SESSION_ABSOLUTE_TIMEOUT",
                "2:00:00 and 1:00:00",
                "SESSION_ABSOLUTE_TIMEOUT = 7200",
            ],
        ),
        (
            {"PERMANENT_SESSION_LIFETIME": dt.timedelta(days=365)},
            ["PERMANENT_SESSION_LIFETIME and SESSION_ABSOLUTE_TIMEOUT"],
        ),
    ],
)
def test_what_cannot_work_is_told_with_what_to_write(
    config: dict[str, t.Any], words: list[str]
) -> None:
    text = problem(**config)
    for word in words:
        assert word in text


def test_the_idle_timeout_is_flask_s_lifetime_unless_set() -> None:
    def idle(**config: object) -> int:
        sessions = Sessions(store="memory://")
        return sessions.state_of(make_app(sessions, **config)).manager.lifetime.idle

    assert idle() == 31 * 86400 * 1000
    assert idle(PERMANENT_SESSION_LIFETIME=60) == 60_000
    assert idle(PERMANENT_SESSION_LIFETIME=60, SESSION_IDLE_TIMEOUT=90) == 90_000


def test_the_url_of_the_store_is_not_in_the_representation() -> None:
    settings = SessionSettings(store="redis://:hunter2@localhost")
    assert "hunter2" not in repr(settings)


def test_each_setting_says_what_it_means_and_shows_an_example() -> None:
    for name, field in SessionSettings.model_fields.items():
        assert re.search(r"\.$", field.description or ""), name
        assert field.examples, name
