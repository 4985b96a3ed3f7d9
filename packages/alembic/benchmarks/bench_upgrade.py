"""An upgrade and a check that find nothing to do, on five hundred revisions.

There is no request here, so the baseline is Alembic's own command with an env.py. A
process that starts reads every revision once: that is "files read anew". A process
that asks again, such as a health check, reads them again only if one changed.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import io
import tempfile
import typing as t
from pathlib import Path

import alembic.command
import flask
import sqlalchemy as sa
from alembic.config import Config

from flaskware_alembic import Alembic

BASELINE = "bare Alembic, upgrade"
REVISIONS = 500

_ENV = """
from alembic import context
config = context.config
with config.attributes["engine"].connect() as connection:
    context.configure(
        connection=connection, target_metadata=config.attributes["metadata"],
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()
"""


class Db:
    """What each of the three is given."""

    def __init__(self, folder: Path) -> None:
        self.engine = sa.create_engine(f"sqlite:///{folder}/app.db")
        self.metadata = sa.MetaData()
        id = sa.Column("id", sa.Integer, primary_key=True)
        sa.Table("note", self.metadata, id, sa.Column("text", sa.String(80)))

    def get_engine(self) -> sa.Engine:
        return self.engine


def cases() -> dict[str, cabc.Callable[[], object]]:
    """Callables that each do one command, by the name of what does it."""
    folder = Path(tempfile.mkdtemp(prefix="flaskware-bench-"))
    db = Db(folder)
    versions = folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions.parent / "env.py").write_text(_ENV)
    _write_revisions(versions)
    found = {**_ours(db, folder), **_bare(db, folder), **_flask_migrate(db, folder)}
    found["bare Alembic, upgrade"]()
    return found


def _write_revisions(folder: Path) -> None:
    table = (
        "op.create_table('note', sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('text', sa.String(80)))"
    )
    for number in range(REVISIONS):
        down = f"r{number - 1:04}" if number else None
        (folder / f"r{number:04}.py").write_text(
            f'"""revision {number}"""\nimport sqlalchemy as sa\n'
            f"from alembic import op\nrevision = 'r{number:04}'\n"
            f"down_revision = {down!r}\ndef upgrade():\n"
            f"    {'pass' if number else table}\ndef downgrade():\n    pass\n"
        )


def _bare(db: Db, folder: Path) -> dict[str, cabc.Callable[[], object]]:
    config = Config(
        stdout=io.StringIO(), attributes={"engine": db.engine, "metadata": db.metadata}
    )
    config.set_main_option("script_location", str(folder / "migrations"))
    return {
        "bare Alembic, upgrade": lambda: alembic.command.upgrade(config, "heads"),
        "bare Alembic, check": lambda: alembic.command.check(config),
    }


def _ours(db: Db, folder: Path) -> dict[str, cabc.Callable[[], object]]:
    app = flask.Flask("bench", root_path=str(folder))
    ours = Alembic(app=app, engine=db.engine, metadata=db.metadata)

    def run(action: cabc.Callable[[], object], *, anew: bool) -> object:
        with app.app_context():
            if anew:
                ours.state.forget()
            return action()

    return {
        "flaskware-alembic, upgrade, files read anew": lambda: run(
            ours.upgrade, anew=True
        ),
        "flaskware-alembic, upgrade": lambda: run(ours.upgrade, anew=False),
        "flaskware-alembic, check, files read anew": lambda: run(ours.check, anew=True),
        "flaskware-alembic, check": lambda: run(ours.check, anew=False),
    }


def _flask_migrate(db: Db, folder: Path) -> dict[str, cabc.Callable[[], object]]:
    try:
        import flask_migrate
    except ImportError:
        return {}
    theirs = folder / "theirs"
    app = flask.Flask("bench", root_path=str(folder))
    migrate = flask_migrate.Migrate(app, t.cast("t.Any", db), directory=str(theirs))

    @migrate.configure
    def print_nowhere(config: Config) -> Config:
        config.stdout = io.StringIO()
        return config

    with app.app_context(), contextlib.redirect_stdout(io.StringIO()):
        flask_migrate.init()
    # Its logging goes to the terminal, which would be timed.
    ini = theirs / "alembic.ini"
    ini.write_text(ini.read_text().replace("level = INFO", "level = WARN"))
    _write_revisions(theirs / "versions")

    def run(action: cabc.Callable[[], object]) -> None:
        with app.app_context(), contextlib.redirect_stdout(io.StringIO()):
            action()

    return {
        "Flask-Migrate, upgrade": lambda: run(flask_migrate.upgrade),
        "Flask-Migrate, check": lambda: run(flask_migrate.check),
    }
