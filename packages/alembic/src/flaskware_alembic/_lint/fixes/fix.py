"""Writing the safe form of what the rules found into the revision's file."""

from __future__ import annotations

import ast
import collections.abc as cabc
import dataclasses as dc
import re
import textwrap
from pathlib import Path

from flaskware_alembic._lint.schema import Past
from flaskware_alembic._results import Finding
from flaskware_alembic._revisions.header import read_source
from flaskware_alembic._revisions.revision import rewrite_file
from flaskware_alembic._revisions.syntax import above_function
from flaskware_alembic._revisions.syntax import Call
from flaskware_alembic._revisions.syntax import call_at
from flaskware_alembic._revisions.syntax import imports_for
from flaskware_alembic._revisions.syntax import with_imports
from flaskware_alembic._revisions.syntax import with_value
from flaskware_alembic._sql.change import Change
from flaskware_alembic._sql.statement import changes_of_sql
from flaskware_alembic._transitions.constraint import checked_not_null
from flaskware_alembic._transitions.constraint import execute as _execute
from flaskware_alembic._transitions.constraint import in_autocommit
from flaskware_alembic._transitions.constraint import name_of_check
from flaskware_alembic._transitions.constraint import quoted as _quoted
from flaskware_alembic._transitions.replacement import Column
from flaskware_alembic._transitions.replacement import Contract
from flaskware_alembic._transitions.replacement import Replacement

from .history import History
from .history import past_of


@dc.dataclass(frozen=True)
class Edit:
    """A file with a safe form in it.

    :param contract: The work of a later revision, if it needs one.
    """

    text: str
    contract: Contract | None = None


@dc.dataclass(frozen=True)
class NotFixable:
    """Why no safe form is written."""

    reason: str


@dc.dataclass(frozen=True)
class Ground:
    """Knowledge about the place of a fix.

    :param past: The schema before the change.
    :param change: The change that was found.
    :param before: The changes of the revision before it.
    :param history: The recordings of the revisions before it, the oldest first.
    """

    dialect: str
    past: Past
    change: Change
    before: tuple[Change, ...] = ()
    history: History = tuple


def fix(finding: Finding, ground: Ground) -> Edit | NotFixable:
    """Return the file of a finding with the safe form written, or why it is not."""
    path = finding.revision.path
    source = read_source(path)
    call = call_at(source, finding.line)
    if call is None:
        return NotFixable("it is no call of `op` that has its lines for itself")
    if (finding.rule, call.name) in _REPLACED:
        if not finding.revision.is_head:
            # The contract would drop what they made of the old column.
            return NotFixable("later revisions follow, which may use the column")
        return _replace(source, call, ground.dialect, ground.history)
    writer = _WRITERS.get(finding.rule, {}).get(call.name)
    if writer is None:
        return NotFixable(f"there is no safe form of `op.{call.name}` to write")
    if reason := _obstacle(finding.rule, call, ground):
        return NotFixable(reason)
    written = writer(call)
    if written is None:
        return NotFixable(
            "it says a name in a variable, has none, or does more than this one thing"
        )
    code, more = written
    return _edit(source, _with_code(source, call, code), more)


def _edit(source: str, text: str, more: Contract | str | None) -> Edit | NotFixable:
    """Return the edited text with the backfill or contract that it needs."""
    if isinstance(more, str):
        filled = _with_own_backfill(text, more)
        if filled is None:
            return NotFixable("`upgrade` is not defined in its file")
        return Edit(filled)
    if more is None:
        return Edit(text)
    imports = imports_for(source, f"{more.upgrade}\n{more.downgrade}")
    return Edit(text, dc.replace(more, imports=tuple(imports)))


# A fix of these sends statements that commit at once.
_ONLINE = {
    "check-validates", "concurrent-in-transaction", "drop-index-not-concurrent",
    "foreign-key-validates", "index-not-concurrent", "reindex-not-concurrent",
    "set-not-null", "unique-builds-index", "validate-constraint",
    "validate-in-same-transaction",
}  # fmt: skip
# PostgreSQL refuses their safe form for a table that consists of partitions.
_NOT_OF_PARTITIONS = {
    "concurrent-in-transaction", "drop-index-not-concurrent", "foreign-key-validates",
    "index-not-concurrent", "unique-builds-index",
}  # fmt: skip


def _obstacle(rule: str, call: Call, ground: Ground) -> str | None:
    """Return why PostgreSQL would refuse the safe form."""
    change, past = ground.change, ground.past
    table = change.table or past.table_of(change.name)
    if rule in _NOT_OF_PARTITIONS and past.is_partitioned(table):
        return (
            f"{table} consists of partitions, for which PostgreSQL refuses it; do it"
            " for each partition, and for the table with ONLY"
        )
    if rule not in _ONLINE or call.in_autocommit:
        return None
    if call.block is not None:
        return f"it is in `{call.block}`, which cannot commit half way"
    held = next((one for one in ground.before if _is_of_transaction(one)), None)
    if held is not None:
        return f"`{held}` before it ends with the transaction that it would commit"
    return None


def _is_of_transaction(change: Change) -> bool:
    words = (change.text or "").upper().split()[:3]
    return change.kind == "lock_table" or words[:2] in (
        ["SET", "LOCAL"], ["SET", "CONSTRAINTS"], ["CREATE", "TEMP"],
        ["CREATE", "TEMPORARY"],
    )  # fmt: skip


def _with_code(source: str, call: Call, code: str) -> str:
    lines = source.splitlines(keepends=True)
    first, last = call.statement.lineno, call.statement.end_lineno or 0
    indent = " " * call.statement.col_offset
    above = "".join(f"{comment}\n" for comment in call.comments)
    lines[first - 1 : last] = [textwrap.indent(above + code.rstrip() + "\n", indent)]
    return "".join(lines)


def _with_own_backfill(text: str, backfill: str) -> str | None:
    # Where one of the table is there already, it is thought to fill the column.
    start = backfill.partition(",")[0]
    return text if start in text.replace('"', "'") else with_backfill(text, backfill)


def with_backfill(text: str, backfill: str) -> str | None:
    """Return a revision with a backfill above its ``upgrade``, ``None`` without one."""
    written = above_function(text, "upgrade", backfill)
    if written is None:
        return None
    return with_imports(
        written,
        "import sqlalchemy as sa",
        "from flaskware_alembic import Batch",
        "from flaskware_alembic import backfill",
    )


# A text is a backfill of the same revision.
_Written = tuple[str, Contract | str | None] | None


def _online(call: Call, *lines: str) -> str:
    if call.in_autocommit:
        return "\n".join(lines)
    return "\n".join(in_autocommit(*lines))


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
    """True for one statement with one change and no comment."""
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
        # Its other changes would wait until the rows are checked, too.
        return None
    check = name_of_check(table, name)
    code = _online(call, *checked_not_null(table, name, check))
    lines = [code, ast.unparse(call.call), f"op.drop_constraint({check!r}, {table!r})"]
    question = f"What is {name} where it is NULL? If it never is, delete this function."
    return "\n".join(lines), _fill(table, name, question)


def _fill(table: str, name: str, question: str) -> str:
    slug = re.sub(r"\W", "_", name)
    return "\n".join(
        [
            f"@backfill({table!r}, batch=1000, before=True)",
            f"def fill_{slug}(connection: sa.Connection, batch: Batch) -> None:",
            f"    # {question}",
            f"    empty = batch.table.c[{name!r}].is_(None)",
            f"    statement = sa.update(batch.table).values({{{name!r}: ...}})",
            "    connection.execute(statement.where(batch.where, empty))",
        ]
    )


# The rules whose fix needs a trigger and what is known of the column.
_REPLACED = {("rename-column", "alter_column"), ("change-type", "alter_column")}
_EXISTING = {"existing_type", "existing_nullable", "existing_server_default"}
# Types with comparable values, so that the trigger can detect a write.
_COMPARED = {
    "bigint", "biginteger", "boolean", "char", "date", "datetime", "double", "float",
    "integer", "interval", "jsonb", "largebinary", "numeric", "smallint",
    "smallinteger", "string", "text", "time", "timestamp", "unicode", "unicodetext",
    "uuid", "varchar",
}  # fmt: skip
# Each holds the values of those before it, and code that maps it can write them.
_WIDTHS = {
    "smallint": 1, "smallinteger": 1, "integer": 2, "bigint": 3, "biginteger": 3,
    "numeric": 4,
}  # fmt: skip


def _replace(
    source: str, call: Call, dialect: str, history: History
) -> Edit | NotFixable:
    """A new column that takes the place of another, kept the same by a trigger."""
    if dialect != "postgresql":
        return NotFixable(
            "it writes the trigger that keeps the columns equal for PostgreSQL only"
        )
    read = _replacement(call, history)
    if isinstance(read, NotFixable):
        return read
    original, tree = source, ast.parse(source)
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    up, down = functions.get("upgrade"), functions.get("downgrade")
    if up is None or not any(n.lineno == call.statement.lineno for n in up.body):
        return NotFixable("it is not a statement of `upgrade` itself")
    others = [
        n for n in up.body if n.lineno != call.statement.lineno and _names(n, read)
    ]
    if others:
        return NotFixable(f"other statements of `upgrade` name {read.old.name}, too")
    inverse = None if down is None else _inverse(source, down, read)
    if down is not None and inverse is None:
        return NotFixable("`downgrade` does not undo it in one statement of its own")
    # The lower edit first, so that the lines of the other stay where they are.
    edits = [(call, read.upgrade)]
    if inverse is not None:
        edits.append((inverse, read.downgrade))
    for at, code in sorted(edits, key=lambda e: -e[0].statement.lineno):
        source = _with_code(source, at, code)
    imports = imports_for(original, f"{read.old.type}\n{read.new.type}")
    contract = dc.replace(read.contract, imports=tuple(imports))
    text = with_backfill(source, contract.backfill)
    return Edit(text or source, contract)


def _replacement(call: Call, history: History) -> Replacement | NotFixable:
    table, name = call.text(0, "table_name"), call.text(1, "column_name")
    new, type_ = call.text(99, "new_column_name"), call.argument(99, "existing_type")
    changed = call.argument(99, "type_")
    what = {k.arg for k in call.call.keywords} - _EXISTING
    if (
        table is None
        or name is None
        or what - {"table_name", "column_name"} not in ({"new_column_name"}, {"type_"})
    ):
        return NotFixable("it does more than this one thing, or says it in variables")
    if type_ is None:
        return NotFixable("it does not say the present type: existing_type=...")
    keeps_name = new is None
    new = f"{name}_new" if new is None else new
    if not all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", n) for n in (table, name, new)):
        return NotFixable("a name has characters other than letters and digits")
    if len(new) > 63:
        return NotFixable(f"the name {new} is too long")
    if reason := _unlike(type_, changed):
        return NotFixable(reason)
    past = past_of(history(), table, name)
    if past.obstacle is not None:
        return NotFixable(past.obstacle)
    nullable = _said(call, "existing_nullable")
    if nullable not in {None, str(past.nullable)}:
        return NotFixable("existing_nullable= is not what earlier revisions say")
    default = _said(call, "existing_server_default")
    default = None if default in {"None", "False"} else default
    if past.has_default != (default is not None):
        return NotFixable("existing_server_default= is not what earlier revisions say")
    if default is not None and (past.nullable or not _is_plain(default)):
        reason = "it is nullable and has a default, or its default is not a constant"
        return NotFixable(reason)
    code = ast.unparse(type_)
    new_type = code if changed is None else ast.unparse(changed)
    return Replacement(
        "postgresql",
        table,
        Column(name, code, past.nullable, default),
        Column(new, new_type, past.nullable, default),
        keeps_name,
    )


def _said(call: Call, name: str) -> str | None:
    node = call.argument(99, name)
    return None if node is None else ast.unparse(node)


def _is_plain(default: str) -> bool:
    """True for a constant default, not from a sequence of the column."""
    return re.fullmatch(r"(sa\.text\()?(['\"]).*\2\)?", default) is not None and not (
        re.search(r"(?i)nextval|\(.*\(", default)
    )


def _unlike(old: ast.expr, new: ast.expr | None) -> str | None:
    """Why two columns of these types cannot be kept the same."""
    for node in filter(None, (old, new)):
        if _type_name(node) not in _COMPARED:
            return f"values of {ast.unparse(node)} may not be told apart by a trigger"
    if new is None:
        return None
    has_arguments = any(isinstance(n, ast.Call) and n.args for n in (old, new))
    widths = [_WIDTHS.get(_type_name(node), 0) for node in (old, new)]
    if has_arguments or not 0 < widths[0] < widths[1]:
        return (
            "code that maps the one type cannot write the other, or not each of its"
            " values; only a number that becomes wider is written by --fix"
        )
    return None


def _type_name(node: ast.expr) -> str:
    node = node.func if isinstance(node, ast.Call) else node
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "sa":
        return node.attr.lower()
    return ""


def _names(node: ast.AST, read: Replacement) -> bool:
    """True if a string in it names the column."""
    word = re.compile(rf"(?<!\w){re.escape(read.old.name)}(?!\w)")
    return any(
        isinstance(n, ast.Constant)
        and isinstance(n.value, str)
        and word.search(n.value)
        for n in ast.walk(node)
    )


def _inverse(source: str, down: ast.FunctionDef, read: Replacement) -> Call | None:
    """The statement of ``downgrade`` that takes it back."""
    wanted = read.old.name if read.keeps_name else read.new.name
    found = [call_at(source, statement.lineno) for statement in down.body]
    calls = [
        call
        for call in found
        if call is not None
        and call.name == "alter_column"
        and call.text(0, "table_name") == read.table
        and call.text(1, "column_name") == wanted
        and (
            (read.keeps_name and call.argument(99, "type_") is not None)
            or call.text(99, "new_column_name") == read.old.name
        )
        and not {k.arg for k in call.call.keywords}
        - {*_EXISTING, "table_name", "column_name", "type_", "new_column_name"}
    ]
    return calls[0] if len(calls) == 1 else None


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
    backfill = _fill(table, name, f"What is {name} for the rows that are there?")
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
    "set-not-null": {"alter_column": _set_not_null},
    "unique-builds-index": {"create_unique_constraint": _unique},
    "validate-constraint": {"execute": _wrap},
    "validate-in-same-transaction": {"execute": _wrap},
}


FIXED = frozenset(_WRITERS) | {rule for rule, _ in _REPLACED}
"""The rules that a safe form is written for, where the code allows it."""


def write_contract(path: Path, contract: Contract, expand: str) -> None:
    """Finish the file of a contract: which revision it completes, and its backfill."""
    text = with_value(read_source(path), "contracts", expand)
    if contract.blocked_by:
        text = with_value(text, "blocked_by", contract.blocked_by)
    if contract.backfill and not contract.backfill_first:
        text = with_backfill(text, contract.backfill) or text
    rewrite_file(path, with_imports(text, *contract.imports))
