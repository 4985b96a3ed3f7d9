from __future__ import annotations

import collections.abc as cabc
import json

import flask
import pytest

from flaskware_session import Sessions
from flaskware_session.testing import FakeClock

Build = cabc.Callable[..., flask.Flask]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(build: Build, store_url: str, clock: FakeClock) -> flask.Flask:
    app = build(Sessions(store=store_url, clock=clock))
    for user_id in ("ann", "ann", "bob"):
        app.test_client().get(f"/login/{user_id}", headers={"User-Agent": "Phone"})
    app.test_client().get("/set/a/1")
    return app


def run(
    app: flask.Flask, *arguments: str, code: int = 0, answer: str | None = None
) -> str:
    runner = app.test_cli_runner()
    result = runner.invoke(args=["session", *arguments], input=answer)
    assert result.exit_code == code, result.output
    return result.output


def test_stats_counts_sessions_and_users(app: flask.Flask) -> None:
    assert run(app, "stats").startswith("4 sessions, 2 users signed in\n")
    stats = json.loads(run(app, "stats", "--json"))
    assert stats == {"sessions": 4, "users": 2, "expired": 0}


def test_list_shows_the_devices_of_a_user(app: flask.Flask) -> None:
    lines = run(app, "list", "--user", "ann").splitlines()
    assert len(lines) == 2
    assert all(line.endswith("UTC  127.0.0.1  Phone") for line in lines)
    [info] = json.loads(run(app, "list", "--user", "bob", "--json"))
    assert info["agent"] == "Phone"
    assert run(app, "list", "--user", "eve") == "eve is not signed in anywhere.\n"


def test_one_is_one_and_a_long_name_of_a_browser_is_cut_to_the_line(
    build: Build, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    app = build(Sessions(store=store_url))
    app.test_client().get("/login/ann", headers={"User-Agent": "Phone" * 40})
    assert run(app, "stats").startswith("1 session, 1 user signed in\n")
    (line,) = run(app, "list", "--user", "ann").splitlines()
    assert (len(line), line[-1]) == (80, "…")


def test_list_without_a_user_shows_everybody(app: flask.Flask) -> None:
    lines = run(app, "list").splitlines()
    assert sorted(line.split()[4] for line in lines) == ["ann", "ann", "bob"]
    infos = json.loads(run(app, "list", "--json"))
    assert sorted(info["user_id"] for info in infos) == ["ann", "ann", "bob"]


def test_revoke_everybody_asks_first_and_leaves_visitors(app: flask.Flask) -> None:
    assert "Sign out 2 users?" in run(
        app, "revoke", "--everybody", code=1, answer="n\n"
    )
    assert len(run(app, "list").splitlines()) == 3
    assert "3 ended." in run(app, "revoke", "--everybody", answer="y\n")
    assert run(app, "list") == "Nobody is signed in anywhere.\n"
    assert run(app, "list", "--json") == "[]\n"
    assert run(app, "stats").startswith("1 session, ")
    done = run(app, "revoke", "--everybody", "--yes", "--json").splitlines()[-1]
    assert json.loads(done) == {"ended": 0}


def test_revoke_wants_a_user_or_everybody(app: flask.Flask) -> None:
    assert "Name a user" in run(app, "revoke", code=2)
    assert "Name a user" in run(app, "revoke", "ann", "--everybody", code=2)


def test_revoke_ends_one_or_all(app: flask.Flask) -> None:
    handle = run(app, "list", "--user", "ann").split()[0]
    assert run(app, "revoke", "ann", handle) == "1 ended.\n"
    assert f"bob has no session {handle}" in run(app, "revoke", "bob", handle, code=1)
    assert json.loads(run(app, "revoke", "ann", "--json")) == {"ended": 1}
    assert run(app, "list", "--user", "ann") == "ann is not signed in anywhere.\n"


@pytest.mark.parametrize(
    "store_url", ["memory", "sqlite", "file", "postgresql", "mariadb"], indirect=True
)
def test_prune_removes_what_expired(app: flask.Flask, clock: FakeClock) -> None:
    clock.advance(days=32)
    assert "4 expired" in run(app, "stats")
    assert "4 removed." in run(app, "prune")
    assert "0 expired" in run(app, "stats")


def test_a_store_that_does_not_answer_is_told_without_a_traceback(
    build: Build,
) -> None:
    app = build(Sessions(store="redis://127.0.0.1:1/0"))
    output = run(app, "stats", code=1)
    assert output.startswith("Error: SESSION_STORE does not answer: ")
