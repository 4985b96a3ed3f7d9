"""Writing the safe form of what the rules found into the revision's file."""

from __future__ import annotations

import ast
import collections.abc as cabc
import dataclasses as dc
import re
import textwrap
from pathlib import Path

from ._finding import Finding
from ._sql import changes_of_sql
from ._syntax import Call
from ._syntax import call_at

_AUTOCOMMIT = "with op.get_context().autocommit_block():"


@dc.dataclass(frozen=True)
class Contract:
    """The second of two revisions, which is applied by a later deploy.

    :param backfill: A function with ``@backfill`` for the first of the two or for
        this one, which says so.
    """

    message: str
    upgrade: str
    downgrade: str
    backfill: str = ""
    backfill_first: bool = True


@dc.dataclass(frozen=True)
class Edit:
    """A file with a safe form in it.

    :param contract: What a revision of its own must do later, where one must.
    """

    text: str
    contract: Contract | None = None


def fix(finding: Finding) -> Edit | None:
    """The file of a finding with the safe form written, ``None`` where it cannot be."""
    path = finding.revision.path
    source = path.read_text("utf-8")
    call = call_at(source, finding.line)
    writer = None if call is None else _WRITERS.get(finding.rule, {}).get(call.name)
    written = None if call is None or writer is None else writer(call)
    if call is None or written is None:
        return None
    code, contract = written
    lines = source.splitlines(keepends=True)
    first, last = call.statement.lineno, call.statement.end_lineno or 0
    indent = " " * call.statement.col_offset
    above = "".join(f"{comment}\n" for comment in call.comments)
    lines[first - 1 : last] = [textwrap.indent(above + code.rstrip() + "\n", indent)]
    text = "".join(lines)
    if contract is not None and contract.backfill and contract.backfill_first:
        text = with_backfill(text, contract.backfill)
    return Edit(text, contract)


def with_backfill(text: str, backfill: str) -> str:
    """The text of a revision with a backfill above its ``upgrade``."""
    text = re.sub(
        r"(?m)^def upgrade\(",
        lambda _: f"{backfill.rstrip()}\n\n\ndef upgrade(",
        text,
        count=1,
    )
    for line, before in (
        ("import sqlalchemy as sa", "from alembic import op"),
        ("from flaskware_alembic import Batch", "revision = "),
        ("from flaskware_alembic import backfill", "revision = "),
    ):
        if line not in text.splitlines():
            text = text.replace(before, f"{line}\n{before}", 1)
    return text


_Written = tuple[str, Contract | None] | None


def _online(call: Call, *lines: str) -> str:
    if call.in_autocommit:
        return "\n".join(lines)
    return "\n".join([_AUTOCOMMIT, *(f"    {line}" for line in lines)])


def _create_index(call: Call) -> _Written:
    name = call.argument(0, "index_name")
    if name is None or (isinstance(name, ast.Constant) and name.value is None):
        # IF NOT EXISTS goes by the name.
        return None
    return _online(
        call, call.with_keywords(postgresql_concurrently=True, if_not_exists=True)
    ), None


def _drop_index(call: Call) -> _Written:
    return _online(
        call, call.with_keywords(postgresql_concurrently=True, if_exists=True)
    ), None


def _wrap(call: Call) -> _Written:
    if not _is_one(call.text(0, "sqltext") or ""):
        return None
    return _online(call, ast.unparse(call.call)), None


def _index_sql(call: Call) -> _Written:
    """CONCURRENTLY, in SQL that is one statement."""
    return _rewritten(
        call,
        r"(create\s+(?:unique\s+)?index|drop\s+index|reindex\s+(?:table|index))"
        r"(?=\s)(?!\s+concurrently)",
        r"\1 CONCURRENTLY",
    )


def _not_valid_sql(call: Call) -> _Written:
    """NOT VALID and then VALIDATE, in SQL that adds one named constraint."""
    name = r'("(?:[^"]|"")+"|\w+)'
    sql = call.text(0, "sqltext") or ""
    match = re.fullmatch(
        rf"(?is)\s*alter\s+table\s+((?:only\s+)?{name}(?:\.{name})?)\s+add\s+constraint"
        rf"\s+{name}\s+(?:check|foreign\s+key)\b.*?\)[^()]*?;?\s*",
        sql,
    )
    if match is None or not _is_one(sql):
        return None
    statement = sql.strip().rstrip(";").rstrip()
    return _online(
        call,
        _execute(f"{statement} NOT VALID"),
        _execute(f"ALTER TABLE {match[1]} VALIDATE CONSTRAINT {match[4]}"),
    ), None


def _rewritten(call: Call, pattern: str, new: str) -> _Written:
    sql = call.text(0, "sqltext")
    if sql is None or not _is_one(sql):
        return None
    written, count = re.subn(rf"(?is)^\s*{pattern}", new, sql)
    return (_online(call, _execute(written)), None) if count else None


def _is_one(sql: str) -> bool:
    """Whether it is one statement that does one thing, with no comment."""
    return len(changes_of_sql(sql, "postgresql")) == 1 and not re.search(r"--|/\*", sql)


def _not_valid(call: Call) -> _Written:
    name = call.text(0, "constraint_name")
    table = call.text(1, "source_table", "table_name")
    schema = call.text(99, "source_schema", "schema")
    if name is None or table is None:
        return None
    place = f"{_quoted(schema)}.{_quoted(table)}" if schema else _quoted(table)
    return _online(
        call,
        call.with_keywords(postgresql_not_valid=True),
        _execute(f"ALTER TABLE {place} VALIDATE CONSTRAINT {_quoted(name)}"),
    ), None


def _unique(call: Call) -> _Written:
    name, table = call.text(0, "constraint_name"), call.text(1, "table_name")
    columns = call.argument(2, "columns")
    schema = call.text(99, "schema")
    if name is None or table is None or columns is None:
        return None
    place = f"{_quoted(schema)}.{_quoted(table)}" if schema else _quoted(table)
    in_schema = f", schema={schema!r}" if schema else ""
    return _online(
        call,
        f"op.create_index({name!r}, {table!r}, {ast.unparse(columns)}, unique=True,"
        f"{in_schema and in_schema[1:] + ','} postgresql_concurrently=True,"
        " if_not_exists=True)",
        _execute(
            f"ALTER TABLE {place} ADD CONSTRAINT {_quoted(name)} UNIQUE USING INDEX"
            f" {_quoted(name)}"
        ),
    ), None


def _set_not_null(call: Call) -> _Written:
    table, name = call.text(0, "table_name"), call.text(1, "column_name")
    if table is None or name is None or call.argument(99, "schema") is not None:
        return None
    allowed = {"existing_type", "existing_nullable", "existing_server_default"}
    if {k.arg for k in call.call.keywords} - allowed - {"nullable"}:
        # What else it alters would wait for the rows to be checked, too.
        return None
    check = f"{table}_{name}_is_set"[:63]
    code = _online(
        call,
        _execute(
            f"ALTER TABLE {_quoted(table)} ADD CONSTRAINT {_quoted(check)}"
            f" CHECK ({_quoted(name)} IS NOT NULL) NOT VALID"
        ),
        _execute(f"ALTER TABLE {_quoted(table)} VALIDATE CONSTRAINT {_quoted(check)}"),
    )
    lines = [code, ast.unparse(call.call), f"op.drop_constraint({check!r}, {table!r})"]
    return "\n".join(lines), None


def _rename(call: Call) -> _Written:
    table, name = call.text(0, "table_name"), call.text(1, "column_name")
    new, type_ = call.text(99, "new_column_name"), call.argument(99, "existing_type")
    others = {k.arg for k in call.call.keywords} - {
        "new_column_name",
        "existing_type",
        "existing_nullable",
        "existing_server_default",
    }
    if table is None or name is None or new is None or type_ is None or others:
        return None
    return _replace_column(
        call, table, name, new, type_=ast.unparse(type_), value=_sql_name(name)
    )


def _change_type(call: Call) -> _Written:
    table, name = call.text(0, "table_name"), call.text(1, "column_name")
    type_ = call.argument(99, "type_")
    allowed = {
        "type_",
        "existing_type",
        "existing_nullable",
        "existing_server_default",
        "postgresql_using",
    }
    others = {k.arg for k in call.call.keywords} - allowed
    if table is None or name is None or type_ is None or others:
        return None
    using = call.text(99, "postgresql_using")
    value = f"sa.text({using!r})" if using else None
    code = ast.unparse(type_)
    if value is None:
        value = f"sa.cast({_sql_name(name)}, {code})"
    return _replace_column(call, table, name, f"{name}_new", type_=code, value=value)


def _replace_column(
    call: Call, table: str, name: str, new: str, *, type_: str, value: str
) -> _Written:
    default = call.argument(99, "existing_server_default")
    options = "nullable=True"
    if default is not None and ast.unparse(default) not in {"None", "False"}:
        options = f"server_default={ast.unparse(default)}, {options}"
    code = f"op.add_column({table!r}, sa.Column({new!r}, {type_}, {options}))"
    slug = re.sub(r"\W", "_", new)
    backfill = "\n".join(
        [
            f"@backfill({table!r}, batch=1000)",
            f"def fill_{slug}(connection: sa.Connection, batch: Batch) -> None:",
            f"    statement = sa.update(batch.table).values({{{new!r}: {value}}})",
            "    connection.execute(statement.where(batch.where))",
        ]
    )
    ups = [f"op.drop_column({table!r}, {name!r})"]
    downs = [f"op.add_column({table!r}, sa.Column({name!r}, {type_}, nullable=True))"]
    nullable = call.argument(99, "existing_nullable")
    if nullable is not None and ast.unparse(nullable) == "False":
        alter = f"op.alter_column({table!r}, {new!r}, existing_type={type_}, nullable="
        ups.insert(0, f"{alter}False)")
        downs.append(f"{alter}True)")
    message = f"drop {table}.{name}, which {new} took the place of"
    # The template indents the first line alone.
    upgrade, downgrade = ("\n    ".join(lines) for lines in (ups, downs))
    return code, Contract(message, upgrade, downgrade, backfill)


def _add_required(call: Call) -> _Written:
    table = call.text(0, "table_name")
    node = call.argument(1, "column")
    if table is None or not isinstance(node, ast.Call) or not node.args:
        return None
    name = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
    if not isinstance(name, str):
        return None
    kept = [k for k in node.keywords if k.arg != "nullable"]
    column = ast.Call(
        node.func, node.args, [*kept, ast.keyword("nullable", ast.Constant(True))]
    )
    rest = [ast.unparse(a) for a in call.call.args[2:]]
    rest += [
        ast.unparse(k)
        for k in call.call.keywords
        if k.arg not in {"table_name", "column"}
    ]
    arguments = ", ".join([repr(table), ast.unparse(column), *rest])
    type_ = ast.unparse(node.args[1]) if len(node.args) > 1 else "..."
    alter = (
        f"op.alter_column({table!r}, {name!r}, existing_type={type_}, nullable=False)"
    )
    backfill = "\n".join(
        [
            f"@backfill({table!r}, batch=1000, before=True)",
            f"def fill_{name}(connection: sa.Connection, batch: Batch) -> None:",
            f"    # What is {name} for the rows that are there?",
            f"    empty = batch.table.c[{name!r}].is_(None)",
            f"    statement = sa.update(batch.table).values({{{name!r}: ...}})",
            "    connection.execute(statement.where(batch.where, empty))",
        ]
    )
    return f"op.add_column({arguments})", Contract(
        f"require {table}.{name}",
        alter,
        alter.replace("nullable=False", "nullable=True"),
        backfill,
        backfill_first=False,
    )


_Writer = cabc.Callable[[Call], _Written]
# By the rule and the operation that breaks it.
_WRITERS: dict[str, dict[str, _Writer]] = {
    "add-required-column": {"add_column": _add_required},
    "change-type": {"alter_column": _change_type},
    "change-type-copies-table": {"alter_column": _change_type},
    "check-validates": {
        "create_check_constraint": _not_valid,
        "execute": _not_valid_sql,
    },
    "concurrent-in-transaction": {
        "create_index": _create_index,
        "drop_index": _drop_index,
        "execute": _wrap,
    },
    "drop-index-not-concurrent": {"drop_index": _drop_index, "execute": _index_sql},
    "foreign-key-validates": {
        "create_foreign_key": _not_valid,
        "execute": _not_valid_sql,
    },
    "index-not-concurrent": {"create_index": _create_index, "execute": _index_sql},
    "reindex-not-concurrent": {"execute": _index_sql},
    "rename-column": {"alter_column": _rename},
    "set-not-null": {"alter_column": _set_not_null},
    "unique-builds-index": {"create_unique_constraint": _unique},
    "validate-constraint": {"execute": _wrap},
    "validate-in-same-transaction": {"execute": _wrap},
}


FIXED = frozenset(_WRITERS)
"""The rules that a safe form is written for, where the code allows it."""


def write_contract(path: Path, contract: Contract, expand: str) -> None:
    """Finish the file of a contract: which revision it completes, and its backfill."""
    text = path.read_text("utf-8")
    text = re.sub(
        r"(?m)^(depends_on = .*)$", rf'\1\ncontracts = "{expand}"', text, count=1
    )
    if contract.backfill and not contract.backfill_first:
        text = with_backfill(text, contract.backfill)
    path.write_text(text, "utf-8")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sql_name(name: str) -> str:
    return f"batch.table.c[{name!r}]"


def _execute(sql: str) -> str:
    return f"op.execute({sql!r})"
