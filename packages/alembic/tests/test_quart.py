"""Apps of Quart: commands without an event loop, and calls that would stop it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click.testing
import pytest
import quart
import sqlalchemy as sa
from quart.cli import QuartGroup

from flaskware_alembic import Alembic
from flaskware_alembic.testing import MigrationRunner
from flaskware_core import WouldBlock

REVISION = """
import sqlalchemy as sa
from alembic import op
revision = "aa"
down_revision = None
def upgrade() -> None:
    op.create_table("item", sa.Column("id", sa.Integer, primary_key=True))
def downgrade() -> None:
    op.drop_table("item")
"""


def make_quart(folder: Path, *, debug: bool = False) -> quart.Quart:
    (folder / "migrations").mkdir()
    (folder / "migrations" / "aa.py").write_text(REVISION, "utf-8")
    app = quart.Quart(__name__)
    app.debug = debug
    app.config["ALEMBIC_DIRECTORY"] = str(folder / "migrations")
    metadata = sa.MetaData()
    sa.Table("item", metadata, sa.Column("id", sa.Integer, primary_key=True))
    engine = sa.create_engine(f"sqlite:///{folder / 'app.db'}")
    Alembic(metadata=metadata, engine=engine).init_app(app)
    return app


@pytest.fixture
def app(tmp_path: Path) -> quart.Quart:
    return make_quart(tmp_path)


def run(app: quart.Quart, *arguments: str) -> click.testing.Result:
    command_line = QuartGroup(create_app=lambda: app)
    return click.testing.CliRunner().invoke(command_line, ["db", *arguments])


def test_the_commands_work_under_quart(app: quart.Quart) -> None:
    for arguments in (("upgrade",), ("check",), ("current",), ("downgrade", "--yes")):
        result = run(app, *arguments)
        assert result.exit_code == 0, result.output
    assert run(app, "check").exit_code == 5
    assert run(app, "backfill").exit_code == 0


def test_the_commands_work_in_a_test_that_is_a_coroutine(app: quart.Quart) -> None:
    async def test() -> click.testing.Result:
        return app.test_cli_runner().invoke(args=["db", "upgrade"])

    result = asyncio.run(test())
    assert result.exit_code == 0, result.output
    assert "aa" in result.output


def test_a_call_that_would_stop_the_event_loop_says_what_to_write(
    app: quart.Quart,
) -> None:
    alembic: Alembic = app.extensions["alembic"]

    async def test() -> None:
        async with app.app_context():
            with pytest.raises(WouldBlock, match=r"asyncio\.to_thread\(alembic\.check"):
                alembic.check()
            assert len(await asyncio.to_thread(alembic.upgrade)) == 1
            await asyncio.to_thread(alembic.check)

    asyncio.run(test())


def test_the_assertions_for_tests_enter_a_context_of_quart(app: quart.Quart) -> None:
    MigrationRunner(app).check_all()


def test_the_doctor_finds_what_is_pending(app: quart.Quart) -> None:
    command_line = QuartGroup(create_app=lambda: app)
    result = click.testing.CliRunner().invoke(command_line, ["doctor"])
    assert "alembic." in result.output, result.output


def test_in_debug_mode_a_page_says_the_command_until_it_was_run(
    tmp_path: Path,
) -> None:
    app = make_quart(tmp_path, debug=True)

    @app.get("/")
    async def index() -> str:
        return "served"

    async def get() -> tuple[int, str]:
        response = await app.test_client().get("/", headers={"Accept": "text/html"})
        return response.status_code, await response.get_data(as_text=True)

    status, text = asyncio.run(get())
    assert status == 503
    assert "<code>quart db upgrade</code>" in text
    MigrationRunner(app).upgrade()
    assert asyncio.run(get()) == (200, "served")
