"""Upgrade a database by a history: as `flask db upgrade` does, or by Alembic alone."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import alembic.command
import flask
import sqlalchemy as sa
from alembic.config import Config

from flaskware_alembic import Alembic

# The file that `alembic init` writes, as far as it matters here.
_ENV = """
from alembic import context
connection = context.config.attributes["connection"]
context.configure(
    connection=connection, transaction_per_migration=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
"""


def by_alembic(engine: sa.Engine, folder: Path) -> None:
    """Upgrade with the command of Alembic."""
    home = Path(tempfile.mkdtemp())
    (home / "env.py").write_text(_ENV)
    (home / "script.py.mako").write_text("")
    inner = folder / "versions"
    config = Config()
    config.set_main_option("script_location", str(home))
    config.set_main_option(
        "version_locations", str(inner if inner.is_dir() else folder)
    )
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "heads")


def by_us(engine: sa.Engine, folder: Path) -> None:
    """Upgrade with the method behind ``flask db upgrade``."""
    app = flask.Flask(__name__, root_path=tempfile.mkdtemp())
    ours = Alembic(
        app=app, engine=engine, metadata=sa.MetaData(), directory=str(folder)
    )
    with app.app_context():
        ours.upgrade()


def main(name: str, url: str, root: str, folder: str) -> None:
    """Upgrade to the heads."""
    sys.path.insert(0, root)
    engine = sa.create_engine(url)
    {"ours": by_us, "Alembic": by_alembic}[name](engine, Path(folder))
    engine.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:])
