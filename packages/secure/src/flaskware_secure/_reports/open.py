"""Stores of reports by the setting ``SECURE_REPORTS``, or in a table."""

from __future__ import annotations

import typing as t

from flaskware_core import ConfigError
from flaskware_core import ConfigProblem

from .store import LogReports
from .store import MemoryReports
from .store import ReportStore

if t.TYPE_CHECKING:
    import sqlalchemy


def table_reports(
    engine: sqlalchemy.Engine | str, max_groups: int = 500
) -> ReportStore:
    """Return a store in the table ``flaskware_secure_reports``, made on first use.

    Needs ``flaskware-secure[sqlalchemy]``.

    :param engine: An engine, or the URL of a database.
    :param max_groups: Number of different reports that are kept; the oldest are
        dropped.
    """
    from .table import TableReports

    return TableReports(engine, max_groups)


def open_store(
    where: str | ReportStore, max_groups: int, folder: str
) -> ReportStore | None:
    """Return the store that the setting names.

    :param folder: The folder of a SQLite file with a relative path.
    :raises ConfigError: if its URL cannot be used.
    """
    if not isinstance(where, str):
        return where
    if where == "off":
        return None
    if where == "memory":
        return MemoryReports(max_groups)
    if where == "log":
        return LogReports()
    try:
        from .table import open_table

        return open_table(where, max_groups, folder)
    except ImportError as error:
        expected = f"the packages of a table of reports; {error.name} is not installed"
        write = "pip install flaskware-secure[sqlalchemy], and the database's driver"
    except ValueError as error:
        expected, write = f"the URL of a database ({error})", "sqlite:///reports.db"
    problem = ConfigProblem("SECURE_REPORTS", expected, "", write)
    raise ConfigError("flaskware-secure", [problem])
