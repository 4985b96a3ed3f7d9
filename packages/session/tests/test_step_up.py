from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import json
import pickle

import flask
import pytest

from flaskware_core.testing import make_app
from flaskware_session import NotFresh
from flaskware_session import Sessions
from flaskware_session.testing import FakeClock

from .conftest import session

Build = cabc.Callable[..., flask.Flask]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(build: Build, clock: FakeClock, store_url: str) -> flask.Flask:
    sessions = Sessions(store=store_url, clock=clock)
    app = build(sessions)

    @app.get("/pay")
    @sessions.require_fresh(minutes=60)
    @sessions.require_fresh(minutes=10, factor="mfa")
    def pay() -> str:
        return "paid"

    @app.get("/confirm/<factor>")
    def confirm(factor: str) -> str:
        sessions.confirm_factor(factor)
        return "ok"

    @app.get("/factors")
    def factors() -> list[str]:
        return sorted(sessions.factors)

    @app.get("/device/<label>")
    def device(label: str) -> str:
        sessions.set_device(label=label, version=2, beta=True)
        return "ok"

    @app.errorhandler(NotFresh)
    def ask(error: NotFresh) -> tuple[str, int]:
        return f"{error.factor} {error.minutes:g}", 401

    return app


def sessions_of(app: flask.Flask) -> Sessions:
    sessions: Sessions = app.extensions["session"]
    return sessions


def test_each_factor_is_asked_for_when_its_own_time_is_over(
    app: flask.Flask, clock: FakeClock
) -> None:
    client = app.test_client()
    assert client.get("/pay").text == "sign-in 60"
    client.get("/login/ann")
    assert client.get("/pay").text == "mfa 10"
    client.get("/confirm/mfa")
    assert client.get("/pay").text == "paid"
    assert client.get("/factors").json == ["mfa", "sign-in"]
    clock.advance(minutes=10, seconds=1)
    assert client.get("/pay").text == "mfa 10"
    clock.advance(minutes=50)
    client.get("/confirm/mfa")
    assert client.get("/pay").text == "sign-in 60"
    client.get("/confirm/sign-in")
    assert client.get("/pay").text == "paid"


def test_a_factor_gives_a_new_id_and_the_first_use_ends_the_old_after_the_grace(
    app: flask.Flask, clock: FakeClock
) -> None:
    client = app.test_client()
    client.get("/login/ann")
    before = client.get_cookie("session")
    client.get("/confirm/mfa")
    after = client.get_cookie("session")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    assert client.get("/pay").text == "paid"
    clock.advance(minutes=2)
    old = app.test_client()
    old.set_cookie("session", before.value)
    assert old.get("/factors").json == []


def test_the_factors_of_one_user_never_count_for_another(app: flask.Flask) -> None:
    client = app.test_client()
    client.get("/login/ann")
    client.get("/confirm/mfa")
    client.get("/login/bob")
    assert client.get("/factors").json == ["sign-in"]
    client.get("/logout")
    assert client.get("/factors").json == []


def test_two_factors_confirmed_at_once_both_count(app: flask.Flask) -> None:
    client = app.test_client()
    client.get("/login/ann")
    cookie = client.get_cookie("session")
    assert cookie is not None

    def confirm(factor: str) -> flask.Response:
        other = app.test_client()
        other.set_cookie("session", cookie.value)
        return other.get(f"/confirm/{factor}")

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        done = list(pool.map(confirm, ["a", "b", "c", "d"]))
    assert {response.status_code for response in done} == {200}
    [info] = infos(app)
    assert sorted(info.factors) == ["a", "b", "c", "d", "sign-in"]


def test_nobody_confirms_anything_without_being_signed_in(app: flask.Flask) -> None:
    with pytest.raises(PermissionError, match="No user is signed in"):
        app.test_client().get("/confirm/mfa")


@pytest.mark.parametrize("name", ["", "MFA", "a b", "x" * 41, "_", "é"])
def test_the_name_of_a_factor_is_short_and_plain(name: str) -> None:
    sessions = Sessions(store="memory://")
    app = make_app(sessions)
    with pytest.raises(ValueError, match="cannot name a factor"):
        sessions.require_fresh(minutes=1, factor=name)
    with app.test_request_context(), pytest.raises(ValueError, match="cannot name"):
        sessions.confirm_factor(name)


def infos(app: flask.Flask) -> list[object]:
    with app.app_context():
        return list(sessions_of(app).for_user("ann"))


def test_the_label_and_data_of_a_device_are_listed_until_it_signs_out(
    app: flask.Flask,
) -> None:
    client, other = app.test_client(), app.test_client()
    client.get("/login/ann")
    other.get("/login/ann")
    client.get("/device/Work")
    client.get("/confirm/mfa")
    found = {info.label: info for info in infos(app)}
    assert sorted(found) == ["", "Work"]
    assert found["Work"].data == {"version": 2, "beta": True}
    assert found[""].data == {}
    assert set(found["Work"].factors) == {"sign-in", "mfa"}
    result = app.test_cli_runner().invoke(
        args=["session", "list", "--user", "ann", "--json"]
    )
    assert "Work" in [row["label"] for row in json.loads(result.output)]
    client.get("/login/ann")
    assert sorted(info.label for info in infos(app)) == ["", "Work"]
    client.get("/logout")
    assert [info.label for info in infos(app)] == [""]


def test_the_data_of_a_device_is_small_and_simple() -> None:
    sessions = Sessions(store="memory://")
    app = make_app(sessions)
    with app.test_request_context():
        sessions.set_device(label="x", a=1, b="y")
        sessions.set_device(a=None)
        assert session["_device"] == {"label": "x", "b": "y"}
        sessions.set_device(label="")
        assert session["_device"] == {"b": "y"}
        with pytest.raises(ValueError, match="longer than 100"):
            sessions.set_device(label="x" * 101)
        with pytest.raises(ValueError, match="at most 16"):
            sessions.set_device(**{f"n{n}": n for n in range(17)})
        with pytest.raises(TypeError, match="is a list"):
            sessions.set_device(a=[])  # type: ignore[arg-type]


def test_what_an_app_put_under_the_same_keys_is_no_error() -> None:
    sessions = Sessions(store="memory://")
    app = make_app(sessions)

    @app.get("/")
    def odd() -> list[object]:
        sessions.login("ann")
        session["_device"] = ["x"]
        session["_factor:mfa"] = True
        return [sorted(sessions.factors), sessions.is_fresh(minutes=1, factor="mfa")]

    assert app.test_client().get("/").json == [["sign-in"], False]
    with app.app_context():
        [info] = sessions.for_user("ann")
    assert (info.label, info.data, list(info.factors)) == ("", {}, ["sign-in"])


def test_the_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(NotFresh("mfa", 5)))
    assert (error.factor, error.minutes, error.code) == ("mfa", 5, 401)
