from __future__ import annotations

import asyncio
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.asyncio import create_async_engine

from flaskware_alembic import Alembic
from flaskware_alembic import RevisionFailed
from flaskware_alembic import State
from flaskware_core.testing import make_app

Project: t.TypeAlias = t.Any


@pytest.fixture(params=["sqlite", "postgresql"])
def async_project(
    request: pytest.FixtureRequest, tmp_path: Path, make_project: t.Any
) -> t.Any:
    """A project whose only engine has an async driver."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/app.db"
        async_url = url.replace("sqlite:", "sqlite+aiosqlite:")
    else:
        # Its driver psycopg is for both.
        url = async_url = request.getfixturevalue("postgresql_url")
    project = make_project(url)
    engine = create_async_engine(async_url)
    project.alembic = Alembic(metadata=project.metadata, engine=engine)
    project.app = make_app(
        project.alembic, instance_path=tmp_path, ALEMBIC_DIRECTORY=str(project.folder)
    )
    project.async_engine = engine
    with project.app.app_context():
        yield project
    asyncio.run(engine.dispose())


def test_an_async_engine_is_migrated_by_the_same_calls(async_project: Project) -> None:
    alembic = async_project.alembic
    async_project.add_table("item")
    alembic.revision("item")
    steps: list[t.Any] = []
    assert len(alembic.upgrade(on_step=steps.append)) == 1
    assert len(steps) == 1
    assert async_project.tables() == {"item", "alembic_version"}
    assert alembic.check().state is State.UP_TO_DATE
    assert len(alembic.downgrade("base")) == 1


@pytest.mark.flask_only("Quart refuses a call that would stop its event loop")
def test_it_may_be_called_where_a_loop_is_running(async_project: Project) -> None:
    async_project.write_table("aa", None, "item")
    engine: AsyncEngine = async_project.async_engine

    async def main() -> int:
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
        async_project.alembic.upgrade()
        async with engine.connect() as connection:
            found = await connection.scalar(sa.text("SELECT count(*) FROM item"))
        await engine.dispose()
        return int(found)

    assert asyncio.run(main()) == 0


def test_an_error_comes_through(async_project: Project) -> None:
    async_project.write("aa", None, "op.execute('NONSENSE')")
    with pytest.raises(RevisionFailed, match="aa"):
        async_project.alembic.upgrade()
