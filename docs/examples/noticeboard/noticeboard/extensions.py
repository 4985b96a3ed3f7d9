"""The five extensions, made once; `create_app` gives each of them the app."""

from __future__ import annotations

import collections.abc as cabc
import contextlib

from sqlalchemy.orm import Session

from flaskware_alembic import Alembic
from flaskware_forms import Forms
from flaskware_secure import SecureHeaders
from flaskware_session import Sessions
from flaskware_sqlalchemy import SQLAlchemy

from .models import Base

db = SQLAlchemy(model_class=Base)
alembic = Alembic(db)
forms = Forms()
secure = SecureHeaders()
sessions = Sessions()


@contextlib.contextmanager
def writing() -> cabc.Generator[Session]:
    """A transaction that begins now, and is committed at the end.

    What was read before is ended first: while others write, SQLite cannot turn a
    transaction that has read into one that writes.
    """
    db.session.commit()
    with db.transaction() as session:
        yield session
