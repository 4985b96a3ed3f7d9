from __future__ import annotations

import collections.abc as cabc
import sys
import textwrap
import typing as t
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa

from flaskware_alembic import Alembic
from flaskware_core.testing import make_app
from flaskware_core.testing import Services

from .databases import Databases

# What moves a schema knows no framework. With apps of Quart, those tests run that are
# about contexts, commands, requests and event loops.
_FRAMEWORK_TESTS = {
    "test_async.py", "test_binds.py", "test_check.py", "test_checks.py", "test_cli.py",
    "test_deploys.py", "test_explain.py", "test_init_app.py", "test_multi_app.py",
    "test_quart.py", "test_sources.py", "test_testing.py", "test_trees.py",
}  # fmt: skip


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what knows no framework with ``--framework=quart``."""
    if config.getoption("--framework") == "flask" or collection_path.suffix != ".py":
        return None
    name = collection_path.name
    return (name.startswith("test_") and name not in _FRAMEWORK_TESTS) or None


class Project:
    """An app with plain SQLAlchemy, and a folder of revisions."""

    def __init__(self, folder: Path, url: str, **config: t.Any) -> None:
        self.folder = folder / "migrations"
        self.metadata = sa.MetaData()
        self._config = {"ALEMBIC_DIRECTORY": str(self.folder), **config}
        self.use(sa.create_engine(url))

    def use(self, engine: sa.Engine) -> None:
        """Make the app again, for another engine."""
        self.engine = engine
        self.alembic = Alembic(metadata=self.metadata, engine=engine)
        self.app = make_app(
            self.alembic, instance_path=self.folder.parent, **self._config
        )

    def add_table(self, name: str, *columns: sa.SchemaItem) -> sa.Table:
        """Declare a table, as a model would."""
        id = sa.Column("id", sa.Integer, primary_key=True)
        return sa.Table(name, self.metadata, id, *columns)

    def write(
        self,
        id: str,
        down: str | tuple[str, ...] | None,
        upgrade: str = "pass",
        downgrade: str = "pass",
        *,
        folder: str = "",
        extra: str = "",
    ) -> Path:
        """Write a revision file by hand."""
        path = self.folder / folder / f"{id}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            f'"""revision {id}"""',
            "import sqlalchemy as sa",
            "from alembic import op",
            f"revision = {id!r}",
            f"down_revision = {down!r}",
            extra,
            "def upgrade() -> None:",
            textwrap.indent(textwrap.dedent(upgrade).strip(), "    "),
            "def downgrade() -> None:",
            textwrap.indent(textwrap.dedent(downgrade).strip(), "    "),
        ]
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path

    def write_table(self, id: str, down: str | None, table: str) -> Path:
        """Write a revision that makes a table."""
        return self.write(
            id,
            down,
            f"op.create_table({table!r},"
            " sa.Column('id', sa.Integer, primary_key=True))",
            f"op.drop_table({table!r})",
        )

    def tables(self) -> set[str]:
        """The tables that are in the database now, without the records."""
        names = sa.inspect(self.engine).get_table_names()
        return {name for name in names if not name.endswith("_record")}

    def run(self, *args: str) -> t.Any:
        """Run ``flask db`` with arguments."""
        return self.app.test_cli_runner().invoke(args=["db", *args])


@pytest.fixture(autouse=True)
def _bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python leaves bytecode beside revisions, as it does for most users."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


@pytest.fixture(scope="session")
def postgresql_databases() -> cabc.Iterator[Databases]:
    with Services() as services:
        databases = Databases(services.get("postgresql"))
        yield databases
        databases.close()


@pytest.fixture
def postgresql_url(postgresql_databases: Databases) -> cabc.Iterator[str]:
    """URL of an empty PostgreSQL database that only this test uses."""
    with postgresql_databases.lease() as url:
        yield url


@pytest.fixture
def mariadb_url(mariadb_url: str) -> str:
    """URL of an empty MariaDB database that only this test uses."""
    # For each connection, PyMySQL would read the certificates of the system.
    return f"{mariadb_url}?ssl_disabled=true"


@pytest.fixture
def make_project(tmp_path: Path) -> cabc.Iterator[cabc.Callable[..., Project]]:
    made: list[Project] = []

    def make(url: str | None = None, **config: t.Any) -> Project:
        url = url or f"sqlite:///{tmp_path}/app.db"
        made.append(Project(tmp_path, url, **config))
        return made[-1]

    yield make
    for project in made:
        project.engine.dispose()


@pytest.fixture
def project(make_project: cabc.Callable[..., Project]) -> Project:
    """A project on a SQLite file."""
    return make_project()


@pytest.fixture
def in_context(project: Project) -> cabc.Iterator[flask.Flask]:
    """The app of the project, with its context active."""
    with project.app.app_context():
        yield project.app


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/app.db"
    return t.cast("str", request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def any_project(
    any_url: str, make_project: cabc.Callable[..., Project]
) -> cabc.Iterator[Project]:
    """A project on each kind of database in turn, with its context active."""
    project = make_project(any_url)
    with project.app.app_context():
        yield project


@pytest.fixture
def pg(
    postgresql_url: str, make_project: cabc.Callable[..., Project]
) -> cabc.Iterator[Project]:
    """A project on PostgreSQL, with its context active."""
    project = make_project(postgresql_url)
    with project.app.app_context():
        yield project
