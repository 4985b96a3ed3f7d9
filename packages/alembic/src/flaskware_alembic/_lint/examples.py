# ruff: noqa: E501 - an example is read best in one line
"""An example of each rule, and where it can be read up."""

from __future__ import annotations

import dataclasses as dc
import functools
import typing as t
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import registry

from .recording import record
from .rule import Rule
from .rule import RuleContext


@dc.dataclass(frozen=True)
class Example:
    """A change that a rule is about.

    :param bad: The code of a revision.
    :param source: A chapter of a manual.
    """

    bad: str
    source: str


def safe_form(rule: Rule) -> str:
    """Return the safe form of a rule's example."""
    function = _as_function(EXAMPLES[rule.id].bad)
    recording = record(function, Path(), _dialect(rule.dialects[0]))
    context = RuleContext(rule.dialects[0], recording.changes)
    changes = recording.changes
    return rule.safe(next(c for c in changes if rule.counts_for(c, context)))


def _as_function(code: str) -> t.Callable[[], None]:
    # It is a constant of this module.
    run = functools.partial(exec, compile(code, "example", "exec"))
    return lambda: run({"op": op, "sa": sa, "postgresql": postgresql})


def _dialect(name: str) -> sa.Dialect:
    return t.cast("sa.Dialect", registry.load(name)())


def _pg(title: str, page: str) -> str:
    return (
        f"the manual of PostgreSQL, {title}:"
        f" https://www.postgresql.org/docs/current/{page}.html"
    )


_ALTER = _pg("ALTER TABLE", "sql-altertable")
_INDEX = _pg("CREATE INDEX", "sql-createindex")
_LOCKS = _pg("Explicit Locking", "explicit-locking")
_DOMAIN = _pg("ALTER DOMAIN", "sql-alterdomain")
_TYPE = _pg("ALTER TYPE", "sql-altertype")
_POLICY = _pg("Row Security Policies", "ddl-rowsecurity")
_MARIA = (
    "the manual of MariaDB, InnoDB Online DDL Operations:"
    " https://mariadb.com/kb/en/innodb-online-ddl-overview/"
)
_LITE = "the manual of SQLite, ALTER TABLE: https://www.sqlite.org/lang_altertable.html"
_ALEMBIC = (
    "the manual of Alembic, autocommit_block:"
    " https://alembic.sqlalchemy.org/en/latest/api/runtime.html"
)

EXAMPLES: dict[str, Example] = {
    "drop-column": Example(
        'op.drop_column("item", "n")',
        _ALTER,
    ),
    "drop-table": Example(
        'op.drop_table("item")',
        _ALTER,
    ),
    "recreate-table": Example(
        'op.drop_table("item")\nop.create_table("item", sa.Column("id", sa.BigInteger, sa.Identity()))',
        _ALTER,
    ),
    "rename-column": Example(
        'op.alter_column("item", "n", new_column_name="m")',
        _ALTER,
    ),
    "rename-table": Example(
        'op.rename_table("item", "thing")',
        _ALTER,
    ),
    "add-required-column": Example(
        'op.add_column("item", sa.Column("m", sa.BigInteger, nullable=False))',
        _ALTER,
    ),
    "truncate": Example(
        'op.execute("TRUNCATE item")',
        _pg("TRUNCATE", "sql-truncate"),
    ),
    "drop-database": Example(
        'op.execute("DROP DATABASE app")',
        _pg("DROP DATABASE", "sql-dropdatabase"),
    ),
    "data-change": Example(
        'op.execute("UPDATE item SET n = 1")',
        _LOCKS,
    ),
    "transaction-statement": Example(
        'op.execute("COMMIT")',
        _ALEMBIC,
    ),
    "wide-index": Example(
        'op.create_index("i", "item", ["a", "b", "c", "d"])',
        _pg("Multicolumn Indexes", "indexes-multicolumn"),
    ),
    "identifier-too-long": Example(
        'op.create_index(\n    "ix_subscription_invoice_line_item_discount_applied_by_customer_id",\n    "item",\n    ["n"],\n)',
        _pg("Identifiers and Key Words", "sql-syntax-lexical"),
    ),
    "duplicate-column": Example(
        'op.execute("CREATE TABLE t (n int, n text)")',
        _pg("CREATE TABLE", "sql-createtable"),
    ),
    "drop-view": Example(
        'op.execute("DROP VIEW v")',
        _pg("DROP VIEW", "sql-dropview"),
    ),
    "drop-index": Example(
        'with op.get_context().autocommit_block():\n    op.drop_index("ix_old", "item", postgresql_concurrently=True)',
        _pg("DROP INDEX", "sql-dropindex"),
    ),
    "drop-constraint": Example(
        'op.drop_constraint("ck_later", "item")',
        _ALTER,
    ),
    "drop-default": Example(
        'op.alter_column("item", "kind_id", server_default=None)',
        _ALTER,
    ),
    "set-default": Example(
        'op.alter_column("item", "kind_id", server_default="3")',
        _ALTER,
    ),
    "raw-sql": Example(
        'op.execute("SOMETHING NEW")',
        _LOCKS,
    ),
    "index-not-concurrent": Example(
        'op.create_index("ix_n", "item", ["n"])',
        _INDEX,
    ),
    "drop-index-not-concurrent": Example(
        'op.drop_index("ix_old", "item")',
        _pg("DROP INDEX", "sql-dropindex"),
    ),
    "concurrent-in-transaction": Example(
        'op.create_index("ix_n", "item", ["n"], postgresql_concurrently=True, if_not_exists=True)',
        _INDEX,
    ),
    "vacuum-in-transaction": Example(
        'op.execute("VACUUM ANALYZE item")',
        _pg("VACUUM", "sql-vacuum"),
    ),
    "foreign-key-validates": Example(
        'op.create_foreign_key("fk", "item", "kind", ["kind_id"], ["id"])',
        _ALTER,
    ),
    "check-validates": Example(
        'op.create_check_constraint("ck", "item", "n > 0")',
        _ALTER,
    ),
    "validate-in-same-transaction": Example(
        'op.execute("ALTER TABLE item ADD CONSTRAINT ck CHECK (n > 0) NOT VALID")\nop.execute("ALTER TABLE item VALIDATE CONSTRAINT ck")',
        _ALTER,
    ),
    "unique-builds-index": Example(
        'op.create_unique_constraint("uq", "item", ["n"])',
        _ALTER,
    ),
    "primary-key-builds-index": Example(
        'op.create_primary_key("pk", "bare", ["n"])',
        _ALTER,
    ),
    "exclusion-builds-index": Example(
        'op.create_exclude_constraint("ex", "item", ("during", "&&"))',
        _ALTER,
    ),
    "set-not-null": Example(
        'op.alter_column("item", "n", nullable=False)',
        _ALTER,
    ),
    "drop-not-null": Example(
        'op.alter_column("item", "kind_id", nullable=True)',
        _ALTER,
    ),
    "volatile-default": Example(
        'op.add_column("item", sa.Column("m", sa.Uuid, server_default=sa.text("gen_random_uuid()")))',
        _ALTER,
    ),
    "add-serial-column": Example(
        'op.execute("ALTER TABLE item ADD COLUMN m bigserial")',
        _ALTER,
    ),
    "add-stored-column": Example(
        'op.add_column("item", sa.Column("m", sa.BigInteger, sa.Computed("n + 1", persisted=True)))',
        _ALTER,
    ),
    "change-type": Example(
        'op.alter_column("item", "n", type_=sa.BigInteger, existing_type=sa.Integer)',
        _ALTER,
    ),
    "rename-schema": Example(
        'op.execute("ALTER SCHEMA one RENAME TO two")',
        _pg("ALTER SCHEMA", "sql-alterschema"),
    ),
    "truncate-cascade": Example(
        'op.execute("TRUNCATE item CASCADE")',
        _pg("TRUNCATE", "sql-truncate"),
    ),
    "rewrite-table": Example(
        'op.execute("ALTER TABLE item SET UNLOGGED")',
        _ALTER,
    ),
    "reindex-not-concurrent": Example(
        'op.execute("REINDEX TABLE item")',
        _pg("REINDEX", "sql-reindex"),
    ),
    "refresh-not-concurrent": Example(
        'op.execute("REFRESH MATERIALIZED VIEW seen")',
        _pg("REFRESH MATERIALIZED VIEW", "sql-refreshmaterializedview"),
    ),
    "detach-not-concurrent": Example(
        'op.execute("ALTER TABLE parts DETACH PARTITION part1")',
        _ALTER,
    ),
    "lock-table": Example(
        'op.execute("LOCK TABLE item")',
        _pg("LOCK", "sql-lock"),
    ),
    "create-trigger": Example(
        'op.execute("CREATE TRIGGER tr BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()")',
        _pg("CREATE TRIGGER", "sql-createtrigger"),
    ),
    "not-repeatable": Example(
        'with op.get_context().autocommit_block():\n    op.create_index("ix_n", "item", ["n"], postgresql_concurrently=True)',
        _INDEX,
    ),
    "domain-constraint": Example(
        'op.execute("CREATE DOMAIN d AS int CHECK (VALUE > 0)")',
        _DOMAIN,
    ),
    "alter-domain-constraint": Example(
        'op.execute("ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE > 0)")',
        _DOMAIN,
    ),
    "enum-order": Example(
        "op.execute(\"ALTER TYPE mood ADD VALUE 'b'\")",
        _TYPE,
    ),
    "validate-constraint": Example(
        'op.execute("ALTER TABLE item VALIDATE CONSTRAINT ck_later")',
        _ALTER,
    ),
    "drop-routine": Example(
        'op.execute("DROP FUNCTION f(int)")',
        _pg("DROP ROUTINE", "sql-droproutine"),
    ),
    "drop-type": Example(
        'op.execute("DROP TYPE mood")',
        _pg("DROP TYPE", "sql-droptype"),
    ),
    "drop-sequence": Example(
        'op.execute("DROP SEQUENCE s")',
        _pg("DROP SEQUENCE", "sql-dropsequence"),
    ),
    "drop-schema": Example(
        'op.execute("DROP SCHEMA s CASCADE")',
        _pg("DROP SCHEMA", "sql-dropschema"),
    ),
    "drop-extension": Example(
        'op.execute("DROP EXTENSION hstore")',
        _pg("DROP EXTENSION", "sql-dropextension"),
    ),
    "drop-trigger": Example(
        'op.execute("DROP TRIGGER tr_old ON item")',
        _pg("DROP TRIGGER", "sql-droptrigger"),
    ),
    "drop-policy": Example(
        'op.execute("DROP POLICY po_old ON item")',
        _POLICY,
    ),
    "rename-object": Example(
        'op.execute("ALTER VIEW v RENAME TO w")',
        _pg("ALTER VIEW", "sql-alterview"),
    ),
    "move-schema": Example(
        'op.execute("ALTER TABLE item SET SCHEMA other")',
        _ALTER,
    ),
    "replace-object": Example(
        'op.execute("CREATE OR REPLACE VIEW v AS SELECT 1")',
        _pg("CREATE VIEW", "sql-createview"),
    ),
    "alter-view": Example(
        'op.execute("ALTER VIEW v SET (security_barrier = true)")',
        _pg("ALTER VIEW", "sql-alterview"),
    ),
    "alter-routine": Example(
        'op.execute("ALTER FUNCTION f(int) SECURITY DEFINER")',
        _pg("ALTER ROUTINE", "sql-alterroutine"),
    ),
    "alter-sequence": Example(
        'op.execute("ALTER SEQUENCE s RESTART WITH 1")',
        _pg("ALTER SEQUENCE", "sql-altersequence"),
    ),
    "alter-identity": Example(
        'op.execute("ALTER TABLE item ALTER kind_id ADD GENERATED ALWAYS AS IDENTITY")',
        _ALTER,
    ),
    "alter-generated": Example(
        'op.execute("ALTER TABLE item ALTER twice DROP EXPRESSION")',
        _ALTER,
    ),
    "alter-composite": Example(
        'op.execute("ALTER TYPE pair ADD ATTRIBUTE c int")',
        _TYPE,
    ),
    "add-enum-value": Example(
        "op.execute(\"ALTER TYPE mood ADD VALUE 'b' AFTER 'a'\")",
        _TYPE,
    ),
    "new-restriction": Example(
        'op.execute("ALTER TABLE item ADD CONSTRAINT ck CHECK (n > 0) NOT VALID")',
        _ALTER,
    ),
    "hides-rows": Example(
        'op.execute("ALTER TABLE parts DETACH PARTITION part1 CONCURRENTLY")',
        _ALTER,
    ),
    "attach-validates": Example(
        'op.execute("ALTER TABLE parts ATTACH PARTITION part2 FOR VALUES IN (2)")',
        _ALTER,
    ),
    "disable-trigger": Example(
        'op.execute("ALTER TABLE item DISABLE TRIGGER tr_old")',
        _ALTER,
    ),
    "replica-identity": Example(
        'op.execute("ALTER TABLE item REPLICA IDENTITY FULL")',
        _ALTER,
    ),
    "row-security": Example(
        'op.execute("ALTER TABLE item ENABLE ROW LEVEL SECURITY")',
        _POLICY,
    ),
    "change-policy": Example(
        'op.execute("CREATE POLICY po ON item USING (n > 0)")',
        _POLICY,
    ),
    "rename-constraint": Example(
        'op.execute("ALTER TABLE item RENAME CONSTRAINT ck TO other")',
        _ALTER,
    ),
    "drop-publication": Example(
        'op.execute("DROP PUBLICATION pub")',
        _pg("DROP PUBLICATION", "sql-droppublication"),
    ),
    "revoke": Example(
        'op.execute("REVOKE SELECT ON item FROM app")',
        _pg("REVOKE", "sql-revoke"),
    ),
    "change-owner": Example(
        'op.execute("ALTER TABLE item OWNER TO app")',
        _ALTER,
    ),
    "alter-role": Example(
        'op.execute("ALTER ROLE app NOLOGIN")',
        _pg("ALTER ROLE", "sql-alterrole"),
    ),
    "alter-database": Example(
        "op.execute(\"ALTER DATABASE d SET timezone = 'UTC'\")",
        _pg("ALTER DATABASE", "sql-alterdatabase"),
    ),
    "alter-system": Example(
        "op.execute(\"ALTER SYSTEM SET work_mem = '1GB'\")",
        _pg("ALTER SYSTEM", "sql-altersystem"),
    ),
    "alter-extension": Example(
        'op.execute("ALTER EXTENSION postgis UPDATE")',
        _pg("ALTER EXTENSION", "sql-alterextension"),
    ),
    "primary-key-checks-null": Example(
        'op.execute("ALTER TABLE item ADD CONSTRAINT pk PRIMARY KEY USING INDEX ux")',
        _ALTER,
    ),
    "add-constrained-domain": Example(
        'op.add_column("item", sa.Column("m", postgresql.DOMAIN("d", sa.Integer, check="VALUE > 0")))',
        _ALTER,
    ),
    "partition-locks-parent": Example(
        'op.execute("CREATE TABLE part3 PARTITION OF parts FOR VALUES IN (3)")',
        _pg("CREATE TABLE", "sql-createtable"),
    ),
    "create-rule": Example(
        'op.execute("CREATE RULE ru AS ON DELETE TO item DO INSTEAD NOTHING")',
        _pg("CREATE RULE", "sql-createrule"),
    ),
    "char-type": Example(
        'op.add_column("item", sa.Column("m", sa.CHAR(3)))',
        _pg("Character Types", "datatype-character"),
    ),
    "int-key": Example(
        'op.create_table("t", sa.Column("id", sa.Integer, primary_key=True))',
        _pg("Numeric Types", "datatype-numeric"),
    ),
    "small-int": Example(
        'op.add_column("item", sa.Column("m", sa.SmallInteger))',
        _pg("Numeric Types", "datatype-numeric"),
    ),
    "serial-type": Example(
        'op.create_table("t", sa.Column("id", sa.BigInteger, primary_key=True))',
        _pg("Identity Columns", "ddl-identity-columns"),
    ),
    "varchar-limit": Example(
        'op.add_column("item", sa.Column("m", sa.String(20)))',
        _pg("Character Types", "datatype-character"),
    ),
    "timestamp-without-zone": Example(
        'op.add_column("item", sa.Column("m", sa.DateTime))',
        _pg("Date/Time Types", "datatype-datetime"),
    ),
    "json-type": Example(
        'op.add_column("item", sa.Column("m", sa.JSON))',
        _pg("JSON Types", "datatype-json"),
    ),
    "foreign-key-copies-table": Example(
        'op.create_foreign_key("fk", "item", "kind", ["kind_id"], ["id"])',
        _MARIA,
    ),
    "change-type-copies-table": Example(
        'op.alter_column("item", "n", type_=sa.BigInteger, existing_type=sa.Integer)',
        _MARIA,
    ),
    "check-copies-table": Example(
        'op.create_check_constraint("ck", "item", "n > 0")',
        _MARIA,
    ),
    "primary-key-copies-table": Example(
        'op.execute("ALTER TABLE item DROP PRIMARY KEY")',
        _MARIA,
    ),
    "primary-key-rebuilds-table": Example(
        'op.create_primary_key("pk", "item", ["n"])',
        _MARIA,
    ),
    "table-rebuilt-online": Example(
        'op.execute("ALTER TABLE item FORCE")',
        _MARIA,
    ),
    "auto-increment-copies-table": Example(
        'op.execute("ALTER TABLE item ADD COLUMN m INT AUTO_INCREMENT UNIQUE")',
        _MARIA,
    ),
    "stored-column-copies-table": Example(
        'op.execute("ALTER TABLE item ADD COLUMN m INT GENERATED ALWAYS AS (n + 1) STORED")',
        _MARIA,
    ),
    "default-expression-copies-table": Example(
        'op.execute("ALTER TABLE item ADD COLUMN m CHAR(36) DEFAULT (uuid())")',
        _MARIA,
    ),
    "not-null-rebuilds-table": Example(
        'op.alter_column("item", "n", nullable=False, existing_type=sa.Integer)',
        _MARIA,
    ),
    "table-rebuilt": Example(
        'op.execute("ALTER TABLE item CONVERT TO CHARACTER SET utf8mb4")',
        _MARIA,
    ),
    "drop-partition": Example(
        'op.execute("ALTER TABLE item DROP PARTITION p1")',
        _MARIA,
    ),
    "reference-in-column": Example(
        'op.execute("ALTER TABLE item ADD COLUMN k INT REFERENCES kind (id)")',
        _MARIA,
    ),
    "special-index-locks": Example(
        'op.execute("ALTER TABLE item ADD FULLTEXT INDEX ft (n)")',
        _MARIA,
    ),
    "sqlite-rebuild": Example(
        'with op.batch_alter_table("item") as batch_op:\n    batch_op.alter_column("n", nullable=False)',
        _LITE,
    ),
    "sqlite-needs-batch": Example(
        'op.alter_column("item", "n", nullable=False)',
        _LITE,
    ),
    "sqlite-cannot-add": Example(
        'op.add_column("item", sa.Column("m", sa.DateTime, server_default=sa.func.now()))',
        _LITE,
    ),
    "sqlite-drop-column": Example(
        'op.drop_column("item", "n")',
        _LITE,
    ),
}
