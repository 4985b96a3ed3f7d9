"""A schema in the words of its database: a text for each thing that it is made of.

A snapshot, the record of what revisions made, and a copy for a rehearsal are all this.
pg_dump and mysqldump were considered: they are programs of the server's version, which
a container with an app seldom has, and their text says nothing of a single column.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import functools
import hashlib
import json
import re
import typing as t

from flaskware_alembic._autogenerate.scratch import words_of


class Item(t.NamedTuple):
    """A thing that a schema is made of.

    :param kind: Such as ``"table"``, ``"column"``, ``"index"`` or ``"view"``.
    :param table: The table that it is part of, with its schema where that is not the
        default schema; empty for what stands alone.
    :param name: Empty for a table itself.
    """

    kind: str
    table: str
    name: str

    def __str__(self) -> str:
        if not self.name:
            return f"{self.kind} {self.table}"
        if self.kind == "column":
            return f"column {self.table}.{self.name}"
        return f"{self.kind} {self.name}" + (f" of {self.table}" if self.table else "")

    @property
    def key(self) -> str:
        """The item as one text, which no database takes for another."""
        return json.dumps(self, ensure_ascii=True)


@dc.dataclass(frozen=True)
class Schema:
    """The things that a database is made of, each with its text.

    :param texts: In an order in which they can be made.
    :param dialect: The name of SQLAlchemy's dialect.
    :param unknown: Things that are there and cannot be written down.
    """

    texts: cabc.Mapping[Item, str]
    dialect: str
    unknown: tuple[str, ...] = ()

    @functools.cached_property
    def digests(self) -> dict[Item, str]:
        """A short digest of each text, the same for another layout of the text."""
        return {item: digest(text, self.dialect) for item, text in self.texts.items()}


# MariaDB and MySQL write it so, at the end of a table.
_PARTITIONS = re.compile(
    r"(?<=PARTITION BY )(?P<how>(?:RANGE|LIST|SYSTEM_TIME).*?)"
    r"\n(?:PARTITIONS \d+|\(PARTITION .*)",
    re.DOTALL,
)


@functools.lru_cache(4096)
def digest(text: str, dialect: str) -> str:
    """Return a digest of SQL, the same for another layout or quotes of it.

    Partitions that come and go with time are data: how a table is divided counts, and
    not into what.
    """
    # SQLite keeps the words of its user, the others write their own.
    words = words_of(text, dialect) if dialect == "sqlite" else [text]
    if dialect in {"mysql", "mariadb"}:
        words = [_PARTITIONS.sub(r"\g<how>", text)]
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]


def digests_of(
    texts: cabc.Mapping[Item, str | None], dialect: str
) -> dict[Item, str | None]:
    """Return the digest of each text; ``None`` stays."""
    return {
        item: None if text is None else digest(text, dialect)
        for item, text in texts.items()
    }


def fingerprint(digests: cabc.Mapping[Item, str | None]) -> str:
    """Return one digest of the digests of things, without those that are gone."""
    lines = sorted(f"{item.key}{value}" for item, value in digests.items() if value)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
