from __future__ import annotations

import asyncio
import contextlib
import pickle
import socket
import threading

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc
from sqlalchemy.engine import make_url

from flaskware_sqlalchemy import DatabaseUnavailable
from flaskware_sqlalchemy import SQLAlchemy


class Gate:
    """A server that passes connections on to another, until it is closed."""

    def __init__(self, url: str) -> None:
        target = make_url(url)
        self._target = (target.host or "127.0.0.1", target.port or 5432)
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = target.set(host="127.0.0.1", port=self.port)
        self._serve(self._listener)

    def _serve(self, listener: socket.socket) -> None:
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=_pass, args=pair, daemon=True).start()

    def close(self) -> None:
        for one in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._serve(self._listener)


def _pass(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for one in (source, target):
        one.close()


@pytest.fixture(params=["psycopg", "psycopg2", "pymysql"])
def gated(request, make_site):
    name = "mariadb" if request.param == "pymysql" else "postgresql"
    url = request.getfixturevalue(f"{name}_url")
    if name == "mariadb":
        parsed = make_url(url)
        url = parsed.set(port=parsed.port or 3306).render_as_string(False)
    gate = Gate(url)
    text = gate.url.render_as_string(hide_password=False)
    text = text.replace("+psycopg:", f"+{request.param}:")
    site = make_site(text, text)
    site.app.testing = False

    @site.app.get("/")
    def read():
        return ",".join(
            site.db.session.scalars(sa.select(site.User.name).order_by(site.User.id))
        )

    @site.app.post("/<name>")
    def write(name):
        site.db.session.add(site.User(name=name))
        site.db.session.commit()
        return name

    yield site, gate
    gate.close()


def test_a_database_that_is_away_is_a_503_and_one_line_in_the_log(gated, caplog):
    site, gate = gated
    client = site.app.test_client()
    assert client.post("/before").status_code == 200
    gate.close()
    for number in range(1, 10):
        caplog.clear()
        response = client.get("/")
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "5"
        assert "127.0.0.1" not in response.text
        (record,) = caplog.records
        assert record.exc_info is None
        assert (record.name, "\n" in record.getMessage()) == (
            "flaskware.sqlalchemy",
            False,
        ), number
    assert "in a row" in record.getMessage()  # it is not asked each time
    gate.open()
    for _ in range(100):
        if client.get("/").status_code == 200:
            break
        threading.Event().wait(0.1)
    assert client.post("/after").status_code == 200
    assert client.get("/").text == "before,after"
    assert set(site.in_use().values()) == {0}


def test_a_connection_that_is_lost_in_a_request_is_a_503(pg_site, caplog):
    @pg_site.app.get("/")
    def view():
        session = pg_site.db.session
        pid = session.scalar(sa.text("select pg_backend_pid()"))
        with pg_site.db.engines["audit"].begin() as connection:
            connection.execute(sa.text(f"select pg_terminate_backend({pid})"))
        session.execute(sa.select(pg_site.User))

    pg_site.app.testing = False
    assert pg_site.app.test_client().get("/").status_code == 503
    assert [record.name for record in caplog.records] == ["flaskware.sqlalchemy"]
    assert pg_site.in_use() == {None: 0, "audit": 0}


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_coroutines_get_the_same_error(make_site, postgresql_url, driver):
    gate = Gate(postgresql_url)
    url = gate.url.render_as_string(hide_password=False)
    site = make_site(url, url, SQLALCHEMY_ASYNC_DRIVERS={"postgresql": driver})
    gate.close()
    site.app.testing = False

    @site.app.get("/")
    async def view():
        await site.db.async_session.scalars(sa.select(site.User))

    response = site.app.test_client().get("/")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")

    async def main():
        async with site.db.async_session_scope(site.app) as session:
            with pytest.raises(DatabaseUnavailable):
                await session.execute(sa.text("select 1"))

    asyncio.run(main())


def nowhere(url="postgresql+psycopg://nobody@127.0.0.1:1/x"):
    from flaskware_core.testing import make_app

    db = SQLAlchemy()
    return db, make_app(db, SQLALCHEMY_DATABASE_URI=url)


def test_the_error_is_that_of_sqlalchemy_too():
    db, app = nowhere()
    for kind in (sa_exc.OperationalError, sa_exc.InterfaceError, DatabaseUnavailable):
        with app.app_context(), pytest.raises(kind, match="refused") as info:
            db.session.execute(sa.text("select 1"))
    assert info.value.code == 503
    copy = pickle.loads(pickle.dumps(info.value))
    assert (copy.reason, copy.code) == (info.value.reason, 503)


def test_a_handler_of_the_app_decides():
    db, app = nowhere()

    @app.errorhandler(sa_exc.OperationalError)
    def away(error):
        return type(error).__name__, 200

    @app.get("/")
    def view():
        db.session.execute(sa.text("select 1"))

    assert app.test_client().get("/").text == "DatabaseUnavailable"


def test_a_wrong_database_is_no_outage(postgresql_url):
    url = make_url(postgresql_url).set(database="not-there")
    db, app = nowhere(url.render_as_string(hide_password=False))
    with app.app_context(), pytest.raises(sa_exc.OperationalError) as info:
        db.session.execute(sa.text("select 1"))
    assert not isinstance(info.value, DatabaseUnavailable)


def arguments_of(engine):
    seen = {}

    def note(_dialect, _record, _args, kwargs):
        seen.update(kwargs)

    event.listen(engine, "do_connect", note)
    with contextlib.suppress(DatabaseUnavailable), engine.connect():
        pass
    return seen


def test_a_connection_is_waited_for_a_few_seconds_only(make_site):
    url = "postgresql+psycopg://nobody@127.0.0.1:1/x"
    site = make_site(SQLALCHEMY_REPLICAS={"audit": [url, f"{url}?connect_timeout=9"]})
    first, second = site.db.state_of(site.app).router.replicas["audit"].engines
    assert arguments_of(first)["connect_timeout"] == 3
    assert arguments_of(second)["connect_timeout"] == "9"
    db, app = nowhere("mysql+pymysql://nobody@127.0.0.1:1/x")
    with app.app_context():
        assert arguments_of(db.engine)["connect_timeout"] == 3


def test_a_host_that_is_gone_is_noticed(pg_site):
    with pg_site.app.app_context(), pg_site.db.engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, psycopg.Connection)
        with socket.socket(fileno=raw.fileno()) as handle:
            level, option = socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT
            milliseconds = handle.getsockopt(level, option)
            handle.detach()
        assert milliseconds == 30_000


def test_a_server_that_accepts_and_is_silent_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        db, app = nowhere(
            f"postgresql+psycopg://x@127.0.0.1:{port}/x?connect_timeout=2"
        )
        with app.app_context(), pytest.raises(DatabaseUnavailable, match="timeout"):
            db.session.execute(sa.text("select 1"))
