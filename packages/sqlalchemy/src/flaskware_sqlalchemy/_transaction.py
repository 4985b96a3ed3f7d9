"""Blocks that commit, or undo what they did."""

from __future__ import annotations

import collections.abc as cabc
import contextlib

from sqlalchemy import orm

from ._sqlite import WRITING

_DEPTH = "flaskware_sqlalchemy_transaction"


@contextlib.contextmanager
def transaction(session: orm.Session) -> cabc.Generator[orm.Session]:
    """Commit at the end, roll back on an error; a savepoint inside another block."""
    if session.info.get(_DEPTH):
        with session.begin_nested():
            yield session
        return
    session.info[_DEPTH] = True
    token = WRITING.set(True)
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        WRITING.reset(token)
        del session.info[_DEPTH]
