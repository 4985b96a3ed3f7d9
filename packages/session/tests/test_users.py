from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import datetime as dt

import flask
import flask.testing
import pytest

from flaskware_session import SessionInfo
from flaskware_session import Sessions
from flaskware_session.testing import FakeClock

from .conftest import flash
from .conftest import session

Build = cabc.Callable[..., flask.Flask]


@dc.dataclass
class Site:
    app: flask.Flask
    sessions: Sessions
    clock: FakeClock

    def device(self, user_id: str, agent: str = "Browser") -> flask.testing.FlaskClient:
        client = self.app.test_client()
        client.get(f"/login/{user_id}", headers={"User-Agent": agent})
        return client

    def infos(self, user_id: str) -> list[SessionInfo]:
        with self.app.app_context():
            return self.sessions.for_user(user_id)


@pytest.fixture
def site(build: Build, store_url: str) -> Site:
    clock = FakeClock()
    sessions = Sessions(store=store_url, clock=clock)
    app = build(sessions)

    @app.get("/devices")
    def devices() -> list[SessionInfo]:
        return sessions.for_user(sessions.user_id or "")

    @app.get("/revoke/<handle>")
    def revoke(handle: str) -> list[bool]:
        return [sessions.revoke(handle)]

    @app.get("/everywhere/<int:keep>")
    def everywhere(keep: int) -> list[int]:
        assert sessions.user_id is not None
        return [sessions.revoke_user(sessions.user_id, keep_current=bool(keep))]

    return Site(app, sessions, clock)


def user(client: flask.testing.FlaskClient) -> object:
    return client.get("/read").json["user"]


def cookie(client: flask.testing.FlaskClient) -> str:
    found = client.get_cookie("session")
    assert found is not None
    return found.value


def test_login_gives_a_new_id_and_keeps_the_content(site: Site) -> None:
    client = site.app.test_client()
    client.get("/set/cart/1")
    before = cookie(client)
    client.get("/login/ann")
    assert cookie(client) != before
    answer = client.get("/read").json
    assert answer == {"data": {"cart": "1"}, "user": "ann", "new": False}
    old = site.app.test_client()
    old.set_cookie("session", before)
    assert old.get("/read").json["data"] == {}


def test_the_user_is_known_within_the_request_of_the_login(site: Site) -> None:
    @site.app.get("/now")
    def now() -> list[object]:
        before = site.sessions.user_id
        site.sessions.login(7)
        return [before, site.sessions.user_id]

    assert site.app.test_client().get("/now").json == [None, "7"]


def test_another_user_starts_without_the_content_of_the_first(site: Site) -> None:
    client = site.device("ann")
    client.get("/set/secret/1")
    client.get("/login/bob")
    assert client.get("/read").json == {"data": {}, "user": "bob", "new": False}
    assert site.infos("ann") == []


def test_the_same_user_again_keeps_the_content_and_one_session(site: Site) -> None:
    client = site.device("ann")
    client.get("/set/cart/1")
    before = cookie(client)
    client.get("/login/ann")
    assert cookie(client) != before
    assert client.get("/read").json["data"] == {"cart": "1"}
    assert len(site.infos("ann")) == 1


@pytest.mark.parametrize("end", ["/logout", "/clear"])
def test_after_logout_nobody_is_signed_in_and_the_old_id_is_dead(
    site: Site, end: str
) -> None:
    client = site.device("ann")
    old = cookie(client)
    assert client.get(end).headers["Set-Cookie"].startswith("session=;")
    assert user(client) is None
    client.set_cookie("session", old)
    assert user(client) is None
    assert site.infos("ann") == []


def test_what_is_set_after_logout_starts_a_new_session(site: Site) -> None:
    @site.app.get("/bye")
    def bye() -> str:
        site.sessions.logout()
        flash("Bye")
        return "ok"

    client = site.device("ann")
    old = cookie(client)
    client.get("/bye")
    assert cookie(client) != old
    answer = client.get("/read").json
    assert (list(answer["data"]), answer["user"]) == (["_flashes"], None)


def test_the_idiom_of_clearing_before_signing_in_gives_a_new_id(site: Site) -> None:
    @site.app.get("/classic")
    def classic() -> str:
        session.clear()
        session["user_id"] = 7
        return "ok"

    client = site.app.test_client()
    client.get("/set/a/1")
    old = cookie(client)
    client.get("/classic")
    assert cookie(client) != old
    assert client.get("/read").json["data"] == {"user_id": 7}
    client.set_cookie("session", old)
    assert client.get("/read").json["data"] == {}


def test_a_new_id_keeps_content_user_and_age(site: Site) -> None:
    client = site.device("ann")
    client.get("/set/cart/1")
    old, [before] = cookie(client), site.infos("ann")
    site.clock.advance(minutes=5)
    client.get("/regenerate")
    [after] = site.infos("ann")
    assert cookie(client) != old
    answer = client.get("/read").json
    assert answer == {"data": {"cart": "1"}, "user": "ann", "new": False}
    assert after.handle == before.handle
    assert after.created == before.created
    site.clock.advance(seconds=11)
    client.set_cookie("session", old)
    assert user(client) is None


def test_a_user_sees_their_devices(site: Site) -> None:
    phone = site.device("ann", "Phone")
    site.clock.advance(minutes=10)
    site.device("ann", "Laptop" + "!" * 1000)
    site.device("bob")
    start = dt.datetime.fromtimestamp(site.clock() - 600, tz=dt.UTC)
    laptop, mobile = site.infos("ann")
    assert mobile.agent == "Phone"
    assert laptop.agent == ("Laptop" + "!" * 1000)[:256]
    assert mobile.address == "127.0.0.1"
    assert abs(mobile.created - start) < dt.timedelta(seconds=1)
    assert laptop.last_seen - mobile.last_seen == dt.timedelta(minutes=10)
    site.clock.advance(minutes=2)
    listed = phone.get("/devices").json
    assert [one["is_current"] for one in listed] == [True, False]
    assert [one["handle"] for one in listed] == [mobile.handle, laptop.handle]


def test_revoking_ends_that_device_at_once(site: Site) -> None:
    phone, laptop = site.device("ann", "Phone"), site.device("ann", "Laptop")
    handles = {info.agent: info.handle for info in site.infos("ann")}
    assert phone.get(f"/revoke/{handles['Laptop']}").json == [True]
    assert user(laptop) is None
    assert user(phone) == "ann"
    assert phone.get(f"/revoke/{handles['Laptop']}").json == [False]


def test_the_session_of_somebody_else_cannot_be_revoked(site: Site) -> None:
    ann, bob = site.device("ann"), site.device("bob")
    [info] = site.infos("ann")
    assert bob.get(f"/revoke/{info.handle}").json == [False]
    assert user(ann) == "ann"
    with site.app.app_context():
        assert not site.sessions.revoke(info.handle, user_id="bob")
        assert site.sessions.revoke(info.handle, user_id="ann")
    assert user(ann) is None


def test_revoking_without_a_user_is_an_error(site: Site) -> None:
    [info] = [site.device("ann")] and site.infos("ann")
    with pytest.raises(PermissionError, match="No user is signed in"):
        site.app.test_client().get(f"/revoke/{info.handle}")


def test_revoking_the_current_session_is_a_logout(site: Site) -> None:
    client = site.device("ann")
    [info] = site.infos("ann")
    response = client.get(f"/revoke/{info.handle}")
    assert response.headers["Set-Cookie"].startswith("session=;")
    assert user(client) is None


@pytest.mark.parametrize(("keep", "count"), [(1, 2), (0, 3)])
def test_a_user_can_be_signed_out_everywhere(site: Site, keep: int, count: int) -> None:
    here, *others = (site.device("ann") for _ in range(3))
    bob = site.device("bob")
    assert here.get(f"/everywhere/{keep}").json == [count]
    assert [user(other) for other in others] == [None, None]
    assert user(here) == ("ann" if keep else None)
    assert user(bob) == "bob"


def test_an_administrator_signs_a_user_out_without_a_request(site: Site) -> None:
    client = site.device("ann")
    with site.app.app_context():
        assert site.sessions.revoke_user("ann") == 1
    assert user(client) is None


@pytest.mark.parametrize("user_id", [None, "", 1.5, b"ann"])
def test_what_is_no_user_id_is_refused(site: Site, user_id: object) -> None:
    with site.app.test_request_context(), pytest.raises(TypeError, match="login"):
        site.sessions.login(user_id)  # type: ignore[arg-type]


def test_everybody_is_listed_and_ended_but_for_this_session(site: Site) -> None:
    @site.app.get("/everybody/<int:keep>")
    def everybody(keep: int) -> dict[str, object]:
        found = [info for infos in site.sessions.for_everybody() for info in infos]
        steps: list[int] = []
        ended = site.sessions.revoke_everybody(
            keep_current=bool(keep), progress=steps.append
        )
        assert sum(steps) == ended - (not keep)
        return {
            "users": sorted(info.user_id for info in found),
            "here": [info.user_id for info in found if info.is_current],
            "ended": ended,
        }

    visitor = site.app.test_client()
    visitor.get("/set/cart/1")
    admin, *others = (site.device(name) for name in ("bob", "bob", "ann", "eve"))
    answer = admin.get("/everybody/1").json
    assert answer == {
        "users": ["ann", "bob", "bob", "eve"],
        "here": ["bob"],
        "ended": 3,
    }
    assert [user(other) for other in others] == [None] * 3
    assert user(admin) == "bob"
    assert visitor.get("/read").json["data"] == {"cart": "1"}
    assert admin.get("/everybody/0").json["ended"] == 1
    assert user(admin) is None
