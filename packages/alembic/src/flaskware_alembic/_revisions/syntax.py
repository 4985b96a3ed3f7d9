"""Where something stands in a revision's file, and what stands around it.

libcst was considered: it keeps the layout inside of a statement, but a fix replaces
whole statements, whose lines ast knows; and it is a compiled dependency of 2 MB.
"""

from __future__ import annotations

import ast
import collections.abc as cabc
import dataclasses as dc
import io
import tokenize


def statement_at(tree: ast.Module, line: int) -> ast.stmt | None:
    """The innermost statement that a line is part of."""
    found: ast.stmt | None = None
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.stmt)
            and node.lineno <= line <= (node.end_lineno or node.lineno)
            and (found is None or node.lineno >= found.lineno)
        ):
            found = node
    return found


@dc.dataclass(frozen=True)
class Call:
    """A call of one of Alembic's operations that is a statement of its own.

    :param name: Of the operation.
    :param in_autocommit: Whether it is in an autocommit block.
    :param comments: Those in its lines, which unparsing it would lose.
    :param block: The first line of the ``with`` that it is in, other than that.
    """

    statement: ast.Expr
    call: ast.Call
    name: str
    in_autocommit: bool
    comments: tuple[str, ...]
    block: str | None = None

    def argument(self, position: int, *names: str) -> ast.expr | None:
        """The argument at a place or of a name."""
        for keyword in self.call.keywords:
            if keyword.arg in names:
                return keyword.value
        return self.call.args[position] if position < len(self.call.args) else None

    def text(self, position: int, *names: str) -> str | None:
        """An argument that is a plain string."""
        node = self.argument(position, *names)
        # op.f("name") is a name, and sa.text("...") is SQL.
        if isinstance(node, ast.Call) and len(node.args) == 1:
            node = node.args[0]
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        return None

    def with_keywords(self, **values: bool) -> str:
        """Its code with some keywords set."""
        kept = [k for k in self.call.keywords if k.arg not in values]
        added = [ast.keyword(k, ast.Constant(v)) for k, v in values.items()]
        return ast.unparse(ast.Call(self.call.func, self.call.args, [*kept, *added]))


def call_at(source: str, line: int | None) -> Call | None:
    """The operation of a line, if it alone is in its lines."""
    if line is None:
        return None
    tree = ast.parse(source)
    statement = statement_at(tree, line)
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return None
    function = statement.value.func
    if not (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == "op"
    ):
        return None
    first, last = statement.lineno, statement.end_lineno or statement.lineno
    others = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt)
        and node is not statement
        and (first in _edges(node) or last in _edges(node))
        and not _contains(node, statement)
    ]
    before = source.encode().splitlines()[first - 1][: statement.col_offset]
    if others or before.strip():
        return None
    comments = tuple(
        token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and first <= token.start[0] <= last
    )
    return Call(
        statement,
        statement.value,
        function.attr,
        any(_commits(node) and _contains(node, statement) for node in ast.walk(tree)),
        comments,
        _block_around(tree, statement),
    )


def above_function(source: str, name: str, code: str) -> str | None:
    """Return a source with code above a function, ``None`` if it does not define it."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            return _with_lines(source, first - 1, [*code.rstrip().splitlines(), "", ""])
    return None


def with_imports(source: str, *lines: str) -> str:
    """Return a source with some imports, each unless it is there already."""
    tree = ast.parse(source)
    present = {name for node in tree.body for name in _imported(node)}
    missing = [
        line
        for line in lines
        if not {name for node in ast.parse(line).body for name in _imported(node)}
        <= present
    ]
    # Below the docstring, where there is no other import.
    last = _end(tree.body[0]) if ast.get_docstring(tree) else 0
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            last = _end(node)
    return _with_lines(source, last, missing)


def imports_for(source: str, code: str) -> list[str]:
    """Return the imports of a source that some other code needs, too."""
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    found: list[str] = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [
                alias
                for alias in node.names
                if (alias.asname or alias.name.partition(".")[0]) in used
            ]
            if names:
                node.names = names
                found.append(ast.unparse(node))
    return found


def with_value(source: str, name: str, value: str | tuple[str, ...]) -> str:
    """Return a source with a constant below those that it has, at its top.

    :raises ValueError: if it has no constant ``revision``.
    """
    last: ast.stmt | None = None
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if {t.id for t in targets if isinstance(t, ast.Name)} & _HEADER:
            last = node
    if last is None:
        raise ValueError("the file has no line `revision = ...`")
    return _with_lines(source, _end(last), [f"{name} = {value!r}"])


_HEADER = {"revision", "down_revision", "branch_labels", "depends_on"}


def _imported(node: ast.stmt) -> cabc.Iterator[tuple[str, str, str | None]]:
    if isinstance(node, ast.Import):
        yield from (("", alias.name, alias.asname) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        start = "." * node.level + (node.module or "")
        yield from ((start, alias.name, alias.asname) for alias in node.names)


def _with_lines(source: str, at: int, lines: cabc.Iterable[str]) -> str:
    kept = source.splitlines(keepends=True)
    if kept and not kept[-1].endswith("\n"):
        kept[-1] += "\n"
    kept[at:at] = [f"{line}\n" for line in lines]
    return "".join(kept)


def _end(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _block_around(tree: ast.Module, statement: ast.stmt) -> str | None:
    for node in ast.walk(tree):
        is_block = isinstance(node, ast.With) and not _commits(node)
        if is_block and _contains(node, statement):
            return ast.unparse(node).partition("\n")[0]
    return None


def _edges(node: ast.stmt) -> tuple[int, int]:
    return node.lineno, node.end_lineno or node.lineno


def _contains(node: ast.AST, statement: ast.stmt) -> bool:
    return any(inner is statement for inner in ast.walk(node))


def _commits(node: ast.AST) -> bool:
    return isinstance(node, ast.With) and any(
        isinstance(inner, ast.Attribute) and inner.attr == "autocommit_block"
        for item in node.items
        for inner in ast.walk(item.context_expr)
    )
