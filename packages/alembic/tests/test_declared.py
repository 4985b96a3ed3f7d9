from __future__ import annotations

import typing as t

import sqlalchemy as sa
from sqlalchemy_declarative_extensions import declare_database
from sqlalchemy_declarative_extensions import View
from sqlalchemy_declarative_extensions.dialects.postgresql import Function
from sqlalchemy_declarative_extensions.dialects.postgresql import Trigger

from flaskware_alembic.testing import assert_migrations

Project: t.TypeAlias = t.Any
BUMP = "BEGIN NEW.n := NEW.n + 1; RETURN NEW; END"


def declare(project: Project, at_least: int, *columns: sa.Column[t.Any]) -> None:
    project.metadata.clear()
    project.add_table("item", sa.Column("n", sa.Integer), *columns)
    bump = Trigger.before("insert", on="item", execute="bump", name="bumps")
    declare_database(
        project.metadata,
        views=[View("big", f"SELECT id, n FROM item WHERE n > {at_least}")],
        functions=[Function("bump", BUMP, returns="trigger", language="plpgsql")],
        triggers=[bump.for_each_row()],
    )


def rows(project: Project) -> list[tuple[int, ...]]:
    with project.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text("SELECT * FROM big"))]


def test_views_functions_and_triggers_are_made_changed_and_dropped(
    pg: Project,
) -> None:
    declare(pg, 3)
    changes = pg.alembic.status().binds[0].changes
    assert any("CREATE VIEW big" in change for change in changes)
    pg.alembic.revision("all")
    pg.alembic.upgrade()
    pg.alembic.check()
    with pg.engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO item VALUES (1, 3), (2, 8)"))
    assert rows(pg) == [(1, 4), (2, 9)]

    declare(pg, 5, sa.Column("s", sa.String(9)))
    pg.alembic.revision("fewer")
    pg.alembic.upgrade()
    pg.alembic.check()
    assert rows(pg) == [(2, 9)]
    pg.alembic.downgrade("-1")
    assert rows(pg) == [(1, 4), (2, 9)]
    assert_migrations(pg.alembic)


def test_they_stay_when_a_table_is_renamed(pg: Project) -> None:
    declare(pg, 3)
    pg.add_table("other", sa.Column("n", sa.Integer))
    pg.alembic.revision("all")
    pg.alembic.upgrade()
    declare(pg, 3)
    pg.add_table("another", sa.Column("n", sa.Integer))
    (info,) = pg.alembic.revision("renamed", renamed=lambda *_: True)
    assert "VIEW" not in info.path.read_text()
    pg.alembic.upgrade()
    pg.alembic.check()
