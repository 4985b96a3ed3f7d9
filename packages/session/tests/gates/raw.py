"""What stores hold, seen from below: read and replaced without the extension."""

from __future__ import annotations

import collections.abc as cabc
import shutil
import socket
import time
import typing as t
from pathlib import Path
from urllib.parse import unquote
from urllib.parse import urlsplit

from places import Place

Value: t.TypeAlias = bytes | tuple[t.Any, ...]


class Raw(t.Protocol):
    """Names and values of everything in a store; a row of a table is a tuple."""

    def all(self) -> dict[t.Any, Value]: ...

    def put(self, name: t.Any, value: Value) -> bool:
        """Store a value under a name; say whether the store took it."""
        ...

    def remove(self, name: t.Any) -> None: ...

    def clear(self) -> None: ...


class RawRedis(Raw):
    def __init__(self, url: str) -> None:
        import redis

        self.client: t.Any = redis.Redis.from_url(url)

    def all(self) -> dict[t.Any, Value]:
        return {name: self._value(name) for name in self.client.keys("*")}

    def outliving(self, seconds: int) -> int:
        """Count the keys that will be there after so long, by the server's clock."""
        ends = [self.client.pttl(name) for name in self.client.keys("*")]
        return sum(end == -1 or end > seconds * 1000 for end in ends)

    def put(self, name: t.Any, value: Value) -> bool:
        if isinstance(value, tuple):
            self.client.restore(name, 600_000, value[0], replace=True)
        else:
            self.client.set(name, value, px=600_000)
        return True

    def remove(self, name: t.Any) -> None:
        self.client.delete(name)

    def clear(self) -> None:
        self.client.flushdb()

    def _value(self, name: t.Any) -> Value:
        # What is no text goes as it is, as from a backup.
        if self.client.type(name) == b"string":
            return t.cast("bytes", self.client.get(name))
        return (self.client.dump(name),)


class RawMemcached(Raw):
    def __init__(self, url: str) -> None:
        from pymemcache.client.base import Client

        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 0)
        self._client: t.Any = Client(self._server, no_delay=True)

    def outliving(self, seconds: int) -> int:
        """Count the keys that will be there after so long, by the server's clock."""
        ends = [int(fields[1].partition("=")[2]) for fields in self._listed()]
        return sum(end == -1 or end > time.time() + seconds for end in ends)

    def _listed(self) -> list[list[str]]:
        answer = b""
        with socket.create_connection(self._server) as connection:
            connection.sendall(b"lru_crawler metadump all\r\n")
            while not answer.endswith(b"END\r\n"):
                answer += connection.recv(65536)
        lines = answer.decode().splitlines()
        return [line.split() for line in lines if line.startswith("key=")]

    def all(self) -> dict[t.Any, Value]:
        names = [unquote(fields[0][4:]) for fields in self._listed()]
        found = {name: self._client.get(name) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def put(self, name: t.Any, value: Value) -> bool:
        return bool(self._client.set(name, value, expire=600, noreply=False))

    def remove(self, name: t.Any) -> None:
        self._client.delete(name, noreply=False)

    def clear(self) -> None:
        self._client.flush_all(noreply=False)


class RawFiles(Raw):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> dict[t.Any, Value]:
        paths = (path for path in self._folder.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in paths if path.name != ".lock"}

    def put(self, name: t.Any, value: Value) -> bool:
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_bytes(value)
        return True

    def remove(self, name: t.Any) -> None:
        name.unlink(missing_ok=True)

    def clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class RawTables(Raw):
    """A database; a name is a table and the value of its primary key."""

    def __init__(self, url: str) -> None:
        import sqlalchemy as sa

        self._engine = sa.create_engine(url)
        self._quote = self._engine.dialect.identifier_preparer.quote_identifier
        self._names: dict[str, list[str]] = {}

    def all(self) -> dict[t.Any, Value]:
        import sqlalchemy as sa

        found: dict[t.Any, Value] = {}
        inspector = sa.inspect(self._engine)
        with self._engine.connect() as connection:
            for table in inspector.get_table_names():
                columns = [one["name"] for one in inspector.get_columns(table)]
                keys = inspector.get_pk_constraint(table)["constrained_columns"]
                columns.sort(key=lambda name: name not in keys)
                self._names[table] = columns
                listed = ", ".join(map(self._quote, columns))
                query = sa.text(f"SELECT {listed} FROM {table}")
                for row in connection.execute(query):
                    found[table, row[0]] = tuple(row)
        return found

    def put(self, name: t.Any, value: Value) -> bool:
        import sqlalchemy as sa

        table, key = name
        columns = self._names[table]
        places = ", ".join(f":{column}" for column in columns)
        listed = ", ".join(map(self._quote, columns))
        insert = f"INSERT INTO {table} ({listed}) VALUES ({places})"
        delete = f"DELETE FROM {table} WHERE {self._quote(columns[0])} = :key"
        row = dict(zip(columns, value, strict=True))
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.text(delete), {"key": key})
                connection.execute(sa.text(insert), row)
        except (sa.exc.SQLAlchemyError, UnicodeError, OverflowError, ValueError):
            return False  # a database has types
        return True

    def remove(self, name: t.Any) -> None:
        import sqlalchemy as sa

        table, key = name
        column = self._quote(self._names[table][0])
        delete = f"DELETE FROM {table} WHERE {column} = :key"
        with self._engine.begin() as connection:
            connection.execute(sa.text(delete), {"key": key})

    def clear(self) -> None:
        import sqlalchemy as sa

        with self._engine.begin() as connection:
            for table in sa.inspect(connection).get_table_names():
                connection.execute(sa.text(f"DELETE FROM {table}"))


def raw_of(place: Place) -> Raw | None:
    """Open a store from below; ``None`` for the memory of this process."""
    makers: dict[str, cabc.Callable[[], Raw]] = {
        "redis": lambda: RawRedis(place.url),
        "memcached": lambda: RawMemcached(place.url),
        "file": lambda: RawFiles(Path(place.url.removeprefix("file:///"))),
        **dict.fromkeys(
            ("sqlite", "postgresql", "mariadb"), lambda: RawTables(place.url)
        ),
    }
    return makers[place.kind]() if place.kind in makers else None
