from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import decimal
import typing as t

import flask
import flask.testing
import pydantic
import pytest

from flaskware_core import current_request
from flaskware_session import MemoryStore
from flaskware_session import SessionMismatch
from flaskware_session import Sessions
from flaskware_session.testing import CountingStore

from .conftest import session

Build = cabc.Callable[..., flask.Flask]


class Visit(t.TypedDict, total=False):
    count: int
    theme: str


class Line(pydantic.BaseModel):
    name: str
    price: decimal.Decimal = decimal.Decimal("9.90")
    day: dt.date = dt.date(2024, 5, 6)


class Basket(pydantic.BaseModel):
    lines: list[Line] = []
    note: str = ""


def run(
    build: Build, *works: cabc.Callable[[Sessions], object], store: t.Any = None
) -> list[object]:
    """Each work in a request of its own, of one visitor."""
    sessions = Sessions(store=store or MemoryStore())
    app = build(sessions)
    results: list[object] = []
    for number, work in enumerate(works):

        def view(work: cabc.Callable[[Sessions], object] = work) -> str:
            results.append(work(sessions))
            return "ok"

        app.add_url_rule(f"/{number}", str(number), view)
    client = app.test_client()
    for number in range(len(works)):
        assert client.get(f"/{number}").status_code == 200
    return results


def test_a_typed_dict_is_the_session_itself(build: Build) -> None:
    def write(sessions: Sessions) -> None:
        visit = sessions.typed(Visit)
        visit["count"] = visit.get("count", 0) + 1
        assert session["count"] == visit["count"]

    def read(sessions: Sessions) -> object:
        return sessions.typed(Visit)["count"]

    assert run(build, write, write, read)[-1] == 2


def test_a_change_inside_a_model_is_stored(build: Build) -> None:
    def write(sessions: Sessions) -> None:
        basket = sessions.typed(Basket)
        basket.lines.append(Line(name="pear"))
        assert sessions.typed(Basket) is basket

    def change(sessions: Sessions) -> None:
        sessions.typed(Basket).lines[0].name = "plum"

    def read(sessions: Sessions) -> object:
        return sessions.typed(Basket)

    found = run(build, write, change, read)[-1]
    assert found == Basket(lines=[Line(name="plum")])


def test_looking_at_a_model_stores_nothing(build: Build) -> None:
    store = CountingStore(MemoryStore())
    run(build, lambda sessions: sessions.typed(Basket).note, store=store)
    assert store.trips == []


def test_a_model_that_is_read_is_not_written_again(build: Build) -> None:
    store = CountingStore(MemoryStore())

    def write(sessions: Sessions) -> None:
        sessions.typed(Basket).lines = [Line(name="pear")]

    run(build, write, lambda s: s.typed(Basket).lines[0].name, store=store)
    assert store.trips == ["create", "read", "update"]


@pytest.mark.parametrize("schema", [Visit, Basket])
def test_what_does_not_fit_is_not_stored(build: Build, schema: t.Any) -> None:
    def write(sessions: Sessions) -> None:
        if schema is Visit:
            t.cast("t.Any", sessions.typed(Visit))["theme"] = 7
        else:
            t.cast("t.Any", sessions.typed(Basket)).note = 7
        t.cast("t.Any", session).save()

    with pytest.raises(SessionMismatch, match=r"session\['(theme|note)'\]"):
        run(build, write)


def test_a_model_never_writes_over_what_it_did_not_change(build: Build) -> None:
    sessions = Sessions(store=MemoryStore())
    app = build(sessions)
    client = app.test_client()

    @app.get("/slow")
    def slow() -> str:
        basket = sessions.typed(Basket)
        basket.lines.append(Line(name="plum"))
        tab = app.test_client()
        tab.set_cookie("session", current_request().cookies["session"])
        assert tab.get("/other").status_code == 200
        session.save()
        assert sessions.typed(Basket) is basket
        assert (basket.note, basket.lines[1].name) == ("theirs", "plum")
        basket.lines.append(Line(name="fig"))
        session["note"] = "mine"
        return "ok"

    @app.get("/other")
    def other() -> str:
        sessions.typed(Basket).note = "theirs"
        session["kept"] = 1
        return "ok"

    @app.get("/begin")
    def begin() -> str:
        sessions.typed(Basket).lines = [Line(name="pear")]
        return "ok"

    @app.get("/see")
    def see() -> dict[str, object]:
        names = [line.name for line in sessions.typed(Basket).lines]
        return {
            "names": names,
            "note": session["note"],
            "kept": "kept" in session,
        }

    client.get("/begin")
    assert client.get("/slow").status_code == 200
    seen = client.get("/see").json
    assert seen == {"names": ["pear", "plum", "fig"], "note": "mine", "kept": 1}


def test_what_an_earlier_version_stored_is_dropped_where_it_does_not_fit(
    build: Build,
) -> None:
    def write(sessions: Sessions) -> None:
        session.update(lines="none", note="kept", count="many", other=1)

    def read(sessions: Sessions) -> object:
        return sessions.typed(Basket), dict(sessions.typed(Visit))

    found = run(build, write, read)[-1]
    assert found == (Basket(note="kept"), {"note": "kept", "other": 1})


def test_an_emptied_session_is_not_filled_again_by_a_model(build: Build) -> None:
    def write(sessions: Sessions) -> None:
        sessions.typed(Basket).note = "secret"

    def leave(sessions: Sessions) -> None:
        sessions.typed(Basket).note = "changed"
        sessions.logout()

    def read(sessions: Sessions) -> object:
        return dict(session)

    assert run(build, write, leave, read)[-1] == {}


def test_another_kind_of_type_is_refused(build: Build) -> None:
    with pytest.raises(TypeError, match="a TypedDict or a Pydantic model, not int"):
        run(build, lambda sessions: sessions.typed(int))
