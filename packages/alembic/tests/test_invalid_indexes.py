"""An index that PostgreSQL did not build to the end is built anew, or told of."""

from __future__ import annotations

import threading
import typing as t

import pytest
import sqlalchemy as sa

from flaskware_alembic import MigrationError
from flaskware_alembic import PendingRevisions
from flaskware_alembic import RevisionFailed
from flaskware_alembic import State
from flaskware_core import examine

Project: t.TypeAlias = t.Any
CREATE = """
with op.get_context().autocommit_block():
    op.create_index(
        "ix Wörd:%s", "item", ["n"], unique=True,
        postgresql_concurrently=True, if_not_exists=True,
    )
"""
NAME = '"ix Wörd:%s"'


@pytest.fixture
def item(postgresql_url: str, make_project: t.Any) -> t.Any:
    """A table with duplicates, and a revision that wants none."""
    project = make_project(postgresql_url)
    project.write(
        "aa",
        None,
        "op.create_table('item', sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('n', sa.Integer))\n"
        "op.execute('INSERT INTO item VALUES (1, 5), (2, 5)')",
    )
    project.write("bb", "aa", CREATE, extra="lock_timeout = 20")
    with project.app.app_context():
        project.alembic.upgrade("aa")
        yield project


def send(project: Project, statement: str) -> t.Any:
    engine = project.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        result = connection.execute(sa.text(statement))
        return result.scalar() if result.returns_rows else None


def is_valid(project: Project) -> bool:
    return bool(
        send(
            project,
            "SELECT bool_and(indisvalid) FROM pg_index"
            " WHERE indrelid = 'item'::regclass",
        )
    )


def test_an_index_that_failed_is_not_taken_for_the_one_that_is_wanted(
    item: Project,
) -> None:
    for _ in range(2):
        with pytest.raises(RevisionFailed, match="the next upgrade rebuilds it"):
            item.alembic.upgrade()
        assert not is_valid(item)
        assert [info.id for info in item.alembic.current()] == ["aa"]
    send(item, "DELETE FROM item WHERE id = 2")
    item.alembic.upgrade()
    assert is_valid(item)
    assert len(sa.inspect(item.engine).get_indexes("item")) == 1


@pytest.mark.parametrize("call", ["op.execute({})", "op.get_bind().execute({})"])
def test_it_is_dropped_whatever_way_it_is_made(item: Project, call: str) -> None:
    create = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS ix ON public.item (n)"
    statement = call.format(f"sa.text({create!r})")
    item.write("bb", "aa", f"with op.get_context().autocommit_block(): {statement}")
    with pytest.raises(RevisionFailed):
        item.alembic.upgrade()
    send(item, "DELETE FROM item WHERE id = 2")
    item.alembic.upgrade()
    assert is_valid(item)


def test_an_index_of_the_same_name_on_another_table_is_left_alone(
    item: Project,
) -> None:
    with pytest.raises(RevisionFailed):
        item.alembic.upgrade()
    send(item, "CREATE SCHEMA other")
    send(item, "CREATE TABLE other.item (n int)")
    item.write(
        "bb", "aa", "op.create_index('ix Wörd:%s', 'item', ['n'], schema='other')"
    )
    item.alembic.upgrade()
    assert not is_valid(item)


def test_an_index_that_another_builds_now_is_neither_dropped_nor_reported(
    item: Project,
) -> None:
    send(item, "DELETE FROM item WHERE id = 2")
    with item.engine.connect() as writer:
        # Who builds an index waits for the transactions that began before.
        writer.execute(sa.text("INSERT INTO item VALUES (3, 6)"))
        name = NAME.replace(":", r"\:")
        create = f"CREATE INDEX CONCURRENTLY {name} ON item (n)"
        builder = threading.Thread(target=send, args=(item, create))
        builder.start()
        while is_valid(item):
            assert builder.is_alive()
        with pytest.raises(MigrationError, match="is being built by the PostgreSQL"):
            item.alembic.upgrade()
        assert not item.alembic.status().binds[0].invalid_indexes
        writer.rollback()
    builder.join()
    item.alembic.upgrade()
    assert is_valid(item)


def test_it_is_reported_with_what_mends_it(item: Project) -> None:
    with pytest.raises(RevisionFailed):
        item.alembic.upgrade()
    item.alembic.stamp("bb")
    assert item.alembic.status().state is State.UNFINISHED
    with pytest.raises(PendingRevisions) as caught:
        item.alembic.check(models=False)
    advice = f"REINDEX INDEX CONCURRENTLY {NAME}"
    assert f"index {NAME} is invalid" in caught.value.message
    assert advice in caught.value.message
    found = {finding.id: finding for finding in examine(item.app).findings}
    assert advice in (found["alembic.invalid-index"].fix)
    item.add_table("item", sa.Column("n", sa.Integer))
    assert advice in item.run("doctor").output
    send(item, "DELETE FROM item WHERE id = 2")
    send(item, advice.replace(":", r"\:"))
    item.alembic.check(models=False)
