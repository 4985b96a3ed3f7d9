from __future__ import annotations

import types
from pathlib import Path

import pydantic

from flaskware_core import Settings


class AlembicSettings(Settings):
    """Settings for finding, comparing and applying revisions."""

    prefix = "ALEMBIC_"
    distribution = "flaskware-alembic"
    replaced = types.MappingProxyType(
        {
            "ALEMBIC_CONTEXT": "ALEMBIC_COMPARE_TYPE, ALEMBIC_COMPARE_SERVER_DEFAULT,"
            " ALEMBIC_VERSION_TABLE or ALEMBIC_VERSION_TABLE_SCHEMA"
        }
    )

    directory: Path = pydantic.Field(
        default=Path("migrations"),
        description="The folder of the revision files; a relative path starts beside"
        " the app's module. A named database has the folder of its name in it.",
        examples=["migrations"],
    )
    lock_timeout: float = pydantic.Field(
        default=60.0,
        ge=0,
        description="How long to wait, in seconds, for another process that migrates"
        " the same database.",
        examples=[60],
    )
    table_lock_timeout: float | None = pydantic.Field(
        default=None,
        gt=0,
        description="How long a statement of a revision waits for a lock, in seconds;"
        " `None` leaves the connection as it is. A revision that sets `lock_timeout`"
        " has its own. Whole seconds on MySQL and MariaDB.",
        examples=[5],
    )
    statement_timeout: float | None = pydantic.Field(
        default=None,
        gt=0,
        description="How long a statement of a revision may take, in seconds; `None`"
        " leaves the connection as it is. A revision that sets `statement_timeout` has"
        " its own. PostgreSQL and MariaDB only.",
        examples=[600],
    )
    lock_retries: int = pydantic.Field(
        default=5,
        ge=0,
        description="How often a revision that waited for a lock too long is tried"
        " again, with a pause that doubles from half a second.",
        examples=[10],
    )
    backfill_max_running: int | None = pydantic.Field(
        default=None,
        ge=0,
        description="A backfill pauses between two batches while more statements than"
        " this run on the server for others; `None` never pauses. On PostgreSQL,"
        " MySQL and MariaDB.",
        examples=[20],
    )
    backfill_max_lag: float | None = pydantic.Field(
        default=None,
        gt=0,
        description="A backfill pauses between two batches while a replica is behind by"
        " more than so many seconds; `None` never pauses. PostgreSQL names its replicas"
        " to a user with the role `pg_monitor`; those of MySQL and MariaDB are"
        " `ALEMBIC_BACKFILL_REPLICAS`.",
        examples=[5],
    )
    backfill_replicas: tuple[pydantic.SecretStr, ...] = pydantic.Field(
        default=(),
        description="URLs of the replicas of MySQL or MariaDB, for a user with the"
        " privilege `REPLICA MONITOR` or `REPLICATION CLIENT`.",
        examples=[("mariadb+pymysql://monitor@replica/",)],
    )
    compare_type: bool = pydantic.Field(
        default=True,
        description="Whether a changed column type counts as a change of the models.",
        examples=[False],
    )
    compare_server_default: bool = pydantic.Field(
        default=True,
        description="Whether a changed server default counts as a change of the"
        " models.",
        examples=[False],
    )
    rolling: bool = pydantic.Field(
        default=True,
        description="Whether the code of the last deploy may run while a database is"
        " migrated. `migrate` then writes a renamed column, a wider number and a column"
        " that becomes NOT NULL as two revisions for two deploys, on PostgreSQL and"
        " MariaDB.",
        examples=[False],
    )
    schemas: tuple[str, ...] = pydantic.Field(
        default=(),
        description="Schemas whose tables are compared, besides the default schema and"
        " those that the models name.",
        examples=[("billing",)],
    )
    version_table: str = pydantic.Field(
        default="alembic_version",
        min_length=1,
        description="The table that holds the applied revision.",
        examples=["alembic_version"],
    )
    version_table_schema: str | None = pydantic.Field(
        default=None,
        description="The schema of that table, where it is not the default schema.",
        examples=["ops"],
    )
    record: bool = pydantic.Field(
        default=True,
        description="Whether an upgrade writes down what each revision made of the"
        " schema, for `flask db drift`: in a table beside the version table.",
        examples=[False],
    )
    discover: bool = pydantic.Field(
        default=True,
        description="Whether installed packages bring the revisions of their tables.",
        examples=[False],
    )
    command: str = pydantic.Field(
        default="db",
        pattern=r"^[a-z][a-z0-9-]*$",
        description="The name of the group of commands, as in `flask db upgrade`.",
        examples=["db"],
    )
