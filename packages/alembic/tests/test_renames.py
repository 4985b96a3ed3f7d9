from __future__ import annotations

import typing as t

import pytest
import sqlalchemy as sa

from flaskware_alembic import MigrationError
from flaskware_alembic import State

Project: t.TypeAlias = t.Any
NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def migrate(project: Project, *renames: str) -> str:
    """Write what changed, apply it, and make sure that nothing is left."""
    left = list(renames)

    def renamed(place: str, old: str, new: str) -> bool:
        name = f"{place}.{old}={new}" if place else f"{old}={new}"
        if name in left:
            left.remove(name)
            return True
        return False

    (written,) = project.alembic.revision("change", renamed=renamed, in_place=True)
    assert left == []
    project.alembic.upgrade()
    status = project.alembic.status()
    assert status.binds[0].changes == ()
    assert status.state is State.UP_TO_DATE
    return str(written.path.read_text())


def declare(project: Project, *items: t.Any, table: str = "item") -> sa.Table:
    project.metadata.clear()
    return t.cast("sa.Table", project.add_table(table, *items))


def run(project: Project, sql: str) -> None:
    with project.engine.begin() as connection:
        connection.execute(sa.text(sql))


def value(project: Project, sql: str) -> t.Any:
    with project.engine.connect() as connection:
        return connection.scalar(sa.text(sql))


# Tables


def library(project: Project, author: str, *items: t.Any) -> None:
    author_id = sa.Column("author_id", sa.ForeignKey(f"{author}.id"))
    declare(project, author_id, table="book")
    project.add_table(
        author,
        sa.Column("name", sa.String(20), unique=True),
        sa.Column("mail", sa.String(20), index=True),
        sa.Column("boss_id", sa.ForeignKey(f"{author}.id")),
        sa.CheckConstraint("length(name) > 1", name="has_name"),
        *items,
    )


@pytest.mark.parametrize("convention", [{}, NAMES], ids=["unnamed", "named"])
def test_a_renamed_table_keeps_its_rows_and_what_refers_to_it(
    any_project: Project, convention: dict[str, str]
) -> None:
    is_sqlite = any_project.engine.dialect.name == "sqlite"
    if is_sqlite and not convention:
        pytest.skip("SQLite names no constraint by itself")
    any_project.metadata.naming_convention = convention or {
        "ix": "ix_%(column_0_label)s"
    }
    library(any_project, "author")
    migrate(any_project)
    run(any_project, "INSERT INTO author VALUES (1, 'Ada', 'ada@example.org', NULL)")
    run(any_project, "INSERT INTO book VALUES (1, 1)")

    library(any_project, "writer", sa.Column("born", sa.Integer))
    code = migrate(any_project, "author=writer")
    assert "op.rename_table('author', 'writer')" in code
    assert "create_table" not in code
    assert value(any_project, "SELECT name FROM writer") == "Ada"
    joined = "SELECT name FROM book JOIN writer ON writer.id = author_id"
    assert value(any_project, joined) == "Ada"

    any_project.alembic.downgrade("-1")
    assert value(any_project, "SELECT name FROM author") == "Ada"
    any_project.alembic.upgrade()
    assert any_project.alembic.check().state is State.UP_TO_DATE


def test_a_column_is_renamed_beside_its_table(any_project: Project) -> None:
    declare(any_project, sa.Column("n", sa.Integer))
    migrate(any_project)
    run(any_project, "INSERT INTO item VALUES (1, 7)")
    declare(any_project, sa.Column("m", sa.Integer), sa.Column("s", sa.String(9)))
    migrate(any_project, "item.n=m")
    declare(
        any_project,
        sa.Column("k", sa.Integer),
        sa.Column("s", sa.String(9)),
        table="thing",
    )
    migrate(any_project, "item=thing", "thing.m=k")
    assert value(any_project, "SELECT k FROM thing") == 7
    any_project.alembic.downgrade("-1")
    assert value(any_project, "SELECT m FROM item") == 7


def test_a_table_in_a_schema_is_renamed_in_it(
    postgresql_url: str, make_project: t.Any
) -> None:
    project = make_project(postgresql_url)
    run(project, "CREATE SCHEMA shop")
    url = sa.make_url(postgresql_url)
    project.engine.dispose()
    project.use(sa.create_engine(url, connect_args={"options": "-c search_path=shop"}))

    def declare_both(name: str) -> None:
        project.metadata.clear()
        id = sa.Column("id", sa.Integer, primary_key=True)
        sa.Table(name, project.metadata, id, sa.Column("n", sa.Integer, index=True))

    with project.app.app_context():
        declare_both("item")
        migrate(project)
        declare_both("thing")
        migrate(project, "item=thing")


def test_a_table_goes_after_what_refers_to_it(any_project: Project) -> None:
    any_project.metadata.naming_convention = NAMES
    library(any_project, "author")
    for name, of in (("a_note", "b_note"), ("b_note", "c_note"), ("c_note", "author")):
        of_id = sa.Column("of_id", sa.ForeignKey(f"{of}.id"))
        any_project.add_table(name, of_id)
    migrate(any_project)
    declare(any_project, table="book")
    migrate(any_project)
    any_project.alembic.downgrade("-1")
    any_project.alembic.upgrade()
    assert any_project.alembic.check().state is State.UP_TO_DATE


def test_tables_with_little_in_common_are_not_asked_about(project: Project) -> None:
    with project.app.app_context():
        declare(project, sa.Column("n", sa.Integer), sa.Column("m", sa.Integer))
        migrate(project)
        declare(project, sa.Column("s", sa.String(9)), table="other")
        asked: list[str] = []
        project.alembic.revision(
            "m", renamed=lambda *name: bool(asked.append(str(name)))
        )
        assert asked == []


# Columns


def test_one_column_becomes_one_other(any_project: Project) -> None:
    declare(any_project, sa.Column("a", sa.Integer), sa.Column("b", sa.Integer))
    migrate(any_project)
    declare(any_project, sa.Column("c", sa.Integer))
    (written,) = any_project.alembic.revision(
        "change", renamed=lambda *_: True, in_place=True
    )
    code = written.path.read_text()
    assert code.split("def downgrade")[0].count("new_column_name") == 1
    any_project.alembic.upgrade()
    assert any_project.alembic.check().state is State.UP_TO_DATE
    any_project.alembic.downgrade("-1")


def shelf(project: Project, key: str, name: str) -> None:
    project.metadata.clear()
    columns = [sa.Column(key, sa.Integer, primary_key=True)]
    columns.append(sa.Column(name, sa.String(20), index=True, unique=False))
    columns.append(sa.Column("place", sa.Integer))
    unique = sa.UniqueConstraint(name, "place", name="uq_place")
    sa.Table("shelf", project.metadata, *columns, unique)
    of = sa.Column("of", sa.ForeignKey(f"shelf.{key}"))
    project.add_table("box", of)


def test_a_renamed_column_keeps_its_indexes_and_the_keys_that_refer_to_it(
    any_project: Project,
) -> None:
    any_project.metadata.naming_convention = NAMES
    shelf(any_project, "id", "name")
    migrate(any_project)
    run(any_project, "INSERT INTO shelf VALUES (1, 'A', 2)")
    run(any_project, "INSERT INTO box VALUES (1, 1)")
    shelf(any_project, "number", "label")
    migrate(any_project, "shelf.id=number", "shelf.name=label")
    any_project.alembic.downgrade("-1")
    assert value(any_project, "SELECT name FROM shelf") == "A"
    any_project.alembic.upgrade()
    assert any_project.alembic.check().state is State.UP_TO_DATE


@pytest.mark.parametrize(
    "kind",
    [sa.Boolean(), sa.JSON(), sa.Uuid(), sa.Enum("a", "b", name="mood")],
    ids=str,
)
def test_a_column_can_be_renamed_whatever_its_type(
    any_project: Project, kind: t.Any
) -> None:
    declare(any_project, sa.Column("a", kind))
    migrate(any_project)
    declare(any_project, sa.Column("b", kind))
    migrate(any_project, "item.a=b")
    any_project.alembic.downgrade("-1")


# Values of enums


def mood(*values: str, **options: t.Any) -> sa.Column[str]:
    return sa.Column("mood", sa.Enum(*values, name="mood", **options))


@pytest.fixture(params=["postgresql", "mariadb"])
def with_enums(request: pytest.FixtureRequest, make_project: t.Any) -> t.Any:
    project = make_project(request.getfixturevalue(f"{request.param}_url"))
    project.place = "mood" if request.param == "postgresql" else "item.mood"
    with project.app.app_context():
        yield project


def test_a_renamed_value_is_renamed_in_the_rows(with_enums: Project) -> None:
    declare(with_enums, mood("bad", "it's: ok", "good"))
    migrate(with_enums)
    run(with_enums, "INSERT INTO item VALUES (1, 'bad')")
    declare(with_enums, mood("awful", "it's: ok", "good", "great"))
    migrate(with_enums, f"{with_enums.place}.bad=awful")
    assert value(with_enums, "SELECT mood FROM item") == "awful"
    with_enums.alembic.downgrade("-1")
    assert value(with_enums, "SELECT mood FROM item") == "bad"
    with_enums.alembic.upgrade()
    assert with_enums.alembic.check().state is State.UP_TO_DATE


def test_one_value_is_renamed_where_another_goes(with_enums: Project) -> None:
    declare(with_enums, mood("bad", "good", "great"))
    migrate(with_enums)
    run(with_enums, "INSERT INTO item VALUES (1, 'bad')")
    declare(with_enums, mood("awful", "good", "best"))
    migrate(with_enums, f"{with_enums.place}.bad=awful")
    with_enums.alembic.downgrade("-1")
    assert value(with_enums, "SELECT mood FROM item") == "bad"
    run(with_enums, "UPDATE item SET mood = 'good'")
    with_enums.alembic.upgrade()
    assert with_enums.alembic.check().state is State.UP_TO_DATE


def test_values_come_and_go_where_they_belong(with_enums: Project) -> None:
    declare(with_enums, mood("a", "b"))
    migrate(with_enums)
    run(with_enums, "INSERT INTO item VALUES (1, 'b')")
    declare(with_enums, mood("a", "new", "b"))
    assert [c for c in with_enums.alembic.status().binds[0].changes if "new" in c]
    migrate(with_enums)
    declare(with_enums, mood("new", "b"))
    migrate(with_enums)
    assert value(with_enums, "SELECT mood FROM item WHERE mood = 'b'") == "b"
    with_enums.alembic.downgrade("base")
    with_enums.alembic.upgrade()
    with_enums.alembic.check()


def test_values_that_a_check_keeps_come_go_and_are_renamed(
    any_project: Project,
) -> None:
    options = {"native_enum": False, "create_constraint": True}
    declare(any_project, mood("a", "b", **options))
    migrate(any_project)
    run(any_project, "INSERT INTO item VALUES (1, 'b')")
    declare(any_project, mood("a", "longer", "it's", **options))
    changes = any_project.alembic.status().binds[0].changes
    assert "change values of item.mood: a, b -> a, longer, it's" in changes
    migrate(any_project, "item.mood.b=it's")
    assert value(any_project, "SELECT mood FROM item") == "it's"
    with pytest.raises(sa.exc.DBAPIError):
        run(any_project, "INSERT INTO item VALUES (2, 'b')")
    any_project.alembic.downgrade("-1")
    assert value(any_project, "SELECT mood FROM item") == "b"
    any_project.alembic.upgrade()


# Types of PostgreSQL


def test_a_type_goes_with_the_last_table_that_has_it(pg: Project) -> None:
    declare(pg, mood("a", "b"))
    migrate(pg)
    pg.add_table("other", mood("a", "b"))
    migrate(pg)
    declare(pg)
    code = migrate(pg)
    assert "DROP TYPE mood" in code
    inspector: t.Any = sa.inspect(pg.engine)
    assert inspector.get_enums() == []
    pg.alembic.downgrade("base")
    assert pg.tables() == {"alembic_version"}
    inspector = sa.inspect(pg.engine)
    assert inspector.get_enums() == []
    pg.alembic.upgrade()


def test_a_type_that_another_table_has_stays(pg: Project) -> None:
    run(pg, "CREATE TYPE mood AS ENUM ('a', 'b')")
    run(pg, "CREATE TYPE theirs AS ENUM ('a', 'b')")
    declare(pg, mood("a", "b"))
    assert "DROP" not in migrate(pg).split("def downgrade")[0]
    inspector: t.Any = sa.inspect(pg.engine)
    assert {enum["name"] for enum in inspector.get_enums()} == {"mood", "theirs"}


class Moods(sa.types.TypeDecorator[str]):
    impl = sa.Enum("a", "b", name="Odd Mood")
    cache_ok = True


def test_names_that_need_quotes_defaults_and_lists_are_kept(pg: Project) -> None:
    def declare_user(*values: str) -> None:
        pg.metadata.clear()
        kind = sa.Enum(*values, name="UserMood")
        pg.add_table("x")
        sa.Table(
            "user",
            pg.metadata,
            sa.Column("Order", kind, server_default="a", nullable=False),
            sa.Column("all", sa.ARRAY(kind), server_default=sa.text("'{}'")),
            sa.Column("odd", Moods),
        )

    declare_user("a", "b", "c")
    migrate(pg)
    run(pg, 'INSERT INTO "user" ("all") VALUES (\'{a,b}\')')
    declare_user("a", "b")
    migrate(pg)
    run(pg, "INSERT INTO \"user\" (odd) VALUES ('b')")
    assert value(pg, 'SELECT count(*) FROM "user" WHERE "Order" = \'a\'') == 2
    pg.alembic.downgrade("-1")
    run(pg, 'INSERT INTO "user" ("Order") VALUES (\'c\')')
    run(pg, 'DELETE FROM "user"')
    pg.alembic.downgrade("base")
    pg.alembic.upgrade()
    pg.alembic.check()


def test_a_default_can_become_a_new_value(pg: Project) -> None:
    def declare_default(*values: str, default: str) -> None:
        kind = sa.Enum(*values, name="mood")
        declare(pg, sa.Column("mood", kind, server_default=default))

    declare_default("a", "b", default="a")
    migrate(pg)
    declare_default("b", "c", default="c")
    migrate(pg)
    pg.alembic.downgrade("-1")
    run(pg, "INSERT INTO item (id) VALUES (1)")
    assert value(pg, "SELECT mood FROM item") == "a"


# The command


def test_the_command_says_what_may_have_been_renamed(project: Project) -> None:
    with project.app.app_context():
        declare(project, sa.Column("n", sa.Integer))
        migrate(project)
        declare(project, sa.Column("n", sa.Integer), table="new thing")
        said = project.run("migrate").output
    assert "item will be dropped together with its data." in said
    assert "--rename 'item=new thing'" in said


def test_a_rename_that_names_nothing_writes_nothing(project: Project) -> None:
    with project.app.app_context():
        declare(project, sa.Column("n", sa.Integer))
        migrate(project)
        declare(project, sa.Column("m", sa.Integer))
        done = project.run("migrate", "--rename", "item.x=m")
        assert done.exit_code == MigrationError.exit_code == 1
        assert "--rename item.x=m does not match" in done.output
        assert "Wrote" not in done.output
        assert len(project.alembic.history()) == 1


def test_a_renamed_table_can_be_squashed(project: Project) -> None:
    with project.app.app_context():
        declare(project, sa.Column("n", sa.Integer))
        migrate(project)
        declare(project, sa.Column("n", sa.Integer), table="thing")
        migrate(project, "item=thing")
        (squashed,) = project.alembic.squash()
        assert "op.rename_table('item', 'thing')" in squashed.path.read_text()
        project.alembic.downgrade("base")
        project.alembic.upgrade()
        assert project.alembic.check().state is State.UP_TO_DATE


def test_revisions_with_types_can_be_squashed(pg: Project) -> None:
    declare(pg, mood("a", "b"))
    migrate(pg)
    pg.add_table("other", mood("a", "b"))
    migrate(pg)
    (squashed,) = pg.alembic.squash()
    assert squashed.path.read_text().count("create_type=False") == 2
    pg.alembic.downgrade("base")
    pg.alembic.upgrade()
    assert pg.alembic.check().state is State.UP_TO_DATE
