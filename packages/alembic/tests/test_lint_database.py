"""Lint that asks the database, and fixes that go by what is known of it."""

from __future__ import annotations

import collections.abc as cabc
import textwrap
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa

from flaskware_core import Level

Project: t.TypeAlias = t.Any
ROWS = {
    "postgresql": "INSERT INTO big SELECT i, 1, repeat('x', 300)"
    " FROM generate_series(1, 40000) i",
    "mysql": "INSERT INTO big SELECT seq, 1, repeat('x', 300) FROM seq_1_to_40000",
}


@pytest.fixture(params=["postgresql", "mariadb"])
def served(
    request: pytest.FixtureRequest, make_project: t.Any
) -> cabc.Iterator[Project]:
    """A project on a server, with a large and a small table that no revision made."""
    project = make_project(request.getfixturevalue(f"{request.param}_url"))
    with project.engine.begin() as connection:
        for name in ("big", "little"):
            connection.exec_driver_sql(
                f"CREATE TABLE {name} (id BIGINT PRIMARY KEY, n INT, v VARCHAR(9000))"
            )
        family = "postgresql" if "postgres" in project.engine.name else "mysql"
        connection.exec_driver_sql(ROWS[family])
    with project.engine.connect() as connection:
        analyze = "ANALYZE big" if family == "postgresql" else "ANALYZE TABLE big"
        connection.exec_driver_sql(analyze)
        connection.commit()
    with project.app.app_context():
        yield project


def send(project: Project, *statements: str) -> None:
    with project.engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_what_takes_but_a_moment_on_a_small_table_is_a_hint(served: Project) -> None:
    change = "op.create_check_constraint('ck_{0}', '{0}', 'n > 0')".format
    served.write("aa", None, change("big") + "\n" + change("little"))
    (finding,) = served.alembic.plan().steps[0].findings
    assert "ck_big" in finding.what
    assert "The table has about" in finding.note
    assert "MB" in finding.note
    assert len(served.alembic.lint()) == 2
    (finding,) = served.alembic.lint(database=True)
    assert "ck_big" in finding.what
    little = served.alembic.lint(database=True, hints=True)[1]
    assert little.level is Level.INFO
    assert "takes but a moment" in little.note
    result = served.run("lint", "--database")
    assert "ck_big" in result.output
    assert "ck_little" not in result.output


def test_a_type_that_only_the_database_knows_is_compared(served: Project) -> None:
    action = "ALTER v TYPE" if served.engine.name == "postgresql" else "MODIFY v"
    served.write("aa", None, f"op.execute('ALTER TABLE big {action} VARCHAR(9002)')")
    assert [f.rule[:11] for f in served.alembic.lint()] == ["change-type"]
    assert served.alembic.lint(database=True) == []
    assert served.alembic.plan().steps[0].findings == ()


def test_after_a_revision_its_columns_are_no_ground_any_more(served: Project) -> None:
    action = "ALTER n TYPE" if served.engine.name == "postgresql" else "MODIFY n"
    served.write("aa", None, f"op.execute('ALTER TABLE big {action} BIGINT')")
    served.alembic.upgrade()
    (finding,) = served.alembic.lint(database=True)
    assert finding.rule.startswith("change-type")


def test_a_valid_check_makes_not_null_safe(pg: Project) -> None:
    send(
        pg,
        "CREATE TABLE item (id int, n int, m int)",
        "INSERT INTO item SELECT i, 1, 1 FROM generate_series(1, 300000) i",
        'ALTER TABLE item ADD CONSTRAINT "set" CHECK (n IS NOT NULL)',
        "ALTER TABLE item ADD CONSTRAINT unset CHECK (m IS NOT NULL) NOT VALID",
    )
    alter = "op.alter_column('item', '{}', nullable=False)".format
    pg.write("aa", None, f"{alter('n')}\n{alter('m')}")
    assert len(pg.alembic.lint()) == 2
    (finding,) = pg.alembic.plan().steps[0].findings
    assert finding.what.endswith("item.m")


def test_a_domain_and_a_default_partition_of_the_database_count(pg: Project) -> None:
    send(
        pg,
        "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
        "CREATE TABLE item (id int, pad text)",
        "INSERT INTO item SELECT i, repeat('x', 300) FROM generate_series(1, 40000) i",
    )
    pg.write("aa", None, "op.execute('ALTER TABLE item ADD c positive')")
    assert pg.alembic.lint() == []
    found = pg.alembic.lint(database=True)
    assert [f.rule for f in found] == ["add-constrained-domain"]


@pytest.mark.parametrize(("rows", "level"), [(10, Level.INFO), (9000, Level.WARNING)])
def test_a_small_file_of_sqlite_makes_a_copy_of_a_table_a_hint(
    project: Project, rows: int, level: Level
) -> None:
    send(
        project,
        "CREATE TABLE item (id INTEGER PRIMARY KEY, n INTEGER, v TEXT)",
        "WITH RECURSIVE i (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM i"
        f" WHERE x < {rows}) INSERT INTO item SELECT x, x, hex(zeroblob(600)) FROM i",
    )
    code = "batch.alter_column('n', nullable=False, existing_type=sa.Integer())"
    project.write("aa", None, f"with op.batch_alter_table('item') as batch: {code}")
    with project.app.app_context():
        found = project.alembic.lint(database=True, hints=True)
        (copied,) = [f for f in found if f.rule == "sqlite-rebuild"]
        assert copied.level is level
        assert ("takes but a moment" in copied.note) is (level is Level.INFO)
        assert f"about {rows} rows" in copied.note or "MB" in copied.note


def test_a_key_in_a_column_is_right_on_the_server_that_makes_it(
    make_project: t.Any, mariadb_url: str
) -> None:
    project = make_project(mariadb_url)
    send(project, "CREATE TABLE item (id INT PRIMARY KEY)")
    project.write(
        "aa", None, "op.execute('ALTER TABLE item ADD o INT REFERENCES item (id)')"
    )
    with project.app.app_context():
        rules = {f.rule for f in project.alembic.lint()}
        assert "reference-in-column" in rules
        known = {f.rule for f in project.alembic.lint(database=True, hints=True)}
        assert "reference-in-column" not in known
        project.alembic.upgrade()
    (key,) = sa.inspect(project.engine).get_foreign_keys("item")
    assert key["constrained_columns"] == ["o"]


def test_no_database_is_asked_unless_it_is_said(
    pg: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    pg.write("aa", None, "op.create_index('ix', 'item', ['n'])")

    def refuse(*_: object, **__: object) -> t.Any:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(pg.engine.pool, "connect", refuse)
    assert len(pg.alembic.lint()) == 1


PARTS = "CREATE TABLE parts (id bigint, n int) PARTITION BY LIST (n)"
INDEX = "op.create_index('ix_parts', 'parts', ['n'])"


@pytest.mark.parametrize("origin", ["sql", "operation", "database"])
def test_an_index_of_a_partitioned_table_is_left_alone(
    pg: Project, origin: str
) -> None:
    if origin == "database":
        send(pg, PARTS)
        pg.write("aa", None)
    elif origin == "sql":
        pg.write("aa", None, f"op.execute('{PARTS}')")
    else:
        pg.write(
            "aa",
            None,
            "op.create_table('parts', sa.Column('id', sa.BigInteger),"
            " sa.Column('n', sa.Integer), postgresql_partition_by='LIST (n)')",
        )
    path = pg.write("bb", "aa", INDEX)
    send(pg, *(() if origin == "database" else [PARTS.replace("parts", "other")]))
    before = path.read_bytes()
    asks = origin == "database"
    result = pg.run("lint", "bb", "--fix", *(["--database"] if asks else []))
    assert path.read_bytes() == before
    found = pg.alembic.lint("bb", hints=True, database=asks)
    assert "consists of partitions" in found[0].note
    if not asks:
        assert "consists of partitions" in " ".join(result.output.split())
    pg.alembic.upgrade()
    assert sa.inspect(pg.engine).get_indexes("parts")


LEFT = [
    (
        "with op.get_bind().begin_nested():\n    op.create_index('ix', 'item', ['n'])",
        "which cannot commit half way",
    ),
    (
        "op.execute('LOCK TABLE item')\nop.create_index('ix', 'item', ['n'])",
        "ends with the transaction",
    ),
    (
        "op.execute('SET LOCAL x.y = 1')\nop.drop_index('ix_old', 'item')",
        "ends with the transaction",
    ),
    ("name = 'uq'\nop.create_unique_constraint(name, 'item', ['n'])", "in a variable"),
    ("op.create_index('ix', 'item', ['n']); x = 1", "its lines for itself"),
    ("op.execute('ALTER TABLE item ADD UNIQUE (n)')", "no safe form of `op.execute`"),
]


@pytest.mark.parametrize(("code", "reason"), LEFT)
def test_what_is_left_alone_says_why(pg: Project, code: str, reason: str) -> None:
    path = pg.write("aa", None, code)
    before = path.read_bytes()
    result = pg.run("lint", "--fix")
    assert path.read_bytes() == before
    assert reason in " ".join(result.output.split())


HEADERS = {
    "Alembic's": """
        \"\"\"what changed

        Revision ID: bb
        Revises: aa
        Create Date: 2024-01-01

        \"\"\"
        from typing import Sequence, Union

        from alembic import op
        import sqlalchemy as sa


        # revision identifiers, used by Alembic.
        revision: str = 'bb'
        down_revision: Union[str, Sequence[str], None] = 'aa'
        branch_labels: Union[str, Sequence[str], None] = None
        depends_on: Union[str, Sequence[str], None] = None
    """,
    "a future import and other imports": """
        from __future__ import annotations
        import os
        import sqlalchemy as sa
        from alembic import context, op
        (revision) = "bb"
        down_revision = "aa"
    """,
    "one on top of the other": """
        revision = 'bb'; down_revision = 'aa'
        import sqlalchemy as sa, os
        from alembic import op
    """,
    "in brackets": """
        \"\"\"bb\"\"\"
        from alembic import (
            op,
        )
        from sqlalchemy import Text
        import sqlalchemy as sa
        revision = (
            'bb'
        )
        down_revision = (
            'aa'
        )
        X = 1
    """,
}
FIXES = {
    "set-not-null": "op.alter_column('item', 'n', nullable=False)",
    "add-required-column": "op.add_column('item', sa.Column('m', sa.Text(),"
    " nullable=False))",
    "index-not-concurrent": "op.create_index('ix_n', 'item', ['n'])",
    "rename-column": "op.alter_column('item', 'n', new_column_name='o',"
    " existing_type=sa.Integer())",
}


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("rule", FIXES)
def test_a_fix_works_under_any_header(pg: Project, header: str, rule: str) -> None:
    pg.write(
        "aa",
        None,
        "op.create_table('item', sa.Column('id', sa.BigInteger, primary_key=True),"
        " sa.Column('n', sa.Integer))",
    )
    pg.alembic.upgrade()
    send(pg, "INSERT INTO item (id, n) VALUES (1, 5), (2, NULL)")
    path = pg.folder / "bb.py"
    text = textwrap.dedent(HEADERS[header]).lstrip() + (
        "\n\n# above\ndef upgrade():\n    # in it\n    " + FIXES[rule] + "\n"
    )
    path.write_text(text, "utf-8")
    pg.alembic.state.forget()
    # What is required at last is set without a lock, by a fix of its own.
    expected = [rule, *(["set-not-null"] * (rule == "add-required-column"))]
    assert [fix.finding.rule for fix in pg.alembic.fix()] == expected
    assert "# in it" in path.read_text("utf-8")
    for file in pg.folder.glob("*.py"):
        source = file.read_text("utf-8")
        if "..." in source:
            file.write_text(source.replace(": ...}", ": 7}"), "utf-8")
    pg.alembic.state.forget()
    assert [found for found in pg.alembic.lint() if found.waiver is None] == []
    pg.alembic.upgrade()
    pg.alembic.upgrade(contract=True)
    columns = {c["name"]: c for c in sa.inspect(pg.engine).get_columns("item")}
    assert {
        "set-not-null": not columns.get("n", {}).get("nullable"),
        "add-required-column": "m" in columns and not columns["m"]["nullable"],
        "index-not-concurrent": bool(sa.inspect(pg.engine).get_indexes("item")),
        "rename-column": "o" in columns,
    }[rule]


def test_what_a_contract_needs_is_imported_there(pg: Project) -> None:
    pg.write(
        "aa",
        None,
        "op.create_table('item', sa.Column('id', sa.BigInteger, primary_key=True))",
    )
    pg.alembic.upgrade()
    path = pg.write(
        "bb",
        "aa",
        "op.add_column('item', sa.Column('m', ARRAY(sa.Text()), nullable=False))",
        extra="from sqlalchemy.dialects.postgresql import ARRAY, JSONB",
    )
    assert [fix.finding.rule for fix in pg.alembic.fix("bb")] == ["add-required-column"]
    (contract,) = set(Path(pg.folder).glob("*.py")) - {path, pg.folder / "aa.py"}
    text = contract.read_text("utf-8")
    assert "from sqlalchemy.dialects.postgresql import ARRAY\n" in text
    assert "JSONB" not in text
    contract.write_text(text.replace(": ...}", ": []}"), "utf-8")
    pg.alembic.state.forget()
    pg.alembic.upgrade()
    pg.alembic.upgrade(contract=True)
    columns = {c["name"]: c for c in sa.inspect(pg.engine).get_columns("item")}
    assert not columns["m"]["nullable"]
