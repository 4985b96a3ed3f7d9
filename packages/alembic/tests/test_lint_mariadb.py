"""What the rules say of MariaDB is what a real one says when it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from .test_lint_rules import rules_found

COPIES = "change-type-copies-table"


def typed(name: str, new: str, old: str) -> str:
    return f'op.alter_column("item", "{name}", type_={new}, existing_type={old})'


# The action of ALTER TABLE, the rule about it, and the same as an operation where that
# alone says what the column was.
REFUSED = [
    (
        "ADD CONSTRAINT fk FOREIGN KEY (kind_id) REFERENCES kind (id)",
        "foreign-key-copies-table",
        None,
    ),
    ("MODIFY n BIGINT", COPIES, typed("n", "sa.BigInteger", "sa.Integer")),
    ("MODIFY v VARCHAR(90)", COPIES, typed("v", "sa.String(90)", "sa.String(60)")),
    (
        "MODIFY e ENUM('b', 'a')",
        COPIES,
        typed("e", 'sa.Enum("b", "a")', 'sa.Enum("a")'),
    ),
    ("ADD CONSTRAINT ck CHECK (n > 0)", "check-copies-table", None),
    ("DROP PRIMARY KEY", "primary-key-copies-table", None),
    ("ADD m INT AUTO_INCREMENT UNIQUE", "auto-increment-copies-table", None),
    ("ADD s INT AS (n + 1) STORED", "stored-column-copies-table", None),
    ("ADD u CHAR(36) DEFAULT (uuid())", "default-expression-copies-table", None),
    ("CONVERT TO CHARACTER SET utf16", "table-rebuilt", None),
    ("ADD FULLTEXT INDEX ft (t)", "special-index-locks", None),
]
TAKEN = [
    ("MODIFY v VARCHAR(63)", COPIES, typed("v", "sa.String(63)", "sa.String(60)")),
    (
        "MODIFY e ENUM('a', 'b')",
        COPIES,
        typed("e", 'sa.Enum("a", "b")', 'sa.Enum("a")'),
    ),
    ("ADD s INT AS (n + 1) VIRTUAL", "stored-column-copies-table", None),
    (
        "ADD u TIMESTAMP DEFAULT CURRENT_TIMESTAMP",
        "default-expression-copies-table",
        None,
    ),
    ("ADD INDEX i (n)", "special-index-locks", None),
]


@pytest.mark.parametrize(
    ("action", "rule", "code", "is_refused"),
    [(*case, True) for case in REFUSED] + [(*case, False) for case in TAKEN],
)
def test_mariadb_alters_in_place_and_without_a_lock_what_no_rule_is_about(
    action: str,
    rule: str,
    code: str | None,
    is_refused: bool,
    mariadb_url: str,
    tmp_path: Path,
) -> None:
    operation = code or f'op.execute("ALTER TABLE item {action}")'
    found = rules_found(operation, "mysql", tmp_path / "aa.py")
    assert (rule in found) == is_refused
    engine = sa.create_engine(mariadb_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE kind (id BIGINT PRIMARY KEY)")
        connection.exec_driver_sql(
            "CREATE TABLE item (id BIGINT PRIMARY KEY, n INT, v VARCHAR(60),"
            " kind_id BIGINT, e ENUM('a'), t TEXT) CHARACTER SET utf8mb4"
        )
        online = f"ALTER TABLE item {action}, ALGORITHM = INPLACE, LOCK = NONE"
        if is_refused:
            with pytest.raises(sa_exc.DBAPIError, match="is not supported"):
                connection.exec_driver_sql(online)
        else:
            connection.exec_driver_sql(online)
