from __future__ import annotations

import collections.abc as cabc
import secrets
from pathlib import Path

import flask
import pytest

from flaskware_core import NotInitialised
from flaskware_core.testing import make_app
from flaskware_session import Sessions

Build = cabc.Callable[..., flask.Flask]


def test_two_apps_of_one_object_never_see_each_other(tmp_path: Path) -> None:
    sessions = Sessions()
    apps = []
    for name, limit in (("one", 1000), ("two", 2000)):
        app = make_app(sessions, instance_path=tmp_path / name, SESSION_MAX_BYTES=limit)
        app.add_url_rule("/in", "in", lambda: sessions.login("ann") or "ok")
        app.add_url_rule("/who", "who", lambda: {"user": sessions.user_id})
        apps.append(app)
    one, two = apps
    client = one.test_client()
    client.get("/in")
    assert client.get("/who").json == {"user": "ann"}
    cookie = client.get_cookie("session")
    assert cookie is not None
    other = two.test_client()
    other.set_cookie("session", cookie.value)
    assert other.get("/who").json == {"user": None}
    for app, count, limit in ((one, 1, 1000), (two, 0, 2000)):
        with app.app_context():
            assert len(sessions.for_user("ann")) == count
            assert sessions.settings.max_bytes == limit
            sessions.store.close()


def test_the_object_of_another_app_is_refused() -> None:
    mine, other = Sessions(store="memory://"), Sessions(store="memory://")
    app = make_app(mine)
    with (
        app.app_context(),
        pytest.raises(NotInitialised, match="another Sessions object"),
    ):
        other.for_user("ann")


def test_apps_on_one_redis_are_kept_apart_by_their_namespace(
    build: Build, redis_url: str
) -> None:
    one = build(Sessions(store=redis_url, namespace="one"))
    two = build(Sessions(store=redis_url, namespace="two"))
    client = one.test_client()
    client.get("/login/ann")
    cookie = client.get_cookie("session")
    assert cookie is not None
    other = two.test_client()
    other.set_cookie("session", cookie.value)
    assert other.get("/read").json["user"] is None
    with two.app_context():
        assert two.extensions["session"].for_user("ann") == []
        assert two.extensions["session"].revoke_user("ann") == 0
    assert client.get("/read").json["user"] == "ann"


@pytest.mark.parametrize(
    "store_url", ["sqlite", "file", "redis", "memcached", "postgresql"], indirect=True
)
def test_two_apps_that_share_a_store_share_and_revoke_nothing(
    build: Build, store_url: str
) -> None:
    mine, theirs = (
        build(
            Sessions(store=store_url),
            SESSION_NAMESPACE=f"{name}-{secrets.token_hex(8)}",
        )
        for name in ("one", "two")
    )
    client, other = mine.test_client(), theirs.test_client()
    client.get("/login/ann")
    other.get("/login/ann")
    cookie = client.get_cookie("session")
    assert cookie is not None
    stranger = theirs.test_client()
    stranger.set_cookie("session", cookie.value)
    assert stranger.get("/read").json["user"] is None
    with theirs.app_context():
        sessions = theirs.extensions["session"]
        assert len(sessions.for_user("ann")) == 1
        assert sessions.stats().sessions == 1
        assert sessions.revoke_user("ann") == 1
    assert other.get("/read").json["user"] is None
    assert client.get("/read").json["user"] == "ann"
