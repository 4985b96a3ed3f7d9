# ruff: noqa: E501 - a statement is read best in one line
"""What reads or rewrites rows while a table is blocked is what PostgreSQL says it is."""

from __future__ import annotations

import collections.abc as cabc
from pathlib import Path

import pytest
import sqlalchemy as sa

from flaskware_alembic._lint.engine import findings_of
from flaskware_alembic._lint.engine import RULES
from flaskware_alembic._lint.engine import Subject
from flaskware_alembic._lint.recording import Recording
from flaskware_alembic._results import RevisionInfo
from flaskware_alembic._sql.statement import changes_of_sql

from .test_lint_rules import DIALECTS
from .test_lint_rules import MODES
from .test_lint_rules import recorded

SCHEMA = Path(__file__).with_name("lint_postgresql.sql").read_text("utf-8")
TABLES = (
    "item", "kind", "bare", "parts", "part1", "part2", "rest", "parent", "child", "seen"
)  # fmt: skip
ACTIONS = """
ADD c int | ADD c int DEFAULT 5 | ADD c int NOT NULL DEFAULT 5 | ADD c int CHECK (c > 0)
ADD c int DEFAULT 5 CHECK (c > 0) | ADD c int CONSTRAINT ck CHECK (c > 0) DEFAULT 3
ADD c positive | ADD c public.positive DEFAULT 5 | ADD c required | ADD c any_int | ADD c positive[]
ADD c int REFERENCES kind (id) | ADD c bigint DEFAULT 1 REFERENCES kind | ADD c int UNIQUE
ADD c serial | ADD c bigint GENERATED ALWAYS AS IDENTITY | ADD c int GENERATED ALWAYS AS (n + 1) STORED
ADD c uuid DEFAULT gen_random_uuid() | ADD c timestamptz DEFAULT now() | ADD c timestamptz DEFAULT clock_timestamp()
ADD c int DEFAULT one() | ADD c int DEFAULT same() | ADD c text DEFAULT upper('a') | ADD c date DEFAULT CURRENT_DATE
ADD c text DEFAULT current_user | ADD c jsonb DEFAULT '{}'::jsonb | ADD c int[] DEFAULT ARRAY[1, 2] | ADD c mood DEFAULT 'a'
ADD c int DEFAULT nextval('numbers') | ADD c timestamp DEFAULT (now() AT TIME ZONE 'utc') | ADD c float DEFAULT random()
ADD c int CONSTRAINT xx NOT NULL DEFAULT 3 | ADD c text COLLATE "C" | ADD c pair | ADD c int, ADD d int CHECK (d > 0)
ADD CONSTRAINT ck CHECK (n > 0) | ADD CONSTRAINT ck CHECK (n > 0) NOT VALID | ADD CHECK (n > 0)
VALIDATE CONSTRAINT ck_later | VALIDATE CONSTRAINT fk_later
ADD CONSTRAINT fk FOREIGN KEY (kind_id) REFERENCES kind (id) | ADD FOREIGN KEY (kind_id) REFERENCES kind NOT VALID
ADD CONSTRAINT uq UNIQUE (n) | ADD CONSTRAINT uq UNIQUE USING INDEX ux_n | ADD EXCLUDE USING gist (during WITH &&)
ALTER small SET NOT NULL | ALTER full_n SET NOT NULL | ALTER full_n DROP NOT NULL | ALTER n SET DEFAULT 3 | ALTER n DROP DEFAULT
ALTER n TYPE bigint | ALTER n TYPE int4 | ALTER name TYPE text | ALTER name TYPE varchar(30) | ALTER name TYPE varchar(10)
ALTER name TYPE character varying | ALTER small TYPE int | ALTER small SET DATA TYPE int2 | ALTER id TYPE int8
ALTER price TYPE numeric(12, 2) | ALTER price TYPE decimal(12,3) | ALTER price TYPE decimal | ALTER price TYPE numeric(9, 2)
ALTER at TYPE timestamptz | ALTER at TYPE timestamp(3) | ALTER since TYPE timestamptz | ALTER since TYPE timestamp(4) with time zone
ALTER net TYPE inet | ALTER letters TYPE char(8) | ALTER letters TYPE text | ALTER words TYPE varchar | ALTER words TYPE varchar(10)
ALTER doc TYPE jsonb | ALTER bits TYPE varbit(8) | ALTER bits TYPE varbit(3) | ALTER words TYPE int USING words::int
ALTER n TYPE positive | ALTER n TYPE any_int | ALTER dom TYPE int | ALTER m TYPE text | ALTER words TYPE text COLLATE "C"
ALTER ratio TYPE double precision | ALTER ratio TYPE float4 | ALTER u TYPE text
ALTER n SET STATISTICS 5 | ALTER words SET STORAGE EXTERNAL | ALTER words SET COMPRESSION pglz | ALTER n SET (n_distinct = 5)
ALTER kind_id ADD GENERATED ALWAYS AS IDENTITY | ALTER made SET GENERATED ALWAYS | ALTER made DROP IDENTITY | ALTER made RESTART
ALTER twice DROP EXPRESSION | DROP n | DROP COLUMN name CASCADE | DROP CONSTRAINT ck_later | DROP CONSTRAINT fk_later
RENAME n TO o | RENAME TO thing | RENAME CONSTRAINT ck_later TO x | SET UNLOGGED | SET LOGGED | SET (fillfactor = 70)
RESET (fillfactor) | SET TABLESPACE pg_default | SET ACCESS METHOD heap | CLUSTER ON ix_old | SET WITHOUT CLUSTER
OWNER TO CURRENT_USER | SET SCHEMA other | ENABLE ROW LEVEL SECURITY | FORCE ROW LEVEL SECURITY
DISABLE TRIGGER ALL | REPLICA IDENTITY FULL | REPLICA IDENTITY NOTHING | INHERIT parent
"""
STATEMENTS = """
ALTER TABLE bare ADD PRIMARY KEY (n)
ALTER TABLE bare ADD PRIMARY KEY (f)
ALTER TABLE bare ADD CONSTRAINT pk PRIMARY KEY USING INDEX bare_n
ALTER TABLE bare ADD CONSTRAINT pk PRIMARY KEY USING INDEX bare_f
CREATE INDEX i ON item (small)
CREATE INDEX i ON item (small) WHERE small > 5
CREATE UNIQUE INDEX i ON item (full_n)
CREATE INDEX i ON ONLY parts (n)
CREATE INDEX i ON parts (n)
DROP INDEX ix_old
ALTER INDEX ix_old RENAME TO j
ALTER INDEX ix_old SET (fillfactor = 70)
REINDEX INDEX ix_old
REINDEX TABLE item
CREATE TABLE t (id bigint PRIMARY KEY, k bigint REFERENCES kind (id))
CREATE TABLE t (LIKE item INCLUDING ALL)
CREATE TABLE t AS SELECT * FROM item
CREATE TABLE IF NOT EXISTS item (id bigint)
CREATE TABLE t () INHERITS (item)
CREATE TABLE t PARTITION OF parts FOR VALUES IN (3)
CREATE TABLE t PARTITION OF simple FOR VALUES IN (3) PARTITION BY LIST (n)
ALTER TABLE parts ATTACH PARTITION part2 FOR VALUES IN (2)
CREATE TABLE t (LIKE parts); ALTER TABLE parts ATTACH PARTITION t FOR VALUES IN (3)
CREATE TABLE t (LIKE simple); ALTER TABLE simple ATTACH PARTITION t FOR VALUES IN (3)
ALTER TABLE parts DETACH PARTITION part1
ALTER TABLE parts ADD c int
ALTER TABLE parts ADD c int CHECK (c > 0)
ALTER TABLE parts ADD CONSTRAINT ck CHECK (n > -1)
ALTER TABLE parts DROP x
DROP TABLE part2
DROP TABLE kind CASCADE
TRUNCATE kind CASCADE
CREATE RULE ru AS ON INSERT TO item DO ALSO NOTHING
CREATE OR REPLACE RULE ru_old AS ON DELETE TO kind DO ALSO NOTHING
DROP RULE ru_old ON kind
ALTER RULE ru_old ON kind RENAME TO ru_new
CREATE TRIGGER tr AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()
DROP TRIGGER tr_old ON kind
ALTER TRIGGER tr_old ON kind RENAME TO tr_new
CREATE POLICY po ON item USING (true)
ALTER POLICY po_old ON item USING (false)
DROP POLICY po_old ON item
CREATE STATISTICS s2 ON n, kind_id FROM item
DROP STATISTICS st
ANALYZE item
COMMENT ON TABLE item IS 'x'
COMMENT ON CONSTRAINT ck_later ON item IS 'x'
GRANT SELECT ON item TO PUBLIC
REVOKE SELECT ON item FROM PUBLIC
CREATE VIEW w AS SELECT * FROM item
CREATE OR REPLACE VIEW seen_now AS SELECT id, n FROM kind
ALTER VIEW seen_now RENAME TO w
DROP VIEW seen_now
CREATE MATERIALIZED VIEW mv AS SELECT * FROM item
REFRESH MATERIALIZED VIEW seen
REFRESH MATERIALIZED VIEW CONCURRENTLY seen
ALTER MATERIALIZED VIEW seen RENAME TO w
LOCK TABLE item
LOCK TABLE item IN SHARE MODE
LOCK TABLE item IN ACCESS SHARE MODE
CLUSTER item USING ix_old
CREATE PUBLICATION p2 FOR TABLE item
ALTER PUBLICATION pub ADD TABLE item
CREATE SEQUENCE s2 OWNED BY item.n
ALTER SEQUENCE numbers OWNED BY item.n
ALTER SEQUENCE numbers RESTART WITH 10
SELECT * FROM item FOR UPDATE
SELECT setval('numbers', max(n)) FROM item
ALTER DOMAIN positive ADD CONSTRAINT c2 CHECK (VALUE > -1)
ALTER DOMAIN positive ADD CONSTRAINT c2 CHECK (VALUE > -1) NOT VALID
ALTER DOMAIN any_int SET NOT NULL
ALTER DOMAIN positive SET DEFAULT 4
DROP DOMAIN positive CASCADE
ALTER TYPE mood ADD VALUE 'c'
ALTER TYPE pair ADD ATTRIBUTE c int CASCADE
ALTER TABLE child NO INHERIT parent
ALTER TABLE parent ADD CONSTRAINT ck CHECK (id > 0)
ALTER TABLE parent ADD c int NOT NULL DEFAULT 5
ALTER TABLE parent ALTER id TYPE int
DO $$ BEGIN ALTER TABLE item ADD c int CHECK (c > 0); END $$
"""
CASES = [
    *(f"ALTER TABLE item {a.strip()}" for a in ACTIONS.replace("\n", "|").split("|")),
    *STATEMENTS.splitlines(),
]
# Where the linter says it takes long and PostgreSQL does not, or the other way round.
DIFFERENT = {
    "ALTER TABLE item ADD c int DEFAULT same()": "whether a function of the user is volatile stands in the database alone",
    "ALTER TABLE item ALTER at TYPE timestamptz": "nothing is rewritten in sessions of the time zone UTC, of which a revision cannot be sure",
    "ALTER TABLE item ALTER n TYPE any_int": "that the type is a domain over the same type stands in the database alone",
    "ALTER TABLE item ALTER dom TYPE int": "the same, the other way",
    "ALTER TABLE item SET LOGGED": "the table is logged already, which is no reason to write the statement",
    "ALTER TABLE item SET TABLESPACE pg_default": "the table is there already",
    "ALTER TABLE item SET ACCESS METHOD heap": "the table is of it already",
    "CREATE TABLE t PARTITION OF parts FOR VALUES IN (3)": "the rule is about the lock, and names the rows of a default partition beside it",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY seen": "it blocks writes to the view, which there are none of",
    "ALTER DOMAIN any_int SET NOT NULL": "no table uses the domain here",
    "TRUNCATE kind CASCADE": "a new and empty file takes the place of the rows, however many they are",
}  # fmt: skip


def takes_long(connection: sa.Connection, statement: str) -> bool:
    """Run a statement, and return if it went through rows under a lock against writes."""
    oids = {
        name: connection.scalar(sa.text(f"SELECT CAST('{name}' AS regclass)::oid::int"))
        for name in TABLES
    }

    def numbers(query: str) -> dict[int, object]:
        rows = connection.exec_driver_sql(query)
        return {row[0]: row[1] for row in rows}

    reads = "SELECT relid::int, seq_tup_read FROM pg_stat_xact_user_tables"
    files = "SELECT oid::int, relfilenode::int FROM pg_class"
    before = numbers(reads), numbers(files)
    connection.exec_driver_sql(statement)
    after = numbers(reads), numbers(files)
    held = connection.exec_driver_sql(
        "SELECT relation::int, mode FROM pg_locks WHERE pid = pg_backend_pid() AND granted"
        " AND relation IS NOT NULL"
    ).all()
    connection.rollback()
    blocked = {
        oid
        for oid, mode in held
        if MODES.index(mode) >= MODES.index("ShareLock") and oid in oids.values()
    }
    return any(
        before[0].get(oid, 0) < after[0].get(oid, 0)
        or before[1][oid] != after[1].get(oid, before[1][oid])
        for oid in blocked
    )


def said_to_take_long(statement: str, path: Path) -> bool:
    info = RevisionInfo("aa", None, "", (), path, is_head=True)
    history = Recording(tuple(changes_of_sql(SCHEMA, "postgresql")))
    subject = Subject(
        info,
        DIALECTS["postgresql"],
        recorded(f"op.execute({statement!r})", path, "postgresql"),
        history=lambda: [history],
    )
    found = {finding.rule for finding in findings_of(subject)}
    # A CHECK is validated online, which is what the rule advises.
    return any(RULES[id].grows for id in found - {"validate-constraint"})


@pytest.fixture
def connection(postgresql_url: str) -> cabc.Iterator[sa.Connection]:
    """A connection to a database with tables that have rows."""
    engine = sa.create_engine(postgresql_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("SET timezone = 'UTC'")
        for statement in SCHEMA.split(";\n")[:-1]:
            connection.exec_driver_sql(statement)
        connection.commit()
        yield connection


def test_what_goes_through_rows_under_a_lock_is_what_postgresql_does(
    connection: sa.Connection, tmp_path: Path
) -> None:
    cases = [case for case in CASES if case not in {"", "ALTER TABLE item "}]
    assert len(cases) > 180
    wrong = {
        case
        for case in cases
        if takes_long(connection, case) != said_to_take_long(case, tmp_path / "aa.py")
    }
    assert wrong == set(DIFFERENT)
