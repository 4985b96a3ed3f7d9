"""What installing ``flaskware-secure`` adds to pytest."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest

if t.TYPE_CHECKING:
    from flask.sansio.app import App


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("flaskware").addoption(
        "--update-secure-snapshot",
        action="store_true",
        help="Write the snapshots of security headers instead of comparing.",
    )


@pytest.fixture
def secure_snapshot(request: pytest.FixtureRequest) -> cabc.Callable[[App], None]:
    """Compares the headers of an app's routes with ``secure_snapshot.json``.

    The file is beside the test; ``--update-secure-snapshot`` writes it.
    """
    update = bool(request.config.getoption("--update-secure-snapshot"))

    def compare(app: App) -> None:
        __tracebackhide__ = True
        from .testing import assert_snapshot

        path = request.path.with_name("secure_snapshot.json")
        assert_snapshot(app, path, update=update)

    return compare
