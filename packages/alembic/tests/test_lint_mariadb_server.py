# ruff: noqa: E501 - a statement is read best in one line
"""What blocks writes on MariaDB is what the server refuses to do without a lock."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_alembic._lint.engine import findings_of
from flaskware_alembic._lint.engine import RULES
from flaskware_alembic._lint.engine import Subject
from flaskware_alembic._lint.recording import Recording
from flaskware_alembic._results import RevisionInfo
from flaskware_alembic._sql.statement import changes_of_sql
from flaskware_core import Level

from .test_lint_rules import DIALECTS
from .test_lint_rules import recorded

SCHEMA = """
CREATE TABLE kind (id BIGINT PRIMARY KEY, n INT) CHARACTER SET utf8mb4;
CREATE TABLE item (id BIGINT PRIMARY KEY, n INT, f INT NOT NULL, s SMALLINT, v VARCHAR(60),
    w VARCHAR(20) NOT NULL, big VARCHAR(300), l VARCHAR(30) CHARACTER SET latin1, ch CHAR(10),
    t TEXT, tt TINYTEXT, e ENUM('a', 'b'), st SET('a', 'b'), d DECIMAL(10, 2), fl FLOAT,
    dt DATETIME, ts TIMESTAMP NULL, j JSON, b BLOB, bin VARBINARY(20), kind_id BIGINT,
    dn INT DEFAULT 5, y INT, KEY ix (n), UNIQUE KEY ux (kind_id, f),
    CONSTRAINT ck CHECK (s > 0)) CHARACTER SET utf8mb4;
CREATE TABLE keyless (n INT, f INT NOT NULL)
"""
ACTIONS = """
ADD c INT | ADD c INT FIRST | ADD c INT AFTER n | ADD c INT NOT NULL | ADD c INT NOT NULL DEFAULT 5 | ADD c INT DEFAULT (5)
ADD c INT DEFAULT (1 + 1) | ADD c CHAR(36) DEFAULT (uuid()) | ADD c CHAR(36) DEFAULT uuid() | ADD c DATETIME DEFAULT now()
ADD c TIMESTAMP DEFAULT CURRENT_TIMESTAMP | ADD c TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP
ADD c TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6) | ADD c DATE DEFAULT (CURRENT_DATE) | ADD c FLOAT DEFAULT rand()
ADD c TEXT DEFAULT 'x' | ADD c TEXT DEFAULT ('x') | ADD c JSON | ADD c JSON DEFAULT '{}' | ADD c VARCHAR(10) DEFAULT concat('a', 'b')
ADD c INT DEFAULT (n + 1) | ADD c INT UNIQUE | ADD c INT AUTO_INCREMENT UNIQUE | ADD c SERIAL | ADD c INT AS (n + 1) VIRTUAL
ADD c INT AS (n + 1) | ADD c INT AS (n + 1) STORED | ADD c INT AS (n + 1) PERSISTENT | ADD c INT GENERATED ALWAYS AS (n + 1) STORED
ADD c INT CHECK (c > 0) | ADD c INT DEFAULT 5 CHECK (c > 0) | ADD c BIGINT REFERENCES kind (id) | ADD c INT COMMENT 'check (x)'
ADD c INT INVISIBLE | ADD c VARCHAR(20) CHARACTER SET latin1 | ADD c VARCHAR(20) COMPRESSED | ADD c POINT | ADD c ENUM('a')
ADD COLUMN (o INT, p INT) | ADD o INT, ADD p INT UNIQUE | ADD COLUMN IF NOT EXISTS c INT | ADD c UUID | ADD c INET6 DEFAULT '::'
ADD INDEX i (v) | ADD KEY (v) | ADD INDEX i (v(10)) | ADD INDEX IF NOT EXISTS i (v) | ADD UNIQUE i (kind_id) | ADD UNIQUE KEY (f)
ADD UNIQUE INDEX IF NOT EXISTS i (kind_id) | ADD CONSTRAINT uq UNIQUE (kind_id) | ADD UNIQUE KEY i (v) USING HASH | ADD UNIQUE (t)
ADD UNIQUE (t(20)) | ADD UNIQUE i (b, n) | ADD FULLTEXT INDEX ft (v) | ADD FULLTEXT ft (v) | ADD FULLTEXT (v)
ADD INDEX i (n), ADD INDEX j (v) | ADD INDEX i (n) COMMENT 'x', DROP INDEX ix | ADD INDEX i (n) IGNORED
DROP PRIMARY KEY | DROP PRIMARY KEY, ADD PRIMARY KEY (f) | ADD CONSTRAINT ck2 CHECK (n > 0) | ADD CHECK (n > 0) | DROP CONSTRAINT ck
ADD CONSTRAINT fk FOREIGN KEY (kind_id) REFERENCES kind (id) | ADD FOREIGN KEY (kind_id) REFERENCES kind (id) ON DELETE CASCADE
DROP n | DROP COLUMN y | DROP COLUMN IF EXISTS y | DROP COLUMN w | DROP INDEX ix | DROP KEY ix | DROP INDEX IF EXISTS ix | DROP INDEX ux
RENAME COLUMN y TO z | RENAME INDEX ix TO iy | RENAME KEY ix TO iy
MODIFY y INT | MODIFY y BIGINT | MODIFY y INT NOT NULL | MODIFY f INT | MODIFY f INT NULL | MODIFY f INT NOT NULL | MODIFY y INT DEFAULT 5
MODIFY y INT UNSIGNED | MODIFY y INT FIRST | MODIFY y INT AFTER n | MODIFY s INT | MODIFY y INT COMMENT 'x' | MODIFY y INT AUTO_INCREMENT UNIQUE
MODIFY dn INT | MODIFY COLUMN IF EXISTS y INT COMMENT 'x' | MODIFY y INT CHECK (y > 0) | MODIFY y INT INVISIBLE | MODIFY y INT UNIQUE
MODIFY y INT(11) | MODIFY y INT(5) | MODIFY y integer | MODIFY f INT NOT NULL DEFAULT 7 | MODIFY v VARCHAR(60) | MODIFY v VARCHAR(63)
MODIFY v VARCHAR(90) | MODIFY v VARCHAR(20) | MODIFY v VARCHAR(63) NOT NULL | MODIFY w VARCHAR(40) | MODIFY w VARCHAR(40) NOT NULL
MODIFY big VARCHAR(500) | MODIFY big VARCHAR(200) | MODIFY v TEXT | MODIFY t VARCHAR(100) | MODIFY t MEDIUMTEXT | MODIFY t LONGTEXT | MODIFY tt TEXT
MODIFY v VARCHAR(60) CHARACTER SET utf8mb3 | MODIFY v VARCHAR(60) COLLATE utf8mb4_bin | MODIFY l VARCHAR(30) CHARACTER SET utf8mb4
MODIFY l VARCHAR(200) CHARACTER SET latin1 | MODIFY l VARCHAR(300) CHARACTER SET latin1 | MODIFY ch CHAR(20) | MODIFY ch CHAR(5)
MODIFY ch VARCHAR(10) | MODIFY v CHAR(60) | MODIFY bin VARBINARY(40) | MODIFY bin VARBINARY(300) | MODIFY b MEDIUMBLOB
MODIFY e ENUM('a', 'b', 'c') | MODIFY e ENUM('b', 'a') | MODIFY e ENUM('a') | MODIFY e ENUM('c', 'a', 'b') | MODIFY e ENUM('a','b','c') NOT NULL
MODIFY e VARCHAR(10) | MODIFY st SET('a', 'b', 'c') | MODIFY st SET('b', 'a') | MODIFY d DECIMAL(12, 2) | MODIFY d DECIMAL(10, 3) | MODIFY d DECIMAL(10,2)
MODIFY d NUMERIC(10,2) | MODIFY fl DOUBLE | MODIFY dt DATETIME(6) | MODIFY dt TIMESTAMP NULL | MODIFY ts DATETIME | MODIFY j LONGTEXT | MODIFY j JSON | MODIFY dt DATE
CHANGE y y INT | CHANGE y z INT | CHANGE y z BIGINT | CHANGE COLUMN v vv VARCHAR(63) | CHANGE v vv VARCHAR(60) NOT NULL
ALTER y SET DEFAULT 4 | ALTER COLUMN dn DROP DEFAULT | ALTER y SET DEFAULT (1 + 1) | ALTER INDEX ix IGNORED | ALTER INDEX ix NOT IGNORED
CONVERT TO CHARACTER SET utf8mb4 | CONVERT TO CHARACTER SET utf16 | CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
DEFAULT CHARACTER SET latin1 | CHARACTER SET utf8mb4 | COLLATE utf8mb4_bin | ENGINE=InnoDB | ENGINE=MyISAM | ENGINE = Aria | FORCE
ROW_FORMAT=DYNAMIC | ROW_FORMAT=COMPRESSED | ROW_FORMAT=REDUNDANT | KEY_BLOCK_SIZE=8 | PAGE_COMPRESSED=1 | ENCRYPTED=NO
COMMENT='x' | AUTO_INCREMENT=100 | STATS_PERSISTENT=1 | MAX_ROWS=100 | AVG_ROW_LENGTH=10 | CHECKSUM=1 | INSERT_METHOD=LAST
DELAY_KEY_WRITE=1 | TRANSACTIONAL=1 | PACK_KEYS=1 | MIN_ROWS=2 | DISABLE KEYS | ENABLE KEYS | ADD SYSTEM VERSIONING
WAIT 5 ADD c INT | NOWAIT ADD c INT
"""
CASES = [
    *(f"ALTER TABLE item {a.strip()}" for a in ACTIONS.strip().replace("\n", "|").split("|")),
    "ALTER TABLE keyless ADD PRIMARY KEY (f)",
    "ALTER TABLE keyless ADD c INT AUTO_INCREMENT PRIMARY KEY",
    "ALTER IGNORE TABLE item ADD UNIQUE (n)",
    "ALTER ONLINE TABLE item ADD c INT",
]  # fmt: skip
# Where the linter and the server disagree on whether writes are blocked.
DIFFERENT = {
    "ALTER TABLE item DISABLE KEYS": "it does nothing for InnoDB, and takes no such clause",
    "ALTER TABLE item ENABLE KEYS": "the same",
}


@pytest.mark.slow
def test_what_blocks_writes_is_what_mariadb_does_not_do_without_a_lock(
    mariadb_url: str, tmp_path: Path
) -> None:
    assert len(CASES) > 180
    engine = sa.create_engine(mariadb_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in SCHEMA.split(";\n"):
            connection.exec_driver_sql(statement)
        wrong = {
            case
            for case in CASES
            if blocks(connection, case) != is_said_to_block(case, tmp_path / "aa.py")
        }
    engine.dispose()
    assert wrong == set(DIFFERENT)


def blocks(connection: sa.Connection, case: str) -> bool:
    """Return whether MariaDB refuses to do it while others write."""
    try:
        connection.exec_driver_sql(f"{case}, ALGORITHM=INPLACE, LOCK=NONE")
    except sa_exc.DBAPIError as error:
        code = t.cast("t.Any", error.orig).args[0]
        # Not supported, with or without a reason.
        if code not in {1845, 1846}:
            raise
        return True
    for statement in SCHEMA.split(";\n")[1:]:
        table = statement.split()[2]
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table}")
        connection.exec_driver_sql(statement)
    return False


def is_said_to_block(case: str, path: Path) -> bool:
    info = RevisionInfo("aa", None, "", (), path, is_head=True)
    history = Recording(tuple(changes_of_sql(SCHEMA, "mysql")))
    recording = recorded(f"op.execute({case!r})", path, "mysql")
    subject = Subject(info, DIALECTS["mysql"], recording, history=lambda: [history])
    rules = [RULES[finding.rule] for finding in findings_of(subject)]
    return any(rule.grows and rule.level is Level.ERROR for rule in rules)
