from __future__ import annotations

import typing as t

import pytest
import sqlalchemy as sa

from flaskware_alembic import State

Project: t.TypeAlias = t.Any


def migrate(project: Project, **options: t.Any) -> str:
    """Write what changed, apply it, and make sure that nothing is left."""
    (written,) = project.alembic.revision("change", in_place=True, **options)
    project.alembic.upgrade()
    assert project.alembic.check().state is State.UP_TO_DATE
    return str(written.path.read_text())


def declare(project: Project, *items: t.Any) -> None:
    project.metadata.clear()
    project.add_table("item", *items)


def test_checks_come_and_go(any_project: Project) -> None:
    n = sa.Column("n", sa.Integer)
    declare(any_project, n)
    migrate(any_project)
    n = sa.Column("n", sa.Integer)
    declare(any_project, n, sa.CheckConstraint(n > 3, name="n_is_large"))
    assert any_project.alembic.status().binds[0].changes == (
        "add check n_is_large of item",
    )
    migrate(any_project)
    with pytest.raises(sa.exc.DBAPIError), any_project.engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO item (id, n) VALUES (1, 2)"))
    declare(any_project, sa.Column("n", sa.Integer))
    assert any_project.alembic.status().binds[0].changes == (
        "remove check n_is_large of item",
    )
    migrate(any_project)
    any_project.alembic.downgrade("base")
    any_project.alembic.upgrade()


def test_a_check_goes_with_a_column_in_one_revision(any_project: Project) -> None:
    declare(any_project)
    migrate(any_project)
    n = sa.Column("n", sa.Integer)
    declare(any_project, n, sa.CheckConstraint(n > 3, name="n_is_large"))
    code = migrate(any_project)
    assert code.index("add_column") < code.index("create_check_constraint")
    any_project.alembic.downgrade("-1")
    any_project.alembic.upgrade()


def test_checks_that_belong_to_a_type_are_left_to_it(any_project: Project) -> None:
    kind = sa.Enum("a", "b", name="kind", native_enum=False, create_constraint=True)
    flag = sa.Boolean(create_constraint=True, name="flag_is_bool")
    declare(any_project, sa.Column("k", kind), sa.Column("f", flag))
    migrate(any_project)


def mood(*values: str) -> sa.Column[str]:
    return sa.Column("mood", sa.Enum(*values, name="mood"))


def labels(project: Project) -> list[str]:
    inspector: t.Any = sa.inspect(project.engine)
    (enum,) = inspector.get_enums()
    return list(enum["labels"])


def test_a_new_value_of_an_enum_comes_where_it_belongs(pg: Project) -> None:
    declare(pg, mood("bad", "good"))
    migrate(pg)
    declare(pg, mood("awful", "bad", "so: so", "good"))
    code = migrate(pg)
    assert "autocommit_block" in code
    assert labels(pg) == ["awful", "bad", "so: so", "good"]


def test_a_value_that_goes_makes_a_new_type(pg: Project) -> None:
    declare(pg, mood("bad", "good"))
    migrate(pg)
    with pg.engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO item VALUES (1, 'good')"))
    declare(pg, mood("good", "great"))
    migrate(pg)
    assert labels(pg) == ["good", "great"]
    with pg.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT mood FROM item")) == "good"


def test_an_enum_of_a_new_column_is_made_and_dropped(pg: Project) -> None:
    declare(pg)
    migrate(pg)
    declare(pg, mood("bad", "good"))
    migrate(pg)
    pg.alembic.downgrade("-1")
    inspector: t.Any = sa.inspect(pg.engine)
    assert inspector.get_enums() == []
    pg.alembic.upgrade()


def test_a_renamed_column_keeps_its_data_where_it_is_said(any_project: Project) -> None:
    declare(any_project, sa.Column("n", sa.Integer), sa.Column("s", sa.String(9)))
    migrate(any_project)
    with any_project.engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO item VALUES (1, 7, 'x')"))
    declare(any_project, sa.Column("m", sa.Integer), sa.Column("s", sa.String(9)))
    asked: list[tuple[str, str, str]] = []

    def renamed(table: str, old: str, new: str) -> bool:
        asked.append((table, old, new))
        return True

    migrate(any_project, renamed=renamed)
    assert asked == [("item", "n", "m")]
    with any_project.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT m FROM item")) == 7
    any_project.alembic.downgrade("-1")
    with any_project.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT n FROM item")) == 7


def test_the_command_takes_renames_and_refuses_what_is_none(project: Project) -> None:
    with project.app.app_context():
        declare(project, sa.Column("n", sa.Integer))
        migrate(project)
        declare(project, sa.Column("m", sa.Integer))
        assert project.run("migrate", "--rename", "item").exit_code == 2
        assert project.run("migrate", "--rename", "item.n=m").exit_code == 0
        assert "drop_column" not in project.alembic.heads()[0].path.read_text()


def test_what_was_not_renamed_is_dropped_and_added(project: Project) -> None:
    with project.app.app_context():
        declare(project, sa.Column("n", sa.Integer))
        migrate(project)
        declare(project, sa.Column("m", sa.Integer))
        assert "drop_column" in migrate(project, renamed=lambda *_: False)
