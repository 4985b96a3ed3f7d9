"""Where something stands in a revision's file, and what stands around it."""

from __future__ import annotations

import ast
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
    """

    statement: ast.Expr
    call: ast.Call
    name: str
    in_autocommit: bool
    comments: tuple[str, ...]

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
    )


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
