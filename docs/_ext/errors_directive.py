"""`{errors}` and `{findings}`: every error and finding, read from the code itself."""

from __future__ import annotations

import ast
import collections.abc as cabc
import importlib
import typing as t
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from flaskware_tools.matrix import packages

# The classes of each kind; a weakness is a finding of flaskware-secure.
_NAMES = {
    "Finding": {"Finding", "Problem", "Weakness"},
    "ConfigProblem": {"ConfigProblem", "PolicyProblem"},
}
_LEVELS = {"ERROR": "error", "WARNING": "warning", "INFO": "information"}


class _Listing(SphinxDirective):
    """Base of directives that write Markdown from code."""

    def lines(self) -> cabc.Iterator[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        parent = nodes.container()
        lines = StringList(list(self.lines()), source=type(self).__name__)
        self.state.nested_parse(lines, 0, parent)
        return parent.children


class ErrorsDirective(_Listing):
    """List the exceptions of every package: when each is raised, and its exit code."""

    def lines(self) -> cabc.Iterator[str]:
        for package in packages().values():
            module = importlib.import_module(package.module)
            found = [getattr(module, name) for name in module.__all__]
            errors = [
                item
                for item in found
                if isinstance(item, type)
                and issubclass(item, BaseException)
                and item.__module__.startswith("flaskware_")
            ]
            if not errors:
                continue
            yield from (f"**{package.distribution}**", "")
            for error in sorted(errors, key=lambda item: item.__name__):
                sentences = (error.__doc__ or "").strip().partition("\n\n")[0]
                if not sentences:
                    raise self.error(f"{error.__name__} has no docstring")
                code = vars(error).get("exit_code")
                ending = f" Exit code {code}." if code is not None else ""
                yield f"{{py:exc}}`~{package.module}.{error.__name__}`"
                yield f": {' '.join(sentences.split())}{ending}"
                yield ""


class FindingsDirective(_Listing):
    """List every finding and configuration problem with its remedy.

    The argument is the name of the class: `Finding` or `ConfigProblem`.
    """

    required_arguments = 1

    def lines(self) -> cabc.Iterator[str]:
        kind = self.arguments[0]
        for package in packages().values():
            calls = {
                tuple(row): None
                for path in sorted((package.folder / "src").rglob("*.py"))
                for row in _calls(path, kind)
            }
            if not calls:
                continue
            yield from (f"**{package.distribution}**", "")
            for head, *rest in sorted(calls):
                yield f"`{head}`"
                cause, remedy, note = rest
                yield f": {note}{cause}"
                if remedy:
                    yield f"  *Remedy:* {remedy}"
                yield ""


def _calls(path: Path, kind: str) -> cabc.Iterator[tuple[str, str, str, str]]:
    """Yield the head, cause, remedy and level of each call of a class."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id not in _NAMES[kind]:
            continue
        given = dict(enumerate(node.args)) | {
            word.arg: word.value for word in node.keywords
        }
        if node.func.id == "Weakness":  # a finding of flaskware-secure
            head = f"secure.{_text(given[0])}"
            cause, remedy = (_text(given.get(place)) for place in (3, 4))
            note = f"({_LEVELS['WARNING']}) "
        elif kind == "Finding":
            head = _text(given.get(0, given.get("id")))
            cause = _text(given.get(2, given.get("message")))
            remedy = _text(given.get(3, given.get("fix")))
            level = given.get(1, given.get("level"))
            name = level.attr if isinstance(level, ast.Attribute) else ""
            note = f"({_LEVELS[name]}) " if name in _LEVELS else ""
            # Ids of rules of other checkers have no name of a package in front.
            if head.partition(".")[2] in {"", "…"}:
                continue
        else:
            head = _text(given.get(0, given.get("key")))
            expected = _text(given.get(1, given.get("expected")))
            if not f"{head}{expected}".strip("… "):
                continue  # passes on a problem that is made elsewhere
            head = head if head.strip("… ") else "any key"
            cause = _text(given.get("summary")) or f"Expected: {expected}."
            remedy, note = _text(given.get(3, given.get("write"))), ""
            code = _text(given.get("code"))
            note = f"(`{code}`) " if code.strip("… ") else ""
        if head.strip("… "):
            yield head, cause or "…", remedy, note


def _text(node: object) -> str:
    """Return the text of an expression, with an ellipsis for what only a run knows."""
    if isinstance(node, ast.Constant):
        return str(node.value) if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "…" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return (_text(node.left) or "…") + (_text(node.right) or "…")
    if isinstance(node, ast.IfExp):
        return _text(node.body) or _text(node.orelse)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "key"
        and isinstance(node.func.value, ast.Name)
    ):
        owner = node.func.value.id.removesuffix("Settings").upper()
        prefix = "FLASKWARE" if owner == "CORE" else owner
        return f"{prefix}_{_text(node.args[0]).upper()}"
    return "…" if isinstance(node, ast.expr) else ""


def setup(app: Sphinx) -> dict[str, t.Any]:
    app.add_directive("errors", ErrorsDirective)
    app.add_directive("findings", FindingsDirective)
    return {"parallel_read_safe": True}
