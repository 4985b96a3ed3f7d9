"""Undoing what a test does to its databases."""

from __future__ import annotations

import collections.abc as cabc
import contextlib

import sqlalchemy as sa

from ._session import Router


@contextlib.contextmanager
def isolated(router: Router) -> cabc.Generator[None]:
    """Let sessions work inside a transaction per database that is rolled back.

    :raises RuntimeError: if it is entered a second time.
    """
    if router.connections:
        raise RuntimeError(
            "The databases of this app are isolated already. With"
            " `flaskware_isolation = true` in the pytest configuration each test is,"
            " so remove `test_isolation()` from the test or the fixture."
        )
    with contextlib.ExitStack() as stack:
        opened: dict[sa.Engine, sa.Connection] = {}
        for engine in router.engines.values():
            connection = stack.enter_context(engine.connect())
            transaction = connection.begin()
            stack.callback(transaction.rollback)
            opened[engine] = connection
        router.connections.update(opened)
        try:
            yield
        finally:
            router.connections.clear()
