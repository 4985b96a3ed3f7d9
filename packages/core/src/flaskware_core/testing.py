"""Fixtures and helpers for the tests of apps that use Flaskware.

Installing ``flaskware-core`` makes this a pytest plugin: nothing is to be imported.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import threading
import typing as t
from pathlib import Path

import flask
import pytest
from flask.sansio.app import App
from werkzeug.serving import make_server

from ._extension import Extension
from ._extension import installed_on
from ._services import Service
from ._services import ServiceName
from ._services import Services
from ._services import ServiceUnavailable
from ._services import temporary_database
from ._services import temporary_redis

__all__ = [
    "isolation",
    "make_app",
    "mariadb_url",
    "memcached_url",
    "postgresql_url",
    "redis_url",
    "Service",
    "Services",
    "ServiceUnavailable",
    "serving",
    "temporary_database",
    "temporary_redis",
]

_SERVICES = pytest.StashKey[Services]()
_USED = pytest.StashKey[set[str]]()


def make_app(
    *extensions: Extension[t.Any, t.Any],
    instance_path: Path | str | None = None,
    **config: t.Any,
) -> flask.Flask:
    """Make a Flask app for a test, with a strong key and the given extensions.

    :param instance_path: The instance folder; give ``tmp_path`` where files are
        written.
    :param config: Config keys as they are written in ``app.config``.
    """
    app = flask.Flask(
        "flaskware_test", instance_path=str(instance_path) if instance_path else None
    )
    app.config.update(TESTING=True, SECRET_KEY="k3y-0f-a-test:0123456789abcdef-XYZ")
    app.config.update(config)
    for extension in extensions:
        extension.init_app(app)
    return app


@contextlib.contextmanager
def serving(
    app: flask.Flask,
    *,
    host: str = "127.0.0.1",
    certificate: tuple[str, str] | None = None,
) -> cabc.Generator[str]:
    """Serve an app on a free port of this machine, for a browser or another process.

    :param certificate: The files of a certificate and its key, to serve over https.
    :returns: The address, such as ``"http://127.0.0.1:54321"``, while this is entered.
    """
    server = make_server(host, 0, app, threaded=True, ssl_context=certificate)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        scheme = "http" if certificate is None else "https"
        yield f"{scheme}://{host}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def isolation(app: App) -> cabc.Generator[App]:
    """Undo what happens to an app's databases and stores while this is entered.

    Each extension of the app does so in its own way; see its page on testing. A
    context of the app that was pushed and not popped is an error.

    :raises RuntimeError: if the code left an app context behind.
    """
    with contextlib.ExitStack() as stack:
        for installed in installed_on(app).values():
            stack.enter_context(installed.extension._isolate(app))
        before = flask.has_app_context()
        yield app
        if flask.has_app_context() and not before:
            raise RuntimeError(
                "The test pushed an app context and left it: every later test would"
                " see it. Write `with app.app_context():` instead of `.push()`."
            )


@pytest.fixture
def postgresql_url(request: pytest.FixtureRequest) -> cabc.Iterator[str]:
    """The URL of an empty PostgreSQL database of this test's own (driver psycopg)."""
    with temporary_database(_service(request, "postgresql")) as url:
        yield url


@pytest.fixture
def mariadb_url(request: pytest.FixtureRequest) -> cabc.Iterator[str]:
    """The URL of an empty MariaDB database of this test's own (driver PyMySQL)."""
    with temporary_database(_service(request, "mariadb")) as url:
        yield url


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> cabc.Iterator[str]:
    """The URL of an empty Redis database that only this test uses."""
    with temporary_redis(_service(request, "redis")) as url:
        yield url


@pytest.fixture
def memcached_url(request: pytest.FixtureRequest) -> str:
    """The URL of a memcached; it has no databases, so name keys uniquely."""
    return _service(request, "memcached").url


@pytest.fixture(autouse=True)
def _flaskware_isolation(request: pytest.FixtureRequest) -> cabc.Iterator[None]:
    wanted = request.config.getini("flaskware_isolation")
    if not wanted or "app" not in request.fixturenames:
        yield
        return
    app = request.getfixturevalue("app")
    with isolation(app) if isinstance(app, App) else contextlib.nullcontext():
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "flaskware_isolation",
        "Undo after each test what it did to the stores of the fixture `app`.",
        type="bool",
        default=False,
    )
    parser.getgroup("flaskware").addoption(
        "--require-services",
        action="store_true",
        help="Fail, not skip, a test whose database or other server cannot be had.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_SERVICES] = Services()
    config.stash[_USED] = set()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _SERVICES in config.stash:
        config.stash[_SERVICES].close()


def pytest_sessionfinish(session: pytest.Session) -> None:
    used = session.config.stash[_USED]
    used.update(str(service) for service in session.config.stash[_SERVICES].used)
    # A worker of pytest-xdist hands its list to the process that prints.
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["flaskware_services"] = sorted(used)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: t.Any, error: object) -> None:  # noqa: ARG001
    output: dict[str, t.Any] = getattr(node, "workeroutput", None) or {}
    node.config.stash[_USED].update(output.get("flaskware_services", ()))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if used := config.stash[_USED]:
        terminalreporter.write_line(f"services used: {', '.join(sorted(used))}")


def _service(request: pytest.FixtureRequest, name: ServiceName) -> Service:
    try:
        return request.config.stash[_SERVICES].get(name)
    except ServiceUnavailable as error:
        if request.config.getoption("--require-services"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
