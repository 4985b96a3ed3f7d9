"""The pytest plugin: fixtures for services, and isolation of every test."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import sys
import typing as t

import pytest
from flask.sansio.app import App

from .apps import FRAMEWORK
from .apps import Framework
from .apps import isolation
from .services import Service
from .services import ServiceName
from .services import Services
from .services import ServiceUnavailable
from .services import temporary_database
from .services import temporary_redis

_SERVICES = pytest.StashKey[Services]()
_USED = pytest.StashKey[set[str]]()


@pytest.fixture
def postgresql_url(request: pytest.FixtureRequest) -> cabc.Iterator[str]:
    """URL of an empty PostgreSQL database that only this test uses (psycopg)."""
    with temporary_database(_service(request, "postgresql")) as url:
        yield url


@pytest.fixture
def mariadb_url(request: pytest.FixtureRequest) -> cabc.Iterator[str]:
    """URL of an empty MariaDB database that only this test uses (PyMySQL)."""
    with temporary_database(_service(request, "mariadb")) as url:
        yield url


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> cabc.Iterator[str]:
    """URL of an empty Redis database that only this test uses."""
    with temporary_redis(_service(request, "redis")) as url:
        yield url


@pytest.fixture
def memcached_url(request: pytest.FixtureRequest) -> str:
    """URL of a memcached; it has no databases, so name keys uniquely."""
    return _service(request, "memcached").url


@pytest.fixture(autouse=True)
def _flaskware_event_loops() -> cabc.Iterator[None]:
    yield
    # Only a test that made an app of Quart has imported the module.
    if (module := sys.modules.get(f"{__package__}.quart_apps")) is not None:
        module.close_event_loops()


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
        "After each test, undo its changes to the stores of the fixture `app`.",
        type="bool",
        default=False,
    )
    group = parser.getgroup("flaskware")
    group.addoption(
        "--require-services",
        action="store_true",
        help="Fail, not skip, a test whose database or other server is unavailable.",
    )
    group.addoption(
        "--framework",
        choices=("flask", "quart"),
        default="flask",
        help="The framework of the apps that make_app() makes.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "flask_only(reason): leave it out with --framework=quart"
    )
    FRAMEWORK[0] = t.cast("Framework", config.getoption("--framework"))
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> cabc.Generator[None, object, object]:
    """Skip or fail a test of which a fixture raises ServiceUnavailable."""
    if FRAMEWORK[0] != "flask" and (mark := item.get_closest_marker("flask_only")):
        pytest.skip(f"only for Flask: {mark.args[0]}")
    return (yield from _without_service(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> cabc.Generator[None, object, object]:
    """Skip or fail a test that raises ServiceUnavailable itself."""
    return (yield from _without_service(item))


def _without_service(item: pytest.Item) -> cabc.Generator[None, object, object]:
    try:
        return (yield)
    except ServiceUnavailable as error:
        if item.config.getoption("--require-services"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


def _service(request: pytest.FixtureRequest, name: ServiceName) -> Service:
    return request.config.stash[_SERVICES].get(name)
