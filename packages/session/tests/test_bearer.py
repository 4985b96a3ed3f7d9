from __future__ import annotations

import collections.abc as cabc

import flask
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaskware_core import current_request
from flaskware_core import request_credential
from flaskware_core.testing import make_app
from flaskware_session import NotFresh
from flaskware_session import Sessions
from flaskware_session.testing import FakeClock

Build = cabc.Callable[..., flask.Flask]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(build: Build, clock: FakeClock, store_url: str) -> flask.Flask:
    return api(build, clock, store_url)


def api(
    build: Build, clock: FakeClock, store_url: str = "memory://", **config: object
) -> flask.Flask:
    sessions = Sessions(store=store_url, clock=clock)
    app = build(sessions, SESSION_BEARER=True, **config)

    @app.post("/token/<user_id>")
    def issue(user_id: str) -> dict[str, str]:
        return {"token": sessions.issue_token(user_id, label="Laptop")}

    @app.get("/credential")
    def credential() -> list[str | None]:
        return [request_credential(current_request())]

    @app.get("/pay")
    @sessions.require_fresh(minutes=10, factor="mfa")
    def pay() -> str:
        return "paid"

    return app


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def issue(app: flask.Flask, user_id: str = "ann") -> str:
    response = app.test_client().post(f"/token/{user_id}")
    assert "Set-Cookie" not in response.headers
    token: str = response.json["token"]
    return token


def user(app: flask.Flask, token: str) -> object:
    return app.test_client().get("/read", headers=bearer(token)).json["user"]


def test_a_client_is_signed_in_by_its_token_and_never_gets_a_cookie(
    app: flask.Flask,
) -> None:
    token, client = issue(app), app.test_client()
    for path in ("/read", "/set/a/1", "/regenerate", "/login/ann", "/logout"):
        response = client.get(path, headers=bearer(token))
        assert response.status_code == 200
        assert "Set-Cookie" not in response.headers
        assert response.headers["Cache-Control"] == "no-store"
        token = response.headers.get("Session-Token", token)
    assert user(app, token) is None


def test_a_renewal_comes_in_a_header_and_a_lost_one_signs_nobody_out(
    build: Build, clock: FakeClock
) -> None:
    app = api(build, clock, SESSION_RENEWAL_TIMEOUT=3600, SESSION_IDLE_TIMEOUT=9000)
    token = issue(app)
    clock.advance(minutes=61)
    client = app.test_client()
    first = client.get("/read", headers=bearer(token))
    assert first.headers["Session-Token"] != token
    # The answer was lost: the client goes on with what it has.
    clock.advance(minutes=61)
    again = client.get("/read", headers=bearer(token))
    assert again.json["user"] == "ann"
    newer = again.headers["Session-Token"]
    assert client.get("/read", headers=bearer(newer)).json["user"] == "ann"
    clock.advance(minutes=2)
    assert user(app, token) is None
    assert user(app, newer) == "ann"


def test_of_a_token_and_a_cookie_only_the_token_counts(app: flask.Flask) -> None:
    browser, token = app.test_client(), issue(app)
    browser.get("/login/bob")
    assert browser.get("/read").json["user"] == "bob"
    assert browser.get("/read", headers=bearer(token)).json["user"] == "ann"
    for nonsense in ("x", "", "x" * 77, f"{token}x"):
        response = browser.get("/read", headers=bearer(nonsense))
        assert response.json["user"] is None, nonsense
        assert "Set-Cookie" not in response.headers
    assert browser.get("/read").json["user"] == "bob"


def test_a_session_of_a_client_is_listed_with_its_label_and_revoked(
    app: flask.Flask,
) -> None:
    sessions: Sessions = app.extensions["session"]
    token, other = issue(app), issue(app)
    with app.app_context():
        found = sessions.for_user("ann")
        assert [info.label for info in found] == ["Laptop", "Laptop"]
        assert sessions.revoke(found[0].handle, user_id="ann")
    assert sorted(map(str, (user(app, token), user(app, other)))) == ["None", "ann"]
    with app.app_context():
        assert sessions.revoke_user("ann") == 1
    assert (user(app, token), user(app, other)) == (None, None)


def test_to_issue_a_token_leaves_the_session_of_the_request_alone(
    app: flask.Flask,
) -> None:
    browser = app.test_client()
    browser.get("/login/bob")
    before = browser.get_cookie("session")
    browser.post("/token/ann")
    assert browser.get_cookie("session") == before
    assert browser.get("/read").json["user"] == "bob"


def test_without_the_setting_a_token_opens_nothing(build: Build) -> None:
    sessions = Sessions(store="memory://")
    app = build(sessions)
    client = app.test_client()
    client.get("/login/ann")
    cookie = client.get_cookie("session")
    assert cookie is not None
    assert user(app, cookie.value) is None
    assert client.get("/read", headers=bearer("x")).json["user"] == "ann"
    with (
        app.test_request_context(),
        pytest.raises(RuntimeError, match="SESSION_BEARER = True"),
    ):
        sessions.issue_token("ann")


def test_extensions_learn_what_signs_a_request_in(build: Build) -> None:
    app = api(build, FakeClock())
    client = app.test_client()
    assert client.get("/credential").json == [None]
    assert client.get("/credential", headers=bearer("x")).json == ["header"]
    client.get("/login/ann")
    assert client.get("/credential").json == ["cookie"]
    assert client.get("/credential", headers=bearer("x")).json == ["header"]
    basic = {"Authorization": "Basic eDp5"}
    assert client.get("/credential", headers=basic).json == ["cookie"]


def test_a_client_is_challenged_for_the_factor_that_is_missing(build: Build) -> None:
    app = api(build, FakeClock())
    client = app.test_client()
    challenge = client.get("/pay", headers=bearer(issue(app)))
    assert challenge.status_code == 401
    parsed = challenge.www_authenticate
    assert parsed.type == "bearer"
    assert parsed.parameters == {
        "error": "insufficient_user_authentication",
        "acr_values": "mfa",
        "max_age": "600",
    }
    assert "WWW-Authenticate" not in client.get("/pay").headers
    assert NotFresh("mfa", 10).www_authenticate is None


def test_a_page_varies_by_both_credentials(build: Build) -> None:
    response = api(build, FakeClock()).test_client().get("/read")
    assert response.headers["Vary"] == "Authorization, Cookie"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=120))
def test_no_header_is_an_error_or_signs_anybody_in(value: str) -> None:
    sessions = Sessions(store="memory://", bearer=True)
    app = make_app(sessions)
    app.add_url_rule("/", "user", lambda: [sessions.user_id])
    response = app.test_client().get("/", headers={"Authorization": value})
    assert (response.status_code, response.json) == (200, [None])


@pytest.mark.parametrize("user_id", [None, "", 1.5])
def test_what_is_no_user_id_gets_no_token(user_id: object) -> None:
    sessions = Sessions(store="memory://", bearer=True)
    with make_app(sessions).app_context(), pytest.raises(TypeError, match="issue_tok"):
        sessions.issue_token(user_id)  # type: ignore[arg-type]
