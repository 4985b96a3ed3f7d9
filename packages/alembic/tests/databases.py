"""Databases of PostgreSQL that are emptied after a test and used again.

Making and dropping one takes longer than most tests: each waits for a checkpoint.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib

import psycopg

from flaskware_core.testing import Service
from flaskware_core.testing import temporary_database

_EMPTY = """
DO $$
DECLARE name text;
BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
    FOR name IN SELECT nspname FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
    CREATE SCHEMA public;
    IF current_setting('server_version_num')::int >= 150000 THEN
        ALTER SCHEMA public OWNER TO pg_database_owner;
        GRANT USAGE ON SCHEMA public TO PUBLIC;
    ELSE
        GRANT ALL ON SCHEMA public TO PUBLIC;
    END IF;
END $$
"""
# What is in no schema, and settings of the database besides ours.
_LEFT = """
SELECT (SELECT count(*) FROM pg_extension WHERE extname <> 'plpgsql')
  + (SELECT count(*) FROM pg_event_trigger) + (SELECT count(*) FROM pg_publication)
  + (SELECT count(*) FROM pg_foreign_data_wrapper)
  + (SELECT count(*) FROM pg_cast WHERE oid >= 16384)
  + (SELECT count(*) FROM pg_default_acl)
  + (SELECT count(*) FROM pg_largeobject_metadata)
  + (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database())
  + (SELECT count(*) FROM pg_db_role_setting r JOIN pg_database d
     ON d.oid = r.setdatabase, unnest(setconfig) AS given
     WHERE datname = current_database() AND given <> 'synchronous_commit=off')
"""


class Databases:
    """The databases of a run, of which each test has one alone.

    :param service: A PostgreSQL.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._free: list[str] = []
        self._stack = contextlib.ExitStack()

    @contextlib.contextmanager
    def lease(self) -> cabc.Generator[str]:
        """Yield the URL of an empty database."""
        url = self._free.pop() if self._free else self._make()
        try:
            yield url
        finally:
            # One that cannot be emptied is dropped with the others in the end.
            if empty(url):
                self._free.append(url)

    def close(self) -> None:
        """Drop them."""
        self._stack.close()

    def _make(self) -> str:
        url = self._stack.enter_context(temporary_database(self._service))
        name = url.rpartition("/")[2]
        with _connect(url) as connection:
            # No test outlives the server, and each commit would wait for the disk.
            connection.execute(
                f'ALTER DATABASE "{name}" SET synchronous_commit = off'.encode()
            )
        return url


def empty(url: str) -> bool:
    """Drop everything in a database; return whether nothing is left of it."""
    try:
        with _connect(url) as connection:
            connection.execute("SET client_min_messages = error")
            connection.execute("SET lock_timeout = '10s'")
            connection.execute(_EMPTY)
            left = connection.execute(_LEFT.encode()).fetchone()
    except psycopg.Error:
        return False
    return left == (0,)


def _connect(url: str) -> psycopg.Connection:
    plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
    return psycopg.connect(plain, autocommit=True)
