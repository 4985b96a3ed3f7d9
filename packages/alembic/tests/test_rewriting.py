"""One line of history again, and one revision out of many."""

from __future__ import annotations

import typing as t

import pytest
import sqlalchemy as sa

from flaskware_alembic import MigrationError
from flaskware_alembic import SeveralHeads
from flaskware_alembic import UnknownRevision

Project: t.TypeAlias = t.Any


def fork(project: Project) -> None:
    """Two lines that part after the first revision."""
    project.write_table("aa", None, "one")
    project.write_table("bb", "aa", "two")
    project.write_table("xx", "aa", "three")
    project.write_table("yy", "xx", "four")


def ids(items: t.Any) -> list[str]:
    return [getattr(item, "revision", item).id for item in items]


def test_a_branch_is_put_after_the_other_head(any_project: Project) -> None:
    fork(any_project)
    any_project.alembic.upgrade("bb")
    (changed,) = any_project.alembic.rebase("yy")
    assert (changed.id, changed.down) == ("xx", ("bb",))
    assert ids(any_project.alembic.history()) == ["yy", "xx", "bb", "aa"]
    any_project.alembic.upgrade()
    assert {"one", "two", "three", "four"} <= any_project.tables()
    assert any_project.alembic.rebase("yy") == []


def test_a_branch_that_a_database_has_is_not_moved(any_project: Project) -> None:
    fork(any_project)
    any_project.alembic.upgrade("xx")
    with pytest.raises(MigrationError, match="back first: flask db downgrade aa"):
        any_project.alembic.rebase("yy")
    any_project.alembic.downgrade("aa")
    any_project.alembic.rebase("yy")


def test_which_goes_after_which_is_asked_where_it_is_not_clear(
    any_project: Project,
) -> None:
    fork(any_project)
    any_project.write("zz", "aa")
    with pytest.raises(SeveralHeads, match="name the head of the line to move"):
        any_project.alembic.rebase("yy")
    with pytest.raises(UnknownRevision, match="'nowhere'"):
        any_project.alembic.rebase("nowhere")
    result = any_project.run("rebase", "yy", "--onto", "zz")
    assert "it follows zz" in result.output
    assert ids(any_project.alembic.heads()) == ["bb", "yy"]


def line(project: Project) -> None:
    project.write_table("aa", None, "one")
    project.write(
        "bb",
        "aa",
        "op.add_column('one', sa.Column('n', sa.Integer, server_default='3'))\n"
        "op.execute('INSERT INTO one (id) VALUES (1)')",
        "with op.batch_alter_table('one') as batch_op:\n    batch_op.drop_column('n')",
    )
    project.write(
        "cc",
        "bb",
        "with op.get_context().autocommit_block():\n"
        "    op.create_index('ix_n', 'one', ['n'])",
        "op.drop_index('ix_n', 'one')",
    )
    project.write_table("dd", "cc", "two")


def schema(project: Project) -> list[t.Any]:
    inspector = sa.inspect(project.engine)
    with project.engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(sa.text("SELECT * FROM one"))]
    columns = [(c["name"], str(c["type"])) for c in inspector.get_columns("one")]
    indexes = [index["name"] for index in inspector.get_indexes("one")]
    return [sorted(project.tables()), columns, indexes, rows]


def test_many_revisions_become_one_that_makes_the_same(any_project: Project) -> None:
    line(any_project)
    alembic = any_project.alembic
    alembic.upgrade()
    expected = schema(any_project)
    alembic.downgrade("base")
    (made,) = alembic.squash("cc")
    assert (made.id, made.down) == ("cc", ())
    assert ids(alembic.history()) == ["dd", "cc"]
    assert ids(alembic.upgrade()) == ["cc", "dd"]
    assert schema(any_project) == expected
    alembic.downgrade("base")
    assert not any_project.tables() & {"one", "two"}


@pytest.mark.parametrize("place", ["aa", "bb", "cc", "dd"])
def test_a_database_half_way_through_is_taken_along(
    any_project: Project, place: str
) -> None:
    line(any_project)
    alembic = any_project.alembic
    alembic.upgrade()
    expected = schema(any_project)
    alembic.downgrade("base")
    alembic.upgrade(place)
    assert any_project.run("squash", "cc").exit_code == 0
    before = ["aa", "bb", "cc", "dd"]
    assert ids(alembic.plan()) == before[before.index(place) + 1 :]
    alembic.upgrade()
    assert schema(any_project) == expected
    assert ids(alembic.current()) == ["dd"]
    alembic.check(models=False)


@pytest.mark.parametrize(
    ("upgrade", "extra"),
    [
        ("op.get_bind().scalar(sa.text('SELECT 1'))", ""),
        ("sa.inspect(op.get_bind())", ""),
        ("op.bulk_insert(sa.table('one', sa.column('id')), [{'id': 1}])", ""),
        ("pass", "contracts = 'aa'"),
    ],
)
def test_what_cannot_be_written_down_again_is_not_squashed(
    project: Project, upgrade: str, extra: str
) -> None:
    project.write_table("aa", None, "one")
    path = project.write("bb", "aa", upgrade, extra=extra)
    with (
        project.app.app_context(),
        pytest.raises(MigrationError, match=r"bb\.py cannot be squashed"),
    ):
        project.alembic.squash()
    assert path.exists()
    assert not (project.folder / "squashed").exists()


def test_lines_that_part_before_it_are_not_squashed(project: Project) -> None:
    fork(project)
    with (
        project.app.app_context(),
        pytest.raises(MigrationError, match="follows aa, which is before yy"),
    ):
        project.alembic.squash("yy")
