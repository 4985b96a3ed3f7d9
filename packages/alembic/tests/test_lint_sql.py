# ruff: noqa: E501 - a statement is read best in one line
"""The same thing said in many ways is found in each; what cannot be read is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from flaskware_alembic._lint.engine import findings_of
from flaskware_alembic._lint.engine import Subject
from flaskware_alembic._results import RevisionInfo
from flaskware_alembic._sql.statement import changes_of_sql

from .test_lint_rules import DIALECTS
from .test_lint_rules import recorded

POSTGRESQL = [
    ('alter/* x */ table--c\n"It""em" ADD COLUMN x int', 'add_column It"em'),
    ("/* a /* b */ c */ DROP TABLE item", "drop_table item"),
    ("UPDATE t SET a = 'C:\\'; DROP TABLE x", "update t, drop_table x"),
    ("UPDATE t SET a = E'C:\\'; DROP TABLE x'; DROP TABLE y", "update t, drop_table y"),
    ("SELECT $fn1$ drop table x; $fn1$; drop table y", "harmless, drop_table y"),
    ("COMMENT ON TABLE t IS 'it''s; fine'", "harmless"),
    (
        "DO $$ BEGIN IF NOT EXISTS (SELECT 1) THEN CREATE TYPE m AS ENUM ('a'); END IF; ALTER TABLE item ADD COLUMN m int; END $$",
        "harmless, add_column item",
    ),
    (
        "DO $b$ DECLARE r record; n int := 0; BEGIN FOR r IN SELECT 1 LOOP EXECUTE 'DROP TABLE y'; EXECUTE format('x %s', r); n := 1; END LOOP; EXCEPTION WHEN duplicate_object THEN NULL; END $b$ LANGUAGE plpgsql",
        "drop_table y, other",
    ),
    (
        "CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN DELETE FROM t; RETURN NEW; END $$ LANGUAGE plpgsql",
        "harmless",
    ),
    (
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END; DROP TABLE q",
        "harmless, drop_table q",
    ),
    (
        "WITH x AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM x",
        "delete a, insert b",
    ),
    (
        "WITH RECURSIVE a(n) AS (SELECT 1), b AS NOT MATERIALIZED (SELECT 2) UPDATE t SET x = 1",
        "update t",
    ),
    ("WITH x AS (SELECT 1) SELECT * FROM x", "harmless"),
    ("MERGE INTO t USING s ON a = b WHEN MATCHED THEN DELETE", "update t"),
    ("EXPLAIN ANALYZE DELETE FROM t", "delete t"),
    ("EXPLAIN (COSTS OFF, ANALYZE) DELETE FROM t", "delete t"),
    ("EXPLAIN VERBOSE DELETE FROM t", "harmless"),
    ("EXPLAIN (COSTS OFF, ANALYZE FALSE) DELETE FROM t", "harmless"),
    (
        "CREATE RULE r AS ON UPDATE TO v DO INSTEAD (DELETE FROM a; DELETE FROM b); DROP TABLE c",
        "create_rule v, drop_table c",
    ),
    ("SELECT * INTO fresh FROM t", "create_table fresh"),
    ("ALTER TABLE t ADD CONSTRAINT c NOT NULL a NOT VALID", "set_not_null t"),
    ("ALTER TABLE t ADD key text", "add_column t"),
    (
        "ALTER TABLE ONLY s.t ALTER COLUMN a SET DATA TYPE bigint USING a::bigint, DROP b",
        "alter_type s.t, drop_column s.t",
    ),
    ("VACUUM (VERBOSE, FULL) t", "rewrite_table t"),
    ("VACUUM ANALYZE t", "harmless"),
    (
        "ALTER TABLE t DISABLE ROW LEVEL SECURITY, ENABLE ALWAYS TRIGGER x",
        "row_security t, disable_trigger t",
    ),
    ("DROP TABLE a, b CASCADE", "drop_table a, drop_table b"),
    ("; -- nothing\n;", ""),
    ("ALTER TABLE t ADD COLUMN d text DEFAULT 'abc", "other"),
    ("DROP TABLE t /* and", "other"),
    ("CALL p()", "other"),
    ("ALTER TABLE t DO SOMETHING NEW", "other t"),
]
MYSQL = [
    (
        "ALTER TABLE `a``b` ADD INDEX i (`x`), ALGORITHM=INPLACE, LOCK=NONE",
        "create_index a`b, harmless a`b, harmless a`b",
    ),
    ("INSERT INTO t VALUES ('a\\';b'); DROP TABLE x", "insert t, drop_table x"),
    ("# why\nDROP TABLE x", "drop_table x"),
    ("/*!50000 DROP TABLE x */", "drop_table x"),
    (
        "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW BEGIN UPDATE q SET a=1; IF x THEN DELETE FROM z; END IF; END; DROP TABLE y",
        "create_trigger t, drop_table y",
    ),
    (
        "CREATE DEFINER=`r`@`%` PROCEDURE p() BEGIN WHILE x DO SET x=1; END WHILE; CASE x WHEN 1 THEN SELECT 1; END CASE; END; DROP TABLE y",
        "harmless, drop_table y",
    ),
    ("ALTER TABLE t ADD COLUMN (a INT, b INT)", "add_column t, add_column t"),
    ("ALTER TABLE t MODIFY a INT NOT NULL COMMENT 'x, y'", "alter_type t"),
    (
        "ALTER TABLE t DROP FOREIGN KEY fk, DROP KEY k",
        "drop_constraint t, drop_index t",
    ),
    ("CREATE OR REPLACE TABLE x (a INT)", "drop_table x, create_table x"),
    ("SET STATEMENT max_statement_time=5 FOR DROP TABLE x", "drop_table x"),
    ("/*M!100300 DROP TABLE x */", "drop_table x"),
    ("DROP SCHEMA d", "drop_database"),
    ("FLUSH TABLES x WITH READ LOCK", "lock_table x"),
    ("ALTER IGNORE TABLE x ADD UNIQUE (a)", "rewrite_table x, add_unique x"),
    ("ALTER TABLE x ADD SYSTEM VERSIONING", "rewrite_table x"),
    (
        "ALTER TABLE x REORGANIZE PARTITION p, q INTO (PARTITION p VALUES IN (1))",
        "rewrite_table x",
    ),
    ("RENAME TABLES a TO b, c TO d", "rename_table a, rename_table c"),
    (
        "UPDATE LOW_PRIORITY x SET a = 1; DELETE QUICK FROM x; REPLACE x (a) VALUES (1)",
        "update x, delete x, insert x",
    ),
]
SQLITE = [
    (
        "CREATE TRIGGER tr AFTER INSERT ON n BEGIN INSERT INTO f VALUES (new.a); DELETE FROM g; END",
        "create_trigger n",
    ),
    ("CREATE VIRTUAL TABLE f USING fts5(a)", "create_table f"),
    ("ALTER TABLE [a b] RENAME TO c", "rename_table a b"),
    ("CREATE TABLE x (key text, value text)", "create_table x"),
]
CASES = [
    pytest.param(dialect, text, expected, id=f"{dialect}-{number}")
    for dialect, cases in (
        ("postgresql", POSTGRESQL),
        ("mysql", MYSQL),
        ("sqlite", SQLITE),
    )
    for number, (text, expected) in enumerate(cases)
]


@pytest.mark.parametrize(("dialect", "text", "expected"), CASES)
def test_sql_is_read_as_its_database_reads_it(
    dialect: str, text: str, expected: str
) -> None:
    changes = changes_of_sql(text, dialect)
    found = ", ".join(f"{c.kind} {c.table or ''}".rstrip() for c in changes)
    assert found == expected


def found_in(code: str, path: Path, dialect: str = "postgresql") -> list[str]:
    """The rules that are broken, without hints."""
    info = RevisionInfo("aa", None, "", (), path, is_head=True)
    subject = Subject(info, DIALECTS[dialect], recorded(code, path, dialect))
    return [f.rule for f in findings_of(subject) if f.level.value != "info"]


CREATED = 'op.create_table("fresh", sa.Column("id", sa.BigInteger))\n'
FORMS = [
    (
        'op.get_bind().execute(sa.text("UPDATE item SET n = :n"), {"n": 1})',
        ["data-change"],
    ),
    ('op.get_bind().exec_driver_sql("DROP TABLE item")', ["drop-table"]),
    ('op.get_context().connection.execute(sa.text("DROP TABLE item"))', ["drop-table"]),
    (
        'for t in ("a", "b"):\n    op.execute(f"DROP TABLE {t}")',
        ["drop-table", "drop-table"],
    ),
    ('def helper(t):\n    op.drop_table(t)\nhelper("item")', ["drop-table"]),
    (
        'if op.get_bind().dialect.name == "postgresql":\n    op.drop_table("item")',
        ["drop-table"],
    ),
    (
        'item = sa.table("item", sa.column("n"))\nop.execute(item.update().values(n=sa.func.now()))',
        ["data-change"],
    ),
    (
        'item = sa.table("item", sa.column("n"))\nop.bulk_insert(item, [{"n": b"1"}])',
        [],
    ),
    (
        'op.execute(sa.schema.DropTable(sa.Table("item", sa.MetaData())))',
        ["drop-table"],
    ),
    (
        'with op.batch_alter_table("item") as batch_op:\n    batch_op.drop_column("n")',
        ["drop-column"],
    ),
    ('with op.get_bind().begin_nested():\n    op.drop_table("item")', ["drop-table"]),
    ("op.get_bind().commit()", ["transaction-statement"]),
    (
        'op.execute("COMMIT; DROP TABLE x; BEGIN")',
        ["transaction-statement", "drop-table", "transaction-statement"],
    ),
    (
        CREATED
        + 'op.execute("CREATE INDEX i ON public.fresh (id)")\nop.execute("DROP INDEX i")',
        [],
    ),
    (
        CREATED
        + 'op.rename_table("fresh", "newer")\nop.create_index("j", "newer", ["id"])',
        [],
    ),
    (
        CREATED + 'op.drop_table("fresh")\nop.create_index("j", "fresh", ["id"])',
        ["index-not-concurrent"],
    ),
    ('op.execute("CREATE TEMP TABLE tt (a int); CREATE INDEX q ON tt (a)")', []),
    (
        'op.execute("CREATE TABLE IF NOT EXISTS item (a int); CREATE INDEX q ON item (a)")',
        ["index-not-concurrent"],
    ),
    (
        "op.execute(\"ALTER TABLE item ADD x timestamptz DEFAULT timezone('utc', now())\")",
        [],
    ),
    (
        "op.execute(\"ALTER TABLE item ADD x int DEFAULT nextval('s')\")",
        ["volatile-default"],
    ),
    (
        'op.alter_column("item", "n", type_=sa.Numeric(12, 2), existing_type=sa.Numeric(10, 2))',
        [],
    ),
    (
        'op.create_check_constraint("ck", "item", "m > 0", postgresql_not_valid=True)\nwith op.get_context().autocommit_block():\n    op.execute("ALTER TABLE item VALIDATE CONSTRAINT ck")\nop.alter_column("item", "n", nullable=False)',
        ["set-not-null"],
    ),
    (
        'op.create_check_constraint("ck", "item", "n IS NOT NULL", postgresql_not_valid=True)\nwith op.get_context().autocommit_block():\n    op.execute("ALTER TABLE item VALIDATE CONSTRAINT ck")\nop.alter_column("item", "n", nullable=False)',
        [],
    ),
    (
        'sa.inspect(op.get_bind()).has_table("x")\nop.drop_table("item")',
        ["not-readable"],
    ),
    ("raise SystemExit(1)", ["not-readable"]),
    ('op.execute("SOMETHING NEW")', ["raw-sql"]),
    (
        'op.execute("UPDATE a SET n = 1; UPDATE a SET n = 2; DELETE FROM a; DELETE FROM b")',
        ["data-change", "data-change"],
    ),
    (
        'op.drop_constraint("fk", "item")\nop.drop_column("item", "n")\nop.drop_table("item")',
        ["drop-table"],
    ),
]


@pytest.mark.parametrize(("code", "rules"), FORMS)
def test_a_revision_is_read_however_it_is_written(
    code: str, rules: list[str], tmp_path: Path
) -> None:
    assert found_in(code, tmp_path / "aa.py") == rules


def test_one_batch_on_sqlite_is_one_copy_of_the_table(tmp_path: Path) -> None:
    batch = 'with op.batch_alter_table("item") as batch_op:\n    '
    code = batch + 'batch_op.drop_constraint("a")\n    batch_op.drop_constraint("b")\n'
    found = found_in(
        code + batch + 'batch_op.drop_constraint("c")', tmp_path / "aa.py", "sqlite"
    )
    assert found == ["sqlite-rebuild", "sqlite-rebuild"]
