"""Guards around a rehearsal: what it runs reaches the copy and nothing else."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import contextvars
import itertools
import re
import typing as t

import sqlalchemy as sa
from sqlalchemy import event

from flaskware_alembic._sql.tokens import statements

_OWN_SERVER = "Rehearse on a server of your own: flask db rehearse --url ..."
_Place: t.TypeAlias = tuple[object, ...]
_closed: contextvars.ContextVar[frozenset[_Place]] = contextvars.ContextVar(
    "flaskware_alembic_closed", default=frozenset()
)


class OutsideOfCopy(Exception):
    """A revision would change more than the copy; the error names the statement."""


def place_of(url: sa.URL) -> _Place:
    """Return the parts of a URL that no other database has."""
    return (url.get_backend_name(), url.host, url.port, url.database)


@contextlib.contextmanager
def closed(engines: cabc.Iterable[sa.Engine]) -> cabc.Generator[None]:
    """Refuse what this thread sends to some databases, by whichever engine.

    A revision may use the engine of the app in place of the connection that it is
    given.

    :raises OutsideOfCopy: in the revision that sends it.
    """
    places = frozenset(place_of(engine.url) for engine in engines)
    token = _closed.set(_closed.get() | places)
    if not event.contains(sa.Engine, "before_cursor_execute", _refuse_closed):
        # It stays, for a rehearsal that another thread may be in.
        event.listen(sa.Engine, "before_cursor_execute", _refuse_closed)
    try:
        yield
    finally:
        _closed.reset(token)


def _refuse_closed(
    connection: sa.Connection, _: object, statement: str, *__: object
) -> None:
    if place_of(connection.engine.url) in _closed.get():
        raise OutsideOfCopy(
            "A rehearsal touches nothing but its copy, and this goes to the database"
            f" of the app: {_short(statement)}. Use op.get_bind() in a revision, not"
            " the engine or the session of the app"
        )


# Statements about the whole server. The text of a function or of EXECUTE counts, too.
_SHARED = re.compile(
    r"""\b(?:CREATE|ALTER|DROP)\s+(?:OR\s+REPLACE\s+)?
        (?:ROLE|USER(?!\s+MAPPING)|GROUP|DATABASE|TABLESPACE|SYSTEM|SUBSCRIPTION
          |SERVER)\b
      | \bON\s+DATABASE\b | \bON\s+\*\.\* | \b(?:REASSIGN|DROP)\s+OWNED\b
      | \bSET\s+(?:GLOBAL|PERSIST)\b | \bSET\s+@@(?:global|persist)\b
      | ^\s*(?:GRANT|REVOKE)\b(?!.*\bON\b) | ^\s*USE\s
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_DATABASES = "SELECT schema_name FROM information_schema.schemata"
_SYSTEM = {"information_schema", "performance_schema"}


@contextlib.contextmanager
def kept_inside(engine: sa.Engine) -> cabc.Generator[None]:
    """Refuse what would change the server that a copy shares with the original.

    :param engine: That of the copy.
    """
    others = frozenset[str]()
    if engine.dialect.name in {"mysql", "mariadb"}:
        with engine.connect() as connection:
            names = connection.exec_driver_sql(_DATABASES).scalars().all()
        own = {str(engine.url.database), *_SYSTEM}
        others = frozenset(str(name).lower() for name in names) - own

    def refuse(_: object, __: object, statement: str, *___: object) -> None:
        if _SHARED.search(statement):
            raise OutsideOfCopy(
                "A rehearsal touches nothing but its copy, and this changes what the"
                f" whole server shares: {_short(statement)}. {_OWN_SERVER}"
            )
        for name in _qualifiers(statement) if others else ():
            if name in others:
                raise OutsideOfCopy(
                    f"A rehearsal touches nothing but its copy, and this names the"
                    f" database {name!r}: {_short(statement)}. {_OWN_SERVER}"
                )

    event.listen(engine, "before_cursor_execute", refuse)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", refuse)


def _qualifiers(text: str) -> cabc.Iterator[str]:
    """Yield the names before a dot, in small letters."""
    for tokens in statements(text, "mysql"):
        for token, dot in itertools.pairwise(tokens):
            if dot.text == "." and token.kind in {"name", "word"}:
                yield token.identifier.lower()


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}..."
