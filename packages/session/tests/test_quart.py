"""Sessions in Quart's own way: coroutines, websockets, and the server's end."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import functools
import typing as t
from pathlib import Path

import pydantic
import pytest
import quart
from quart.testing.connections import WebsocketDisconnectError

from flaskware_core import DeclarationError
from flaskware_core import WouldBlock
from flaskware_core.testing import make_app
from flaskware_session import async_session
from flaskware_session import AsyncRedisStore
from flaskware_session import AsyncSessions
from flaskware_session import MemoryStore
from flaskware_session import SessionReadOnly
from flaskware_session import Sessions
from flaskware_session import StoreUnavailable
from flaskware_session._stores.sealed import plain_store
from flaskware_session.testing import CountingStore
from flaskware_session.testing import FakeClock

P = t.ParamSpec("P")
T = t.TypeVar("T")


def in_loop(
    test: cabc.Callable[P, cabc.Coroutine[t.Any, t.Any, T]],
) -> cabc.Callable[P, T]:
    """Run a test that is a coroutine."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return asyncio.run(test(*args, **kwargs))

    return run


def site(
    sessions: AsyncSessions, tmp_path: Path | None = None, **config: object
) -> quart.Quart:
    """An app with views that are coroutines."""
    path = None if tmp_path is None else str(tmp_path)
    app = quart.Quart("site", instance_path=path)
    app.config.update(TESTING=True, SECRET_KEY="k3y-0f-a-test:0123456789abcdef-XYZ")
    app.config.update(config)
    sessions.init_app(app)

    @app.get("/untouched")
    async def untouched() -> str:
        return "ok"

    @app.get("/read")
    async def read() -> dict[str, object]:
        return {"data": dict(async_session), "user": sessions.user_id}

    @app.get("/set/<key>/<value>")
    async def set_key(key: str, value: str) -> str:
        async_session[key] = value
        return "ok"

    @app.get("/save")
    async def save() -> str:
        async_session["saved"] = True
        await async_session.save()
        return "ok"

    @app.get("/login/<user_id>")
    async def login(user_id: str) -> str:
        sessions.login(user_id)
        return "ok"

    @app.get("/logout")
    async def logout() -> str:
        await sessions.logout()
        return "ok"

    @app.websocket("/ws")
    async def websocket() -> None:
        await quart.websocket.send_json(
            {"data": dict(async_session), "user": sessions.user_id}
        )
        while True:
            await quart.websocket.send(await quart.websocket.receive())

    return app


async def get(client: t.Any, path: str) -> t.Any:
    response = await client.get(path)
    assert response.status_code == 200, path
    return await response.get_json() or await response.get_data(as_text=True)


def test_a_session_is_kept_in_every_store(store_url: str, tmp_path: Path) -> None:
    @in_loop
    async def run() -> None:
        sessions = AsyncSessions(store=store_url)
        async with site(sessions, tmp_path).test_app() as running:
            client = running.test_client()
            await get(client, "/set/a/1")
            await get(client, "/save")
            assert await get(client, "/read") == {
                "data": {"a": "1", "saved": True}, "user": None
            }  # fmt: skip
            await get(client, "/login/ann")
            assert (await get(client, "/read"))["user"] == "ann"
            await get(client, "/logout")
            assert await get(client, "/read") == {"data": {}, "user": None}

    run()


@in_loop
async def test_an_asynchronous_store_is_asked_in_the_loop_of_the_server(
    redis_url: str,
) -> None:
    loops: set[asyncio.AbstractEventLoop] = set()

    class Noting(AsyncRedisStore):
        async def read(self, key: str, now: int, interval: int) -> t.Any:
            loops.add(asyncio.get_running_loop())
            return await super().read(key, now, interval)

    app = site(AsyncSessions(store=Noting(redis_url)))
    async with app.test_app() as running:
        client = running.test_client()
        await get(client, "/set/a/1")
        await get(client, "/read")
    assert loops == {asyncio.get_running_loop()}


@in_loop
async def test_a_request_without_an_id_and_a_static_file_ask_nothing(
    tmp_path: Path,
) -> None:
    store = CountingStore(MemoryStore())
    app = site(AsyncSessions(store=store))
    pages = quart.Blueprint(
        "pages", __name__, static_folder=str(tmp_path), static_url_path="/static"
    )
    app.register_blueprint(pages, url_prefix="/pages")
    (tmp_path / "a.css").write_text("a {}")
    client = app.test_client()
    await get(client, "/untouched")
    assert store.trips == []
    await get(client, "/set/a/1")
    store.trips.clear()
    await get(client, "/pages/static/a.css")
    assert store.trips == []
    response = await client.get("/untouched")
    assert store.trips == ["read"]
    # What no view used, no cache needs to know of.
    assert "Vary" not in response.headers
    assert "Cache-Control" not in response.headers


@in_loop
async def test_an_explicit_load_reads_once() -> None:
    store = CountingStore(MemoryStore())
    sessions = AsyncSessions(store=store)
    app = site(sessions, SESSION_LOAD="explicit")

    @app.get("/load")
    async def load() -> dict[str, object]:
        await sessions.load()
        session = await sessions.load()
        return dict(session)

    @app.get("/put")
    async def put() -> str:
        (await sessions.load())["a"] = 1
        return "ok"

    @app.get("/not-loaded")
    async def not_loaded() -> str:
        with pytest.raises(WouldBlock, match=r"await sessions\.load\(\)"):
            async_session.get("a")
        return "ok"

    client = app.test_client()
    await get(client, "/put")
    await get(client, "/untouched")
    assert store.trips == ["create"]
    assert await get(client, "/load") == {"a": 1}
    assert store.trips == ["create", "read", "update"]
    await get(client, "/not-loaded")


@in_loop
async def test_devices_are_listed_and_ended_awaited() -> None:
    sessions = AsyncSessions(store="memory://", bearer=True)
    app = site(sessions)

    @app.get("/devices")
    async def devices() -> list[bool]:
        user_id = sessions.user_id or ""
        return [info.is_current for info in await sessions.for_user(user_id)]

    @app.get("/others")
    async def others() -> dict[str, int]:
        return {"ended": await sessions.revoke_user("ann")}

    @app.get("/this")
    async def this() -> dict[str, bool]:
        [info] = await sessions.for_user("ann")
        return {"ended": await sessions.revoke(info.handle)}

    @app.get("/token")
    async def token() -> dict[str, str]:
        return {"token": await sessions.issue_token("bob")}

    tabs = [app.test_client() for _ in range(3)]
    for tab in tabs:
        await get(tab, "/login/ann")
    assert sorted(await get(tabs[0], "/devices")) == [False, False, True]
    assert await get(tabs[0], "/others") == {"ended": 2}
    assert [(await get(tab, "/read"))["user"] for tab in tabs] == ["ann", None, None]
    assert await get(tabs[0], "/this") == {"ended": True}
    assert (await get(tabs[0], "/read"))["user"] is None
    issued = (await get(tabs[0], "/token"))["token"]
    headers = {"Authorization": f"Bearer {issued}"}
    answer = await tabs[1].get("/read", headers=headers)
    assert (await answer.get_json())["user"] == "bob"
    async with app.app_context():
        assert (await sessions.stats()).sessions == 1
        listed = [
            info.user_id async for part in sessions.for_everybody() for info in part
        ]
        assert listed == ["bob"]
        assert await sessions.prune() == 0
        assert await sessions.create_table() is False
        assert await sessions.revoke_everybody() == 1
        with pytest.raises(RuntimeError, match="outside of a request"):
            await sessions.logout()


@in_loop
async def test_an_outage_is_raised_where_the_session_is_used() -> None:
    app = site(AsyncSessions(store="redis://127.0.0.1:1/0"))
    client = app.test_client()
    client.set_cookie("localhost", "session", "v" * 77)
    await get(client, "/untouched")

    @app.errorhandler(StoreUnavailable)
    async def busy(error: StoreUnavailable) -> tuple[str, int]:
        return "We are busy", 503

    response = await client.get("/set/a/1")
    assert response.status_code == 503
    assert await response.get_data(as_text=True) == "We are busy"
    assert "Set-Cookie" not in response.headers


@in_loop
async def test_a_call_that_waits_is_refused_in_a_coroutine() -> None:
    sessions = Sessions(store="memory://")
    app = quart.Quart("sync")
    sessions.init_app(app)

    @app.get("/refused")
    async def refused() -> list[str]:
        told: list[str] = []
        for call in (sessions.logout, sessions.stats, quart.session.save):  # type: ignore[attr-defined]
            with pytest.raises(WouldBlock) as caught:
                call()
            told.append(str(caught.value))
        return told

    @app.get("/in-a-thread")
    def in_a_thread() -> str:
        sessions.login("ann")
        quart.session.save()  # type: ignore[attr-defined]
        sessions.logout()
        return str(sessions.stats().sessions)

    client = app.test_client()
    logout, stats, save = await get(client, "/refused")
    assert "await sessions.logout()` of an `AsyncSessions" in logout
    assert "sessions.stats()" in stats
    assert "await session.save()" in save
    assert await get(client, "/in-a-thread") == "0"


def test_coroutines_are_for_quart_alone() -> None:
    app = make_app(framework="flask")
    with pytest.raises(DeclarationError, match=r"Write `Sessions\(app\)`"):
        AsyncSessions(app, store="memory://")


@in_loop
async def test_what_the_store_holds_is_encrypted_for_coroutines_too(
    redis_url: str,
) -> None:
    sessions = AsyncSessions(store=redis_url, encryption_keys=("A" * 43,))
    app = site(sessions)
    async with app.test_app() as running:
        client = running.test_client()
        await get(client, "/login/ann")
        await get(client, "/set/a/secret-text")
        assert (await get(client, "/read"))["data"] == {"a": "secret-text"}
        async with app.app_context():
            manager = sessions.state_of(app).manager
            [record] = plain_store(manager.store).for_user("ann", manager.now())
            assert "secret-text" not in record.data
            [info] = await sessions.for_user("ann")
            assert info.user_id == "ann"


def test_commands_look_at_the_sessions_of_an_app_of_quart() -> None:
    app = site(AsyncSessions(store="memory://"))

    @in_loop
    async def use() -> None:
        await get(app.test_client(), "/login/ann")

    use()
    runner = app.test_cli_runner()
    assert (
        "1 session, 1 user signed in" in runner.invoke(args=["session", "stats"]).output
    )
    assert runner.invoke(args=["session", "revoke", "ann"]).output == "1 ended.\n"


# Websockets


@in_loop
async def test_a_websocket_reads_the_session_of_its_page() -> None:
    app = site(AsyncSessions(store="memory://"))
    client = app.test_client()
    await get(client, "/login/ann")
    await get(client, "/set/a/1")
    async with client.websocket("/ws") as websocket:
        assert await websocket.receive_json() == {"data": {"a": "1"}, "user": "ann"}


_CHANGES: dict[str, cabc.Callable[[AsyncSessions, t.Any], object]] = {
    "set": lambda _, session: session.__setitem__("b", 1),
    "delete": lambda _, session: session.__delitem__("cart"),
    "nested": lambda _, session: session["cart"].append(1),
    "deep": lambda _, session: session["cart"][0].update(c=1),
    "pop": lambda _, session: session.pop("cart"),
    "setdefault": lambda _, session: session.setdefault("b", []),
    "update": lambda _, session: session.update(b=1),
    "clear": lambda _, session: session.clear(),
    "increment": lambda _, session: session.increment("n"),
    "modified": lambda _, session: setattr(session, "modified", True),
    "permanent": lambda _, session: setattr(session, "permanent", True),
    "expiry": lambda _, session: session.set_expiry(60),
    "login": lambda sessions, _: sessions.login("bob"),
    "regenerate": lambda sessions, _: sessions.regenerate(),
    "device": lambda sessions, _: sessions.set_device(label="x"),
    "factor": lambda sessions, _: sessions.confirm_factor("mfa"),
}


@pytest.mark.parametrize("load", ["endpoint", "explicit"])
@pytest.mark.parametrize("name", [*_CHANGES, "save"])
def test_a_websocket_that_changes_the_session_is_told(name: str, load: str) -> None:
    store = CountingStore(MemoryStore())
    sessions = AsyncSessions(store=store)
    app = site(sessions, SESSION_LOAD=load)

    @app.get("/start")
    async def start() -> str:
        await sessions.load()
        sessions.login("ann")
        async_session["cart"] = [{}]
        return "ok"

    @app.websocket("/change")
    async def change() -> None:
        session = t.cast("t.Any", async_session)
        with pytest.raises(SessionReadOnly, match="Change it in a view"):
            await session.save() if name == "save" else _CHANGES[name](
                sessions, session
            )
        await quart.websocket.send(str(dict(session)))

    @in_loop
    async def run() -> None:
        client = app.test_client()
        await get(client, "/start")
        store.trips.clear()
        async with client.websocket("/change") as websocket:
            assert await websocket.receive() == "{'cart': [{}]}"
        assert store.trips == ["read"]

    run()


class Basket(pydantic.BaseModel):
    note: str = ""


@in_loop
async def test_a_changed_model_of_a_websocket_is_told_at_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sessions = AsyncSessions(store="memory://")
    app = site(sessions, PROPAGATE_EXCEPTIONS=False)

    @app.websocket("/model")
    async def model() -> None:
        sessions.typed(Basket).note = "x"
        await quart.websocket.send("changed")

    client = app.test_client()
    await get(client, "/set/a/1")
    async with client.websocket("/model") as websocket:
        assert await websocket.receive() == "changed"
        with pytest.raises(WebsocketDisconnectError):
            await websocket.receive()
    assert "SessionReadOnly" in caplog.text


@pytest.mark.parametrize(
    "end",
    ["logout", "elsewhere", "revoked", "sign-in", "expiry"],
)
def test_the_end_of_a_session_closes_its_websocket(end: str) -> None:
    clock = FakeClock()
    store = CountingStore(MemoryStore())
    sessions = AsyncSessions(store=store, clock=clock, idle_timeout=60)
    app = site(sessions, SESSION_WEBSOCKET_INTERVAL=0.01)

    @app.get("/revoke")
    async def revoke() -> dict[str, int]:
        return {"ended": await sessions.revoke_user("ann")}

    @app.websocket("/leave")
    async def leave() -> None:
        await sessions.logout()
        assert not async_session
        await quart.websocket.receive()

    @in_loop
    async def run() -> None:
        client, other = app.test_client(), app.test_client()
        await get(client, "/login/ann")
        path = "/leave" if end == "logout" else "/ws"
        async with client.websocket(path) as websocket:
            if end != "logout":
                await websocket.receive_json()
                await websocket.send("still there")
                # Renewal and use are no end.
                store.trips.clear()
                while store.trips.count("read") < 3:
                    await asyncio.sleep(0.01)
                assert await websocket.receive() == "still there"
            if end == "elsewhere":
                await get(client, "/logout")
            elif end == "revoked":
                await get(other, "/revoke")
            elif end == "sign-in":
                await get(client, "/login/bob")
            elif end == "expiry":
                clock.advance(minutes=2)
            with pytest.raises(WebsocketDisconnectError) as caught:
                await asyncio.wait_for(websocket.receive(), 30)
            assert caught.value.args[0] == 1008

    run()


def test_watching_is_no_use_of_the_session() -> None:
    clock, store = FakeClock(), CountingStore(MemoryStore())
    sessions = AsyncSessions(store=store, clock=clock, idle_timeout=3600)
    app = site(sessions, SESSION_WEBSOCKET_INTERVAL=0.01)

    @in_loop
    async def run() -> None:
        client = app.test_client()
        await get(client, "/login/ann")
        async with client.websocket("/ws") as websocket:
            await websocket.receive_json()
            clock.advance(minutes=30)
            store.trips.clear()
            while store.trips.count("read") < 2:
                await asyncio.sleep(0.01)
            async with app.app_context():
                [info] = await sessions.for_user("ann")
            assert info.last_seen.timestamp() < clock() - 60

    run()


@in_loop
async def test_an_outage_closes_no_websocket() -> None:
    class Failing(MemoryStore):
        is_down = False
        asked = 0

        def read(self, key: str, now: int, interval: int) -> t.Any:
            if self.is_down:
                self.asked += 1
                raise StoreUnavailable("down")
            return super().read(key, now, interval)

    store = Failing()
    app = site(AsyncSessions(store=store), SESSION_WEBSOCKET_INTERVAL=0.01)
    client = app.test_client()
    await get(client, "/login/ann")
    async with client.websocket("/ws") as websocket:
        await websocket.receive_json()
        store.is_down = True
        while not store.asked:
            await asyncio.sleep(0.01)
        await websocket.send("still there")
        assert await websocket.receive() == "still there"
