"""What is Quart's own: the event loop of an app, its websockets, its tasks."""

from __future__ import annotations

import asyncio

import pytest
import quart
import sqlalchemy as sa

from flaskware_core import WouldBlock
from flaskware_core.testing import make_app
from flaskware_sqlalchemy import SQLAlchemy


@pytest.fixture
def quart_site(make_site):
    return make_site(framework="quart")


CALLS = {
    "db.session": lambda db: db.session.execute(sa.text("select 1")),
    "db.get_session('other')": lambda db: db.get_session("other"),
    "db.session_scope()": lambda db: db.session_scope().__enter__(),
    "db.create_all()": lambda db: db.create_all(),
    "db.drop_all()": lambda db: db.drop_all(),
    "db.reflect()": lambda db: db.reflect(),
    "db.session ": lambda db: db.transaction().__enter__(),
    "db.session  ": lambda db: db.get_or_404(object, 1),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_waits_is_refused_in_a_coroutine(quart_site, name):
    @quart_site.app.get("/")
    async def view():
        CALLS[name](quart_site.db)

    with pytest.raises(WouldBlock) as caught:
        quart_site.app.test_client().get("/")
    assert str(caught.value).startswith(f"{name.strip()} waits")
    assert "async_" in str(caught.value)


def test_a_session_of_a_thread_is_refused_in_the_coroutine_after_it(quart_site):
    @quart_site.app.before_request
    def use():
        quart_site.db.session.add(quart_site.User(name="ada"))
        quart_site.db.session.commit()

    @quart_site.app.get("/")
    async def view():
        return str(quart_site.db.session.get(quart_site.User, 1))

    with pytest.raises(WouldBlock):
        quart_site.app.test_client().get("/")
    assert quart_site.names() == ["ada"]
    assert quart_site.in_use() == {None: 0, "audit": 0}


def test_sessions_end_with_the_request_in_threads_and_in_the_loop(quart_site):
    db, user = quart_site.db, quart_site.User

    @quart_site.app.get("/sync")
    def sync_view():
        db.session.add(user(name="lost"))
        db.session.flush()
        return str(quart_site.in_use()[None])

    @quart_site.app.get("/async")
    async def async_view():
        db.async_session.add(user(name="lost"))
        await db.async_session.flush()
        return "1"

    client = quart_site.app.test_client()
    for path in ("/sync", "/async", "/sync"):
        assert client.get(path).text == "1"
        assert quart_site.in_use() == {None: 0, "audit": 0}
    assert quart_site.names() == []


def test_many_requests_in_one_loop_have_sessions_of_their_own(quart_site):
    db, user = quart_site.db, quart_site.User
    seen = set()

    @quart_site.app.get("/<name>")
    async def view(name):
        session = db.async_session
        seen.add(id(session))
        session.add(user(name=name))
        await asyncio.sleep(0.01)
        assert db.async_session is session
        await session.commit()
        return name

    async def main():
        client = quart.Quart.test_client(quart_site.app)
        answers = await asyncio.gather(*(client.get(f"/{n}") for n in range(20)))
        return [answer.status_code for answer in answers]

    assert quart_site.app.run_blocking(main()) == [200] * 20
    assert len(seen) == len(quart_site.names()) == 20


def test_a_websocket_and_a_background_task_have_sessions(quart_site):
    db, user = quart_site.db, quart_site.User

    async def write(name):
        db.async_session.add(user(name=name))
        await db.async_session.commit()

    @quart_site.app.websocket("/talk")
    async def talk():
        name = await quart.websocket.receive()
        async with db.async_session_scope() as session:
            session.add(user(name=name))
            await session.commit()
        await write(f"{name}'s")
        quart_site.app.add_background_task(write, "task")
        await quart.websocket.send("kept")

    async def main():
        client = quart.Quart.test_client(quart_site.app)
        async with client.websocket("/talk") as socket:
            await socket.send("ada")
            answer = await socket.receive()
        await asyncio.gather(*quart_site.app.background_tasks)
        return answer

    assert quart_site.app.run_blocking(main()) == "kept"
    assert quart_site.names() == ["ada", "ada's", "task"]
    assert quart_site.in_use() == {None: 0, "audit": 0}


@pytest.mark.parametrize("status", [200, 303, 400, 500])
def test_what_succeeds_is_committed(make_site, status):
    site = make_site(framework="quart", SQLALCHEMY_COMMIT_ON_SUCCESS=True)

    @site.app.get("/async")
    async def async_view():
        site.db.async_session.add(site.User(name="async"))
        return "", status

    @site.app.get("/sync")
    def sync_view():
        site.db.session.add(site.User(name="sync"))
        return "", status

    client = site.app.test_client()
    assert client.get("/async").status_code == status
    assert client.get("/sync").status_code == status
    assert site.names() == (["async", "sync"] if status < 400 else [])


def test_a_commit_that_fails_is_for_the_handlers_of_the_app(make_site):
    site = make_site(framework="quart", SQLALCHEMY_COMMIT_ON_SUCCESS=True)

    @site.app.errorhandler(sa.exc.IntegrityError)
    async def taken(error):
        return "taken", 409

    @site.app.get("/")
    async def view():
        site.db.async_session.add(site.User(name="ada"))
        return "kept"

    client = site.app.test_client()
    answers = [client.get("/") for _ in range(2)]
    assert [(a.status_code, a.text) for a in answers] == [(200, "kept"), (409, "taken")]
    assert site.names() == ["ada"]


def test_a_module_of_flask_imports_no_quart():
    import subprocess
    import sys

    code = (
        "import sys, flask, flaskware_sqlalchemy\n"
        "app = flask.Flask('x'); app.config['SQLALCHEMY_DATABASE_URI'] = 'sqlite://'\n"
        "db = flaskware_sqlalchemy.SQLAlchemy(app)\n"
        "app.add_url_rule('/', 'x', lambda: str(db.session.execute(db.select(1))))\n"
        "app.test_client().get('/')\n"
        "print('quart' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_one_object_serves_an_app_of_each_framework(tmp_path):
    db = SQLAlchemy(database_uri="sqlite:///app.db")
    apps = [
        make_app(db, framework=name, instance_path=tmp_path / name)
        for name in ("flask", "quart")
    ]
    for app in apps:
        app.add_url_rule("/", view_func=lambda: db.engine.url.database)
    answers = [app.test_client().get("/").text for app in apps]
    assert ["flask" in answers[0], "quart" in answers[1]] == [True, True]
