"""What ``--fix`` splits in two, with old and new code at work in between."""

from __future__ import annotations

import typing as t

import pytest
import sqlalchemy as sa

from flaskware_alembic import ContractRefused
from flaskware_alembic import RevisionFailed
from flaskware_alembic import RevisionFileError
from flaskware_core import Level

Project: t.TypeAlias = t.Any
TABLE = (
    "op.create_table('order', sa.Column('id', sa.BigInteger, primary_key=True),"
    " sa.Column('user', sa.Integer(), {}))\n"
    "op.execute('INSERT INTO \"order\" VALUES (1, 10), (2, 20)')"
)
RENAME = (
    (
        "op.alter_column('order', 'user', new_column_name='owner',"
        " existing_type=sa.Integer(){})"
    ),
    (
        "op.alter_column('order', 'owner', new_column_name='user',"
        " existing_type=sa.Integer())"
    ),
)
WIDEN = (
    (
        "op.alter_column('order', 'user', type_=sa.BigInteger(),"
        " existing_type=sa.Integer(){})"
    ),
    (
        "op.alter_column('order', 'user', type_=sa.Integer(),"
        " existing_type=sa.BigInteger())"
    ),
)
DEFAULT = ", existing_nullable=False, existing_server_default=sa.text('7')"
# What the column declares, and what the operation says of it.
DECLARED = {
    "nullable": ("nullable=True", ", existing_nullable=True"),
    "required": ("nullable=False", ", existing_nullable=False"),
    "with default": ("nullable=False, server_default=sa.text('7')", DEFAULT),
}


def run(project: Project, sql: str) -> list[t.Any]:
    """What another process does, in a transaction of its own."""
    with project.engine.begin() as connection:
        result = connection.execute(sa.text(sql))
        return [tuple(row) for row in result] if result.returns_rows else []


def columns(project: Project) -> dict[str, tuple[str, bool, str | None]]:
    found = sa.inspect(project.engine).get_columns("order")
    return {c["name"]: (str(c["type"]), c["nullable"], c["default"]) for c in found}


def rows(project: Project, *names: str) -> list[t.Any]:
    return run(project, f'SELECT id, {", ".join(names)} FROM "order" ORDER BY id')


def leftovers(project: Project) -> list[t.Any]:
    return run(
        project,
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
        " UNION ALL SELECT proname FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace"
        " UNION ALL SELECT conname FROM pg_constraint WHERE contype = 'c'"
        " AND connamespace = 'public'::regnamespace",
    )


def expand(project: Project, codes: tuple[str, str], declared: str) -> None:
    """Two revisions out of one, the first of them applied."""
    column, said = DECLARED[declared]
    project.write("aa", None, TABLE.format(column), "op.drop_table('order')")
    project.alembic.upgrade()
    project.write("bb", "aa", codes[0].format(said), codes[1])
    result = project.run("lint", "--fix", "bb")
    assert result.exit_code == 0, result.output
    findings = project.alembic.lint()
    assert [f for f in findings if f.level > Level.INFO and f.waiver is None] == []
    assert project.alembic.fix() == []
    assert len(project.alembic.upgrade().left) == 1


@pytest.mark.parametrize("declared", DECLARED)
def test_a_rename_loses_no_write_of_old_or_new_code(pg: Project, declared: str) -> None:
    expand(pg, RENAME, declared)
    assert rows(pg, '"user"', "owner") == [(1, 10, 10), (2, 20, 20)]
    run(pg, 'UPDATE "order" SET "user" = 11 WHERE id = 1')
    run(pg, 'INSERT INTO "order" (id, "user") VALUES (3, 30)')
    run(pg, 'INSERT INTO "order" (id, owner) VALUES (4, 40)')
    run(pg, 'UPDATE "order" SET owner = 21 WHERE id = 2')
    run(pg, 'UPDATE "order" SET "user" = 41 WHERE id = 4')
    expected = [(1, 11, 11), (2, 21, 21), (3, 30, 30), (4, 41, 41)]
    if declared == "nullable":
        run(pg, 'INSERT INTO "order" (id) VALUES (5)')
        run(pg, 'UPDATE "order" SET owner = NULL WHERE id = 3')
        expected = [*expected[:2], (3, None, None), expected[3], (5, None, None)]
    if declared == "with default":
        run(pg, 'INSERT INTO "order" (id) VALUES (5)')
        expected.append((5, 7, 7))
    assert rows(pg, '"user"', "owner") == expected
    between = columns(pg)
    pg.alembic.upgrade(contract=True)
    final = [(id, value) for id, value, _ in expected]
    assert rows(pg, "owner") == final
    assert leftovers(pg) == []
    default = "7" if declared == "with default" else None
    info = ("INTEGER", declared == "nullable", default)
    assert columns(pg) == {"id": columns(pg)["id"], "owner": info}
    # Down, with the old code at work, and up again.
    pg.alembic.downgrade("bb")
    assert columns(pg) == between
    assert rows(pg, '"user"', "owner") == expected
    run(pg, 'INSERT INTO "order" (id, "user") VALUES (6, 60)')
    run(pg, 'INSERT INTO "order" (id, owner) VALUES (7, 70)')
    pg.alembic.downgrade("aa")
    final += [(6, 60), (7, 70)]
    assert rows(pg, '"user"') == final
    assert leftovers(pg) == []
    assert columns(pg) == {"id": columns(pg)["id"], "user": info}
    pg.alembic.upgrade()
    pg.alembic.upgrade(contract=True)
    assert rows(pg, "owner") == final


@pytest.mark.parametrize("declared", DECLARED)
def test_a_wider_type_ends_in_the_same_name_and_loses_no_write(
    pg: Project, declared: str
) -> None:
    expand(pg, WIDEN, declared)
    run(pg, 'UPDATE "order" SET "user" = 11 WHERE id = 1')
    run(pg, 'INSERT INTO "order" (id, "user") VALUES (3, 30)')
    default = "7" if declared == "with default" else None
    between = columns(pg)
    pg.alembic.upgrade(contract=True)
    info = (declared == "nullable", default)
    assert columns(pg) == {"id": columns(pg)["id"], "user": ("BIGINT", *info)}
    assert leftovers(pg) == []
    run(pg, 'INSERT INTO "order" (id, "user") VALUES (4, 40)')
    expected = [(1, 11), (2, 20), (3, 30), (4, 40)]
    assert rows(pg, '"user"') == expected
    pg.alembic.downgrade("bb")
    assert columns(pg) == between
    run(pg, 'INSERT INTO "order" (id, "user") VALUES (5, 50)')
    expected.append((5, 50))
    assert rows(pg, '"user"') == expected
    assert rows(pg, "user_new") == expected
    pg.alembic.downgrade("aa")
    assert columns(pg) == {"id": columns(pg)["id"], "user": ("INTEGER", *info)}
    assert leftovers(pg) == []
    pg.alembic.upgrade()
    pg.alembic.upgrade(contract=True)
    assert rows(pg, '"user"') == expected


def test_writes_while_rows_are_filled_are_not_undone(pg: Project) -> None:
    expand(pg, RENAME, "required")
    # A row that the backfill did not come to yet.
    run(pg, 'ALTER TABLE "order" DISABLE TRIGGER USER')
    run(pg, 'UPDATE "order" SET owner = NULL')
    run(pg, 'ALTER TABLE "order" ENABLE TRIGGER USER')
    run(pg, 'UPDATE "order" SET owner = 99 WHERE id = 2')
    run(pg, 'UPDATE "order" SET id = 5 WHERE id = 1')
    assert rows(pg, '"user"', "owner") == [(2, 99, 99), (5, 10, 10)]


@pytest.mark.parametrize("declared", ["nullable", "required"])
def test_what_was_not_filled_is_not_dropped(pg: Project, declared: str) -> None:
    expand(pg, RENAME, declared)
    run(pg, 'ALTER TABLE "order" DISABLE TRIGGER USER')
    run(pg, 'UPDATE "order" SET owner = NULL WHERE id = 2')
    run(pg, 'ALTER TABLE "order" ENABLE TRIGGER USER')
    with pytest.raises(ContractRefused, match="a row was not brought up to date"):
        pg.alembic.upgrade(contract=True)
    run(pg, 'UPDATE "order" SET "user" = "user"')
    pg.alembic.upgrade(contract=True)
    assert rows(pg, "owner") == [(1, 10), (2, 20)]


REFUSED = {
    "type": (
        "sa.Column('n', sa.Integer())",
        "op.alter_column('t', 'n', new_column_name='m')",
        "existing_type=...",
    ),
    "key": (
        "sa.Column('n', sa.Integer(), primary_key=True)",
        "op.alter_column('t', 'n', new_column_name='m', existing_type=sa.Integer())",
        "it is a key",
    ),
    "index": (
        "sa.Column('n', sa.Integer()), sa.UniqueConstraint('n')",
        "op.alter_column('t', 'n', new_column_name='m', existing_type=sa.Integer())",
        "part of an index or a constraint",
    ),
    "check": (
        "sa.Column('n', sa.Integer()), sa.CheckConstraint('n > 0')",
        "op.alter_column('t', 'n', new_column_name='m', existing_type=sa.Integer())",
        "part of an index or a constraint",
    ),
    "unknown": (
        "sa.Column('k', sa.Integer())",
        "op.alter_column('t', 'n', new_column_name='m', existing_type=sa.Integer())",
        "no earlier revision adds t.n",
    ),
    "nullable with default": (
        "sa.Column('n', sa.Integer(), server_default=sa.text('1'))",
        (
            "op.alter_column('t', 'n', new_column_name='m', existing_type=sa.Integer(),"
            " existing_server_default=sa.text('1'))"
        ),
        "nullable and has a default",
    ),
    "default not said": (
        "sa.Column('n', sa.Integer(), server_default='1', nullable=False)",
        "op.alter_column('t', 'n', new_column_name='m', existing_type=sa.Integer())",
        "existing_server_default= is not what",
    ),
    "no equality": (
        "sa.Column('n', sa.JSON())",
        "op.alter_column('t', 'n', new_column_name='m', existing_type=sa.JSON())",
        "may not be told apart",
    ),
    "narrower": (
        "sa.Column('n', sa.BigInteger())",
        "op.alter_column('t', 'n', type_=sa.Integer(), existing_type=sa.BigInteger())",
        "a number that becomes wider",
    ),
    "text": (
        "sa.Column('n', sa.Text())",
        (
            "op.alter_column('t', 'n', type_=sa.Integer(), existing_type=sa.Text(),"
            " postgresql_using='n::integer')"
        ),
        "more than this one thing",
    ),
    "used twice": (
        "sa.Column('n', sa.Integer())",
        (
            "op.alter_column('t', 'n', type_=sa.BigInteger(),"
            " existing_type=sa.Integer())\n"
            "op.create_check_constraint('ck', 't', 'n > 0')"
        ),
        "other statements of `upgrade` name n",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_surely_kept_the_same_is_not_fixed_and_says_why(
    pg: Project, case: str
) -> None:
    column, code, reason = REFUSED[case]
    made = f"op.create_table('t', {column})"
    pg.write("aa", None, made)
    path = pg.write("bb", "aa", code, code)
    before = path.read_text()
    found = [f for f in pg.alembic.lint("bb") if "--fix leaves" in f.note]
    assert len(found) == 1
    assert reason in found[0].note
    assert not found[0].can_fix
    pg.alembic.fix("bb")
    assert "alter_column('t', 'n'" in path.read_text()
    assert len(list(path.parent.glob("*.py"))) == 2
    assert case == "used twice" or path.read_text() == before


def test_a_downgrade_that_does_not_take_it_back_is_no_ground_for_a_fix(
    pg: Project,
) -> None:
    pg.write("aa", None, TABLE.format("nullable=True"))
    pg.write("bb", "aa", RENAME[0].format(""))
    (finding,) = [f for f in pg.alembic.lint("bb") if f.rule == "rename-column"]
    assert "`downgrade` does not undo it" in finding.note
    assert pg.alembic.fix("bb") == []


def test_an_index_that_an_earlier_revision_made_is_seen(pg: Project) -> None:
    pg.write("aa", None, TABLE.format("nullable=True"))
    pg.write("ab", "aa", "op.create_index('ix', 'order', ['user'])")
    pg.write("bb", "ab", RENAME[0].format(""), RENAME[1])
    assert pg.alembic.fix("bb") == []


def test_what_later_revisions_may_have_used_is_not_fixed(pg: Project) -> None:
    pg.write("aa", None, TABLE.format("nullable=True"))
    pg.write("bb", "aa", WIDEN[0].format(""), WIDEN[1])
    pg.write("cc", "bb", "op.create_index('ix', 'order', ['user'])")
    (finding,) = [f for f in pg.alembic.lint("bb") if f.rule == "change-type"]
    assert "later revisions follow" in finding.note
    assert pg.alembic.fix("bb") == []


def test_on_other_databases_the_advice_stays(project: Project) -> None:
    project.write("aa", None, TABLE.format("nullable=True"))
    project.write("bb", "aa", RENAME[0].format(""), RENAME[1])
    with project.app.app_context():
        (finding,) = [
            f for f in project.alembic.lint("bb") if f.rule == "rename-column"
        ]
        assert "for PostgreSQL only" in finding.note
        assert project.alembic.fix("bb") == []


def require(project: Project) -> t.Any:
    """NOT NULL for a column with a reserved name, of a table that has NULLs."""
    project.write("aa", None, TABLE.format("nullable=True"))
    project.alembic.upgrade()
    run(project, 'INSERT INTO "order" (id) VALUES (3)')
    code = (
        "op.alter_column('order', 'user', existing_type=sa.Integer(), nullable=False)"
    )
    path = project.write("bb", "aa", code)
    assert [fix.finding.rule for fix in project.alembic.fix("bb")] == ["set-not-null"]
    return path


def test_not_null_is_set_once_it_is_said_what_fills_it(pg: Project) -> None:
    path = require(pg)
    path.write_text(path.read_text().replace("{'user': ...}", "{'user': 0}"))
    assert pg.run("lint").exit_code == 0
    assert pg.alembic.fix() == []
    pg.alembic.upgrade()
    assert rows(pg, '"user"') == [(1, 10), (2, 20), (3, 0)]
    assert not columns(pg)["user"][1]
    assert leftovers(pg) == []


def test_not_null_that_fails_says_what_to_write_and_can_be_repeated(
    pg: Project,
) -> None:
    path = require(pg)
    text = path.read_text()
    start, end = text.index("@backfill"), text.index("def upgrade")
    path.write_text(text[:start] + text[end:])
    fill = 'UPDATE "order" SET "user" = ... WHERE "user" IS NULL'
    for _ in range(2):
        with pytest.raises(RevisionFailed) as caught:
            pg.alembic.upgrade()
        assert "'order_user_is_set'" in str(caught.value)
        assert fill in str(caught.value)
        assert "index" not in str(caught.value)
    run(pg, fill.replace("...", "5"))
    pg.alembic.upgrade()
    assert rows(pg, '"user"') == [(1, 10), (2, 20), (3, 5)]
    assert leftovers(pg) == []


def test_what_is_left_to_fill_in_is_refused_before_anything_is_done(
    pg: Project,
) -> None:
    path = require(pg)
    pg.write("ba", "aa", "op.add_column('order', sa.Column('k', sa.Integer()))")
    path.write_text(path.read_text().replace("'aa'", "'ba'"))
    lines = path.read_text().splitlines()
    line = next(n for n, text in enumerate(lines, start=1) if "..." in text)
    found = [f for f in pg.alembic.lint("bb") if f.rule == "to-fill-in"]
    assert [(f.line, f.level) for f in found] == [(line, Level.ERROR)]
    assert "{'user': ...}" in found[0].what
    with pytest.raises(RevisionFileError, match=rf"bb\.py:{line} .*'user': \.\.\."):
        pg.alembic.upgrade()
    assert "k" not in columns(pg)
    assert rows(pg, '"user"')[-1] == (3, None)


def test_a_type_or_a_body_of_dots_is_nothing_to_fill_in(pg: Project) -> None:
    pg.write("aa", None, "def later() -> None: ...\nkinds: tuple[int, ...] = ()")
    assert "to-fill-in" not in {f.rule for f in pg.alembic.lint()}


def test_what_is_printed_has_the_names_that_a_fix_writes(pg: Project) -> None:
    code = "op.alter_column('order', 'user', nullable=False)"
    path = pg.write("aa", None, code)
    (finding,) = [f for f in pg.alembic.lint() if f.rule == "set-not-null"]
    pg.alembic.fix()
    printed = [line.strip() for line in finding.safe.splitlines() if "execute" in line]
    assert len(printed) == 3
    assert all(line in path.read_text() for line in printed)
