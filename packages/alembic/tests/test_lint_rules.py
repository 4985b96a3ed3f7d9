# ruff: noqa: E501 - an example is read best in one line
"""Each rule finds a bad example, leaves a good one alone, and says the right lock."""

from __future__ import annotations

import dataclasses as dc
import textwrap
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite

from flaskware_alembic._lint.engine import findings_of
from flaskware_alembic._lint.engine import RULES
from flaskware_alembic._lint.engine import Subject
from flaskware_alembic._lint.recording import record
from flaskware_alembic._lint.recording import Recording
from flaskware_alembic._results import RevisionInfo

AUTOCOMMIT = "with op.get_context().autocommit_block():\n    "
NEW = (
    'op.create_table("fresh", sa.Column("id", sa.BigInteger, sa.Identity(),'
    ' primary_key=True), sa.Column("n", sa.Text))\n'
)
LONG = "x" * 70
MYSQL_NEW = (
    'op.create_table("fresh", sa.Column("id", sa.BigInteger, primary_key=True))\n'
)


@dc.dataclass(frozen=True)
class Example:
    rule: str
    bad: str
    good: str
    # Where the lock is that the rule speaks of; None for what PostgreSQL cannot be
    # asked about, or what the rule says no lock of.
    locked: str | None = "item"

    @property
    def id(self) -> str:
        return self.rule


def index(**keywords: t.Any) -> str:
    more = "".join(f", {name}={value!r}" for name, value in keywords.items())
    return f'op.create_index("ix_n", "item", ["n"]{more})'


CONCURRENT = index(postgresql_concurrently=True, if_not_exists=True)
ALTER = 'op.execute("ALTER TABLE item {}")'.format
POSTGRESQL = [
    Example("index-not-concurrent", index(), AUTOCOMMIT + CONCURRENT),
    Example(
        "index-not-concurrent",
        'op.execute("CREATE INDEX ix_n ON item (n)")',
        'op.execute("CREATE INDEX CONCURRENTLY ix_n ON item (n)")',
    ),
    Example(
        "index-not-concurrent", index(), NEW + 'op.create_index("i", "fresh", ["n"])'
    ),
    Example(
        "drop-index-not-concurrent",
        'op.drop_index("ix_old", "item")',
        'op.drop_index("ix_old", "item")\nop.drop_column("item", "n")',
    ),
    Example(
        "drop-index-not-concurrent",
        'op.drop_index("ix_old", "item")',
        'op.drop_index("ix_old", "item")\nop.drop_table("item")',
    ),
    Example(
        "drop-index-not-concurrent",
        'op.drop_index("ix_old", "item")',
        AUTOCOMMIT + 'op.drop_index("ix_old", "item", postgresql_concurrently=True)',
    ),
    Example("concurrent-in-transaction", CONCURRENT, AUTOCOMMIT + CONCURRENT, None),
    Example(
        "foreign-key-validates",
        'op.create_foreign_key("fk", "item", "kind", ["kind_id"], ["id"])',
        'op.create_foreign_key("fk", "item", "kind", ["kind_id"], ["id"],'
        " postgresql_not_valid=True)",
    ),
    Example(
        "foreign-key-validates",
        ALTER("ADD CONSTRAINT fk FOREIGN KEY (kind_id) REFERENCES kind (id)"),
        ALTER("ADD CONSTRAINT fk FOREIGN KEY (kind_id) REFERENCES kind (id) NOT VALID"),
    ),
    Example(
        "check-validates",
        'op.create_check_constraint("ck", "item", "n > 0")',
        'op.create_check_constraint("ck", "item", "n > 0", postgresql_not_valid=True)',
    ),
    Example(
        "check-validates",
        ALTER("ADD CONSTRAINT ck CHECK (n > 0)"),
        ALTER("ADD CONSTRAINT ck CHECK (n > 0) NOT VALID"),
    ),
    Example(
        "check-validates",
        'op.add_column("item", sa.Column("m", sa.Integer, sa.CheckConstraint("m > 0")))',
        'op.add_column("item", sa.Column("m", sa.Boolean(create_constraint=True)))',
    ),
    Example(
        "foreign-key-validates",
        'op.add_column("item", sa.Column("m", sa.ForeignKey("kind.id")))',
        'op.add_column("item", sa.Column("m", sa.BigInteger))',
        None,
    ),
    Example(
        "validate-in-same-transaction",
        ALTER("ADD CONSTRAINT ck CHECK (n > 0) NOT VALID")
        + "\n"
        + ALTER("VALIDATE CONSTRAINT ck"),
        AUTOCOMMIT
        + ALTER("ADD CONSTRAINT ck CHECK (n > 0) NOT VALID")
        + "\n    "
        + ALTER("VALIDATE CONSTRAINT ck"),
    ),
    Example(
        "validate-constraint",
        ALTER("VALIDATE CONSTRAINT ck_later"),
        AUTOCOMMIT + ALTER("VALIDATE CONSTRAINT ck_later"),
    ),
    Example(
        "unique-builds-index",
        'op.create_unique_constraint("uq", "item", ["n"])',
        ALTER("ADD CONSTRAINT uq UNIQUE USING INDEX uq_built"),
    ),
    Example(
        "primary-key-builds-index",
        'op.create_primary_key("pk", "bare", ["n"])',
        'op.execute("ALTER TABLE bare ADD CONSTRAINT pk PRIMARY KEY USING INDEX x")',
        "bare",
    ),
    Example(
        "primary-key-checks-null",
        'op.execute("ALTER TABLE bare ADD CONSTRAINT pk PRIMARY KEY USING INDEX ux")',
        'op.execute("CREATE TABLE made (n int NOT NULL);'
        " CREATE UNIQUE INDEX made_n ON made (n);"
        ' ALTER TABLE made ADD CONSTRAINT pk PRIMARY KEY USING INDEX made_n")',
        "bare",
    ),
    Example(
        "add-constrained-domain",
        'op.add_column("item", sa.Column("m", postgresql.DOMAIN("positive",'
        ' sa.Integer, check="VALUE > 0")))',
        'op.add_column("item", sa.Column("m", postgresql.DOMAIN("any_int",'
        " sa.Integer)))",
    ),
    Example(
        "partition-locks-parent",
        'op.execute("CREATE TABLE part3 PARTITION OF parts FOR VALUES IN (3)")',
        'op.execute("CREATE TABLE part3 (LIKE parts)")\n'
        'op.execute("ALTER TABLE parts ATTACH PARTITION part3 FOR VALUES IN (3)")',
        "parts",
    ),
    Example(
        "create-rule",
        'op.execute("CREATE RULE ru AS ON DELETE TO item DO ALSO NOTHING")',
        NEW + 'op.execute("CREATE RULE ru AS ON DELETE TO fresh DO ALSO NOTHING")',
    ),
    Example(
        "exclusion-builds-index",
        'op.create_exclude_constraint("ex", "item", ("during", "&&"))',
        NEW + 'op.create_exclude_constraint("ex", "fresh", ("during", "&&"))',
    ),
    Example(
        "set-not-null",
        'op.alter_column("item", "n", nullable=False)',
        AUTOCOMMIT
        + ALTER("VALIDATE CONSTRAINT n_set")
        + '\nop.alter_column("item", "n", nullable=False)',
    ),
    Example(
        "set-not-null",
        ALTER("ALTER COLUMN n SET NOT NULL"),
        ALTER("ALTER COLUMN n SET DEFAULT 3"),
    ),
    Example(
        "drop-not-null",
        'op.alter_column("item", "kind_id", nullable=True)',
        'op.alter_column("item", "kind_id", server_default="3")',
    ),
    Example(
        "add-required-column",
        'op.add_column("item", sa.Column("m", sa.BigInteger, nullable=False))',
        'op.add_column("item", sa.Column("m", sa.BigInteger, nullable=False,'
        ' server_default="0"))',
        None,
    ),
    Example(
        "volatile-default",
        'op.add_column("item", sa.Column("m", sa.Uuid,'
        ' server_default=sa.text("gen_random_uuid()")))',
        'op.add_column("item", sa.Column("m", sa.DateTime(timezone=True),'
        " server_default=sa.func.now()))",
    ),
    Example(
        "volatile-default",
        ALTER("ADD COLUMN m float DEFAULT random()"),
        ALTER("ADD COLUMN m text DEFAULT 'x'"),
    ),
    Example(
        "add-serial-column",
        ALTER("ADD COLUMN m bigserial"),
        ALTER("ADD COLUMN m bigint"),
    ),
    Example(
        "add-stored-column",
        'op.add_column("item", sa.Column("m", sa.BigInteger,'
        ' sa.Computed("n + 1", persisted=True)))',
        'op.add_column("item", sa.Column("m", sa.BigInteger))',
    ),
    Example(
        "change-type",
        'op.alter_column("item", "n", type_=sa.BigInteger, existing_type=sa.Integer)',
        'op.alter_column("item", "name", type_=sa.Text, existing_type=sa.String(20))',
    ),
    Example(
        "change-type",
        ALTER("ALTER COLUMN n TYPE bigint"),
        ALTER("ALTER n SET STATISTICS 5"),
    ),
    Example(
        "rename-column",
        'op.alter_column("item", "n", new_column_name="m")',
        'op.add_column("item", sa.Column("m", sa.BigInteger))',
    ),
    Example("rename-column", ALTER("RENAME n TO m"), ALTER("RENAME CONSTRAINT a TO b")),
    Example("rename-table", 'op.rename_table("item", "thing")', NEW, None),
    Example(
        "rename-schema",
        'op.execute("ALTER SCHEMA one RENAME TO two")',
        'op.execute("ALTER SCHEMA one OWNER TO somebody")',
        None,
    ),
    Example(
        "drop-column",
        'op.drop_column("item", "n")',
        NEW + 'op.drop_column("fresh", "n")',
    ),
    Example(
        "drop-column", ALTER("DROP COLUMN IF EXISTS n"), ALTER("DROP CONSTRAINT a")
    ),
    Example(
        "drop-table", 'op.drop_table("item")', NEW + 'op.drop_table("fresh")', "item"
    ),
    Example("recreate-table", 'op.drop_table("fresh")\n' + NEW, NEW, None),
    Example(
        "truncate", 'op.execute("TRUNCATE item")', NEW + 'op.execute("TRUNCATE fresh")'
    ),
    Example(
        "truncate-cascade",
        'op.execute("TRUNCATE item CASCADE")',
        'op.execute("TRUNCATE item")',
    ),
    Example(
        "drop-database",
        'op.execute("DROP DATABASE app")',
        'op.execute("SELECT 1")',
        None,
    ),
    Example(
        "data-change",
        'op.execute("UPDATE item SET n = 1")',
        NEW + "op.execute(\"UPDATE fresh SET n = '1'\")",
    ),
    Example(
        "data-change",
        'op.get_bind().execute(sa.text("DELETE FROM item"))',
        'op.get_bind().execute(sa.text("SELECT n FROM item"))',
    ),
    Example(
        "transaction-statement",
        'op.execute("COMMIT")',
        'op.execute("SELECT 1")',
        None,
    ),
    Example(
        "wide-index",
        'op.create_index("i", "item", ["a", "b", "c", "d"])',
        'op.create_index("i", "item", ["a", "b", "c"])',
        None,
    ),
    Example(
        "identifier-too-long",
        f'op.create_index("{LONG}", "item", ["n"])',
        index(),
        None,
    ),
    Example("raw-sql", 'op.execute("SOMETHING NEW")', 'op.execute("SELECT 1")', None),
    Example("rewrite-table", ALTER("SET UNLOGGED"), ALTER("SET (fillfactor = 70)")),
    Example(
        "vacuum-in-transaction",
        'op.execute("VACUUM ANALYZE item")',
        'op.execute("ANALYZE item")',
        None,
    ),
    Example(
        "rewrite-table", 'op.execute("VACUUM FULL item")', 'op.execute("ANALYZE")', None
    ),
    Example(
        "reindex-not-concurrent",
        'op.execute("REINDEX TABLE item")',
        'op.execute("REINDEX TABLE CONCURRENTLY item")',
    ),
    Example(
        "refresh-not-concurrent",
        'op.execute("REFRESH MATERIALIZED VIEW seen")',
        'op.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY seen")',
        "seen",
    ),
    Example(
        "detach-not-concurrent",
        'op.execute("ALTER TABLE parts DETACH PARTITION part1")',
        'op.execute("ALTER TABLE parts DETACH PARTITION part1 CONCURRENTLY")',
        "parts",
    ),
    Example(
        "lock-table",
        'op.execute("LOCK TABLE item")',
        NEW + 'op.execute("LOCK fresh")',
    ),
    Example(
        "create-trigger",
        'op.execute("CREATE TRIGGER tr BEFORE INSERT ON item FOR EACH ROW'
        ' EXECUTE FUNCTION suppress_redundant_updates_trigger()")',
        NEW + 'op.execute("CREATE TRIGGER tr BEFORE INSERT ON fresh FOR EACH ROW'
        ' EXECUTE FUNCTION f()")',
        None,
    ),
    Example(
        "not-repeatable",
        AUTOCOMMIT + index(postgresql_concurrently=True),
        AUTOCOMMIT + CONCURRENT,
        None,
    ),
    Example(
        "domain-constraint",
        'op.execute("CREATE DOMAIN d AS int CHECK (VALUE > 0)")',
        'op.execute("CREATE DOMAIN d AS int")',
        None,
    ),
    Example(
        "alter-domain-constraint",
        'op.execute("ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE > 0)")',
        'op.execute("ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID")',
        None,
    ),
    Example(
        "enum-order",
        "op.execute(\"ALTER TYPE mood ADD VALUE 'b'\")",
        "op.execute(\"ALTER TYPE mood ADD VALUE 'b' AFTER 'a'\")",
        None,
    ),
    *(
        Example(
            rule,
            f'op.add_column("item", sa.Column("m", {bad}))',
            f'op.add_column("item", sa.Column("m", {good}))',
            None,
        )
        for rule, bad, good in [
            ("char-type", "sa.CHAR(3)", "sa.Text"),
            ("small-int", "sa.SmallInteger", "sa.BigInteger"),
            ("varchar-limit", "sa.String(20)", "sa.Text"),
            ("timestamp-without-zone", "sa.DateTime", "sa.DateTime(timezone=True)"),
            ("json-type", "sa.JSON", "postgresql.JSONB"),
        ]
    ),
    Example(
        "int-key",
        'op.create_table("t", sa.Column("id", sa.Integer, primary_key=True))',
        NEW,
        None,
    ),
    Example(
        "serial-type",
        'op.create_table("t", sa.Column("id", sa.BigInteger, primary_key=True))',
        NEW,
        None,
    ),
    Example(
        "duplicate-column",
        'op.execute("CREATE TABLE t (n int, n text)")',
        'op.execute("CREATE TABLE t (n int, m text)")',
        None,
    ),
    Example(
        "duplicate-column",
        'op.execute("UPDATE item SET n = 1, n = 2")',
        'op.execute("UPDATE item SET n = 1, kind_id = 2")',
        None,
    ),
    Example(
        "drop-index",
        AUTOCOMMIT + 'op.drop_index("ix_old", "item", postgresql_concurrently=True)',
        NEW + 'op.create_index("i", "fresh", ["n"])\nop.execute("DROP INDEX i")',
    ),
    Example(
        "drop-constraint",
        'op.drop_constraint("ck_later", "item")',
        ALTER("ADD CONSTRAINT ck CHECK (n > 0)") + '\nop.drop_constraint("ck", "item")',
    ),
    Example(
        "drop-default",
        'op.alter_column("item", "kind_id", server_default=None)',
        'op.alter_column("item", "kind_id", server_default="3")',
    ),
    Example(
        "drop-default",
        ALTER("ALTER kind_id DROP DEFAULT"),
        ALTER("ALTER kind_id SET DEFAULT 3"),
    ),
    Example(
        "set-default",
        'op.alter_column("item", "kind_id", server_default="3")',
        'op.alter_column("item", "kind_id", comment="a kind")',
    ),
    Example(
        "attach-validates",
        'op.execute("ALTER TABLE parts ATTACH PARTITION part2 FOR VALUES IN (2)")',
        'op.execute("CREATE TABLE part3 (LIKE parts)")\n'
        'op.execute("ALTER TABLE parts ATTACH PARTITION part3 FOR VALUES IN (3)")',
        "part2",
    ),
    Example(
        "hides-rows",
        'op.execute("ALTER TABLE parts DETACH PARTITION part1 CONCURRENTLY")',
        ALTER("INHERIT parent"),
        None,
    ),
    Example("hides-rows", ALTER("NO INHERIT parent"), ALTER("OWNER TO app"), None),
    Example(
        "new-restriction",
        ALTER("ADD CONSTRAINT ck CHECK (n > 0) NOT VALID"),
        index(),
        None,
    ),
    Example("new-restriction", index(unique=True), index(), None),
    Example(
        "rename-constraint",
        ALTER("RENAME CONSTRAINT ck_later TO ck"),
        'op.execute("ALTER INDEX ix_old RENAME TO ix")',
    ),
    Example(
        "drop-trigger",
        'op.execute("DROP TRIGGER tr_old ON item")',
        NEW + 'op.execute("DROP TRIGGER tr ON fresh")',
    ),
    Example(
        "drop-policy",
        'op.execute("DROP POLICY po_old ON item")',
        NEW + 'op.execute("DROP POLICY po ON fresh")',
    ),
    Example(
        "change-policy",
        'op.execute("CREATE POLICY po ON item USING (n > 0)")',
        NEW + 'op.execute("CREATE POLICY po ON fresh USING (id > 0)")',
    ),
    Example(
        "change-policy",
        'op.execute("ALTER POLICY po_old ON item USING (n > 0)")',
        NEW + 'op.execute("ALTER POLICY po ON fresh USING (id > 0)")',
    ),
    Example(
        "row-security",
        ALTER("ENABLE ROW LEVEL SECURITY"),
        NEW + 'op.execute("ALTER TABLE fresh FORCE ROW LEVEL SECURITY")',
    ),
    Example("move-schema", ALTER("SET SCHEMA other"), ALTER("OWNER TO app")),
    Example(
        "move-schema",
        'op.execute("ALTER VIEW v SET SCHEMA other")',
        'op.execute("ALTER VIEW v OWNER TO app")',
        None,
    ),
    Example(
        "alter-identity",
        ALTER("ALTER kind_id ADD GENERATED ALWAYS AS IDENTITY"),
        ALTER("ALTER kind_id SET STATISTICS 5"),
    ),
    Example(
        "alter-generated",
        ALTER("ALTER twice DROP EXPRESSION"),
        ALTER("ALTER twice SET STATISTICS 5"),
    ),
    Example(
        "rewrite-table", ALTER("ALTER twice SET EXPRESSION AS (n * 3)"), index(), None
    ),
    Example(
        "disable-trigger",
        ALTER("DISABLE TRIGGER tr_old"),
        NEW + 'op.execute("ALTER TABLE fresh DISABLE TRIGGER ALL")',
    ),
    Example(
        "replica-identity",
        ALTER("REPLICA IDENTITY FULL"),
        NEW + 'op.execute("ALTER TABLE fresh REPLICA IDENTITY FULL")',
    ),
    *(
        Example(rule, f'op.execute("{bad}")', f'op.execute("{good}")', None)
        for rule, bad, good in [
            ("drop-view", "DROP VIEW v", "CREATE VIEW v AS SELECT 1"),
            ("drop-view", "DROP MATERIALIZED VIEW IF EXISTS v", "SELECT 1"),
            (
                "drop-routine",
                "DROP FUNCTION f(int)",
                "CREATE FUNCTION f() RETURNS int AS 'select 1' LANGUAGE sql",
            ),
            ("drop-type", "DROP TYPE mood", "CREATE TYPE mood AS ENUM ('a')"),
            ("drop-type", "DROP DOMAIN d", "CREATE DOMAIN d AS int"),
            ("drop-type", "DROP TYPE d", "ALTER TABLE item DROP n; DROP TYPE d"),
            ("drop-sequence", "DROP SEQUENCE s", "CREATE SEQUENCE s"),
            ("drop-schema", "DROP SCHEMA s CASCADE", "CREATE SCHEMA s"),
            ("drop-extension", "DROP EXTENSION hstore", "CREATE EXTENSION hstore"),
            ("rename-object", "ALTER VIEW v RENAME TO w", "ALTER INDEX i RENAME TO j"),
            (
                "rename-object",
                "ALTER TYPE mood RENAME VALUE 'a' TO 'b'",
                "ALTER TYPE mood OWNER TO app",
            ),
            (
                "replace-object",
                "CREATE OR REPLACE VIEW v AS SELECT 1",
                "CREATE VIEW v AS SELECT 1",
            ),
            (
                "alter-view",
                "ALTER VIEW v SET (security_barrier = true)",
                "ALTER VIEW v OWNER TO app",
            ),
            (
                "alter-routine",
                "ALTER FUNCTION f(int) SECURITY DEFINER",
                "ALTER FUNCTION f(int) OWNER TO app",
            ),
            (
                "alter-sequence",
                "ALTER SEQUENCE s RESTART WITH 1",
                "ALTER SEQUENCE s OWNER TO app",
            ),
            (
                "alter-sequence",
                "ALTER TABLE item ALTER id RESTART WITH 1",
                "ALTER TABLE item ALTER id SET CACHE 5",
            ),
            (
                "alter-composite",
                "ALTER TYPE pair ADD ATTRIBUTE c int",
                "CREATE TYPE pair AS (a int)",
            ),
            (
                "add-enum-value",
                "ALTER TYPE mood ADD VALUE 'b' AFTER 'a'",
                "ALTER TYPE mood OWNER TO app",
            ),
            ("revoke", "REVOKE SELECT ON item FROM app", "GRANT SELECT ON item TO app"),
            ("alter-role", "ALTER ROLE app NOLOGIN", "CREATE ROLE app"),
            ("alter-role", "ALTER USER app SET timezone = 'UTC'", "CREATE USER app"),
            (
                "alter-database",
                "ALTER DATABASE d SET timezone = 'UTC'",
                "SET timezone = 'UTC'",
            ),
            (
                "alter-system",
                "ALTER SYSTEM SET work_mem = '1GB'",
                "SET work_mem = '1GB'",
            ),
            (
                "alter-extension",
                "ALTER EXTENSION postgis UPDATE",
                "ALTER EXTENSION postgis ADD FUNCTION f()",
            ),
            ("revoke", "DROP ROLE app", "CREATE ROLE app"),
            (
                "change-owner",
                "ALTER TABLE item OWNER TO app",
                "GRANT ALL ON item TO app",
            ),
            (
                "change-owner",
                "ALTER DOMAIN d OWNER TO app",
                "ALTER DOMAIN d SET DEFAULT 3",
            ),
            (
                "change-owner",
                "ALTER TYPE mood OWNER TO app",
                "ALTER TYPE mood ADD VALUE 'b'",
            ),
            ("change-owner", "ALTER VIEW v OWNER TO app", "ALTER VIEW v RENAME TO w"),
            (
                "drop-publication",
                "DROP PUBLICATION p",
                "CREATE PUBLICATION p FOR TABLE item",
            ),
            (
                "drop-publication",
                "ALTER PUBLICATION p DROP TABLE item",
                "ALTER PUBLICATION p ADD TABLE item",
            ),
            (
                "drop-type",
                "DROP CAST (text AS mood)",
                "CREATE CAST (text AS mood) WITH INOUT",
            ),
            (
                "new-restriction",
                "ALTER DOMAIN d ADD CHECK (VALUE > 0) NOT VALID",
                "ALTER DOMAIN d ADD CHECK (VALUE > 0)",
            ),
            (
                "drop-constraint",
                "ALTER DOMAIN d DROP CONSTRAINT c",
                "ALTER DOMAIN d VALIDATE CONSTRAINT c",
            ),
            (
                "drop-not-null",
                "ALTER DOMAIN d DROP NOT NULL",
                "ALTER DOMAIN d DROP DEFAULT",
            ),
            (
                "set-default",
                "ALTER DOMAIN d SET DEFAULT 3",
                "ALTER DOMAIN d DROP DEFAULT",
            ),
            (
                "timestamp-without-zone",
                "ALTER TABLE item ADD m timestamp(3)",
                "ALTER TABLE item ADD m timestamptz(3)",
            ),
            (
                "timestamp-without-zone",
                "ALTER TABLE item ADD m timestamp(3) without time zone",
                "ALTER TABLE item ADD m timestamp(3) with time zone",
            ),
            (
                "concurrent-in-transaction",
                "ALTER TABLE p DETACH PARTITION q CONCURRENTLY",
                "ALTER TABLE p DETACH PARTITION q FINALIZE",
            ),
        ]
    ),
]
MYSQL = [
    Example(
        "foreign-key-copies-table",
        'op.create_foreign_key("fk", "item", "kind", ["kind_id"], ["id"])',
        index(),
    ),
    Example(
        "change-type-copies-table",
        'op.alter_column("item", "n", type_=sa.BigInteger, existing_type=sa.Integer)',
        'op.alter_column("item", "n", type_=sa.String(60), existing_type=sa.String(20))',
    ),
    Example(
        "change-type-copies-table",
        ALTER("MODIFY COLUMN n BIGINT"),
        ALTER("ADD INDEX (n)"),
    ),
    Example(
        "change-type-copies-table",
        'op.alter_column("item", "n", type_=sa.String(90), existing_type=sa.String(20))',
        'op.alter_column("item", "n", type_=sa.String(90), existing_type=sa.String(70))',
    ),
    Example(
        "check-copies-table",
        'op.create_check_constraint("ck", "item", "n > 0")',
        index(),
    ),
    Example(
        "primary-key-rebuilds-table",
        'op.create_primary_key("pk", "item", ["n"])',
        index(),
    ),
    Example(
        "primary-key-copies-table",
        ALTER("DROP PRIMARY KEY"),
        ALTER("DROP PRIMARY KEY, ADD PRIMARY KEY (n)"),
    ),
    Example(
        "auto-increment-copies-table",
        ALTER("ADD COLUMN m INT AUTO_INCREMENT UNIQUE"),
        ALTER("ADD COLUMN m INT"),
    ),
    Example(
        "stored-column-copies-table",
        ALTER("ADD COLUMN m INT GENERATED ALWAYS AS (n + 1) STORED"),
        ALTER("ADD COLUMN m INT GENERATED ALWAYS AS (n + 1) VIRTUAL"),
    ),
    Example(
        "default-expression-copies-table",
        ALTER("ADD COLUMN m CHAR(36) DEFAULT (uuid())"),
        ALTER("ADD COLUMN m TIMESTAMP DEFAULT CURRENT_TIMESTAMP"),
    ),
    Example(
        "not-null-rebuilds-table",
        'op.alter_column("item", "n", nullable=False, existing_type=sa.Integer)',
        index(),
    ),
    Example(
        "table-rebuilt",
        ALTER("CONVERT TO CHARACTER SET utf8mb4"),
        ALTER("ADD INDEX (n)"),
    ),
    Example("table-rebuilt", ALTER("ENGINE = Aria"), ALTER("ENGINE = InnoDB")),
    Example(
        "table-rebuilt-online",
        'op.execute("OPTIMIZE LOCAL TABLE item")',
        'op.execute("ANALYZE TABLE item")',
    ),
    Example(
        "special-index-locks",
        ALTER("ADD UNIQUE (n) USING HASH"),
        ALTER("ADD UNIQUE (n)"),
    ),
    Example(
        "lock-table",
        'op.execute("LOCK TABLES kind READ, item WRITE")',
        'op.execute("UNLOCK TABLES")',
    ),
    Example(
        "special-index-locks",
        ALTER("ADD FULLTEXT INDEX ft (n)"),
        ALTER("ADD INDEX i (n)"),
    ),
    Example(
        "special-index-locks",
        'op.execute("CREATE FULLTEXT INDEX ft ON item (n)")',
        'op.execute("CREATE INDEX ft ON item (n)")',
    ),
    Example(
        "drop-partition",
        ALTER("DROP PARTITION p1"),
        ALTER("ADD PARTITION (PARTITION p2 VALUES LESS THAN (9))"),
    ),
    Example(
        "table-rebuilt-online",
        ALTER("ROW_FORMAT = COMPRESSED"),
        ALTER("AUTO_INCREMENT = 9"),
    ),
    Example(
        "reference-in-column",
        ALTER("ADD COLUMN k INT REFERENCES kind (id)"),
        ALTER("ADD COLUMN k INT"),
    ),
    Example(
        "change-type-copies-table",
        'op.alter_column("item", "n", type_=sa.Enum("b"), existing_type=sa.Enum("a"))',
        'op.alter_column("item", "n", type_=sa.Enum("a", "b"), existing_type=sa.Enum("a"))',
    ),
    Example("rename-column", ALTER("CHANGE n m INT"), ALTER("CHANGE n n INT")),
    Example("rename-table", 'op.execute("RENAME TABLE item TO thing")', index()),
    Example("drop-column", 'op.drop_column("item", "n")', index()),
    Example(
        "identifier-too-long",
        f'op.drop_index("{LONG}", "item")',
        index(),
    ),
    Example(
        "drop-table", 'op.drop_table("item")', MYSQL_NEW + 'op.drop_table("fresh")'
    ),
]
BATCH = 'with op.batch_alter_table("item"{}) as batch_op:\n    '
SQLITE = [
    Example(
        "sqlite-rebuild",
        BATCH.format("") + 'batch_op.alter_column("n", nullable=False)',
        BATCH.format("") + 'batch_op.add_column(sa.Column("m", sa.Integer))',
    ),
    Example(
        "sqlite-rebuild",
        BATCH.format(', recreate="always"')
        + 'batch_op.add_column(sa.Column("m", sa.Integer))',
        BATCH.format(', recreate="never"')
        + 'batch_op.add_column(sa.Column("m", sa.Integer))',
    ),
    Example(
        "sqlite-needs-batch",
        'op.alter_column("item", "n", nullable=False)',
        BATCH.format("") + 'batch_op.alter_column("n", nullable=False)',
    ),
    Example(
        "sqlite-cannot-add",
        'op.add_column("item", sa.Column("m", sa.DateTime, server_default=sa.func.now()))',
        'op.add_column("item", sa.Column("m", sa.Text, server_default="x"))',
    ),
    Example(
        "sqlite-cannot-add",
        'op.add_column("item", sa.Column("m", sa.Integer, unique=True))',
        BATCH.format(', recreate="always"')
        + 'batch_op.add_column(sa.Column("m", sa.Integer, unique=True))',
    ),
    Example(
        "sqlite-needs-batch",
        ALTER("ALTER COLUMN n DROP DEFAULT"),
        ALTER("RENAME COLUMN n TO m"),
    ),
    Example("sqlite-drop-column", 'op.drop_column("item", "n")', index()),
    Example(
        "rename-column",
        BATCH.format("") + 'batch_op.alter_column("n", new_column_name="m")',
        index(),
    ),
]
DIALECTS: dict[str, sa.Dialect] = {
    "postgresql": postgresql.dialect(),
    "mysql": mysql.dialect(),
    "sqlite": sqlite.dialect(),
}
EXAMPLES = [
    pytest.param(dialect, example, id=f"{dialect}-{example.rule}-{number}")
    for dialect, examples in (
        ("postgresql", POSTGRESQL),
        ("mysql", MYSQL),
        ("sqlite", SQLITE),
    )
    for number, example in enumerate(examples)
]


def upgrade_of(code: str, path: Path) -> t.Any:
    path.write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        "from sqlalchemy.dialects import postgresql\n"
        f"def upgrade():\n{textwrap.indent(code, '    ')}\n"
    )
    names: dict[str, t.Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), names)
    return names["upgrade"]


def recorded(code: str, path: Path, dialect: str) -> Recording:
    return record(upgrade_of(code, path), path, DIALECTS[dialect])


def rules_found(code: str, dialect: str, path: Path) -> set[str]:
    info = RevisionInfo("aa", None, "", (), path, is_head=True)
    subject = Subject(info, DIALECTS[dialect], recorded(code, path, dialect))
    findings = findings_of(subject)
    assert "not-readable" not in {finding.rule for finding in findings}, findings
    assert all(finding.line is not None for finding in findings)
    return {finding.rule for finding in findings}


@pytest.mark.parametrize(("dialect", "example"), EXAMPLES)
def test_a_rule_finds_the_bad_example_and_leaves_the_good_one(
    dialect: str, example: Example, tmp_path: Path
) -> None:
    assert example.rule in rules_found(example.bad, dialect, tmp_path / "bad.py")
    assert example.rule not in rules_found(example.good, dialect, tmp_path / "good.py")


def test_every_rule_has_an_example_on_a_dialect_of_its_own() -> None:
    shown = {(param.values[0], param.values[1].rule) for param in EXAMPLES}
    assert {rule.id for rule in RULES.values()} == {rule for _, rule in shown}
    for dialect, id in shown:
        assert dialect in RULES[str(id)].dialects


SCHEMA = """
    CREATE TABLE kind (id bigint PRIMARY KEY);
    CREATE TABLE item (id bigint PRIMARY KEY, n int, name varchar(20),
        kind_id bigint NOT NULL, during int4range,
        twice bigint GENERATED ALWAYS AS (kind_id * 2) STORED);
    CREATE INDEX ix_old ON item (n);
    ALTER TABLE item ADD CONSTRAINT ck_later CHECK (n > 0) NOT VALID;
    CREATE TABLE bare (n int);
    CREATE UNIQUE INDEX ux ON bare (n);
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE MATERIALIZED VIEW seen AS SELECT id FROM kind;
    CREATE TABLE parts (n int) PARTITION BY LIST (n);
    CREATE TABLE part1 PARTITION OF parts FOR VALUES IN (1);
    CREATE TABLE part2 (n int);
    CREATE TRIGGER tr_old BEFORE INSERT ON item FOR EACH ROW
        EXECUTE FUNCTION suppress_redundant_updates_trigger();
    CREATE POLICY po_old ON item USING (true);
    CREATE SCHEMA other
"""
# From weakest to strongest, as the manual lists them.
MODES = [
    "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock",
    "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
]  # fmt: skip


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(e, id=f"{e.rule}-{n}")
        for n, e in enumerate(POSTGRESQL)
        if RULES[e.rule].lock is not None and e.locked is not None
    ],
)
def test_postgresql_takes_the_lock_that_the_rule_says(
    example: Example, postgresql_url: str, tmp_path: Path
) -> None:
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    upgrade = upgrade_of(example.bad, tmp_path / "bad.py")
    engine = sa.create_engine(postgresql_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        oid = sa.text("SELECT CAST(CAST(:name AS regclass) AS oid)")
        for statement in SCHEMA.split(";"):
            connection.exec_driver_sql(statement)
        place = connection.scalar(oid, {"name": example.locked})
        connection.commit()
        with Operations.context(MigrationContext.configure(connection)):
            upgrade()
        held = connection.scalars(
            sa.text(
                "SELECT mode FROM pg_locks WHERE relation = :place"
                " AND pid = pg_backend_pid() AND granted"
            ),
            {"place": place},
        )
        assert max(held, key=MODES.index) == RULES[example.rule].lock
        connection.rollback()
    engine.dispose()
