"""Findings of the linter as text: grouped by rule, in 80 columns."""

from __future__ import annotations

import ast
import collections.abc as cabc
import os
import textwrap
from pathlib import Path

import click

from flaskware_alembic._lint.examples import EXAMPLES
from flaskware_alembic._lint.examples import safe_form
from flaskware_alembic._lint.fixes.fix import FIXED
from flaskware_alembic._lint.rule import Rule
from flaskware_alembic._results import Finding
from flaskware_core import Level

WIDTH = 80
_COLORS = {Level.INFO: "blue", Level.WARNING: "yellow", Level.ERROR: "red"}
_INDENT = "  "


def grouped(findings: cabc.Sequence[Finding], *, older: int = 0) -> str:
    """Return the text of some findings, the rules with the worst level first.

    :param older: How many findings the baseline has.
    """
    shown = [finding for finding in findings if finding.waiver is None]
    by_rule: dict[str, list[Finding]] = {}
    for finding in sorted(shown, key=lambda f: f.level, reverse=True):
        by_rule.setdefault(finding.rule, []).append(finding)
    blocks = [_group(group) for group in by_rule.values()]
    blocks.append(_summary(findings, shown, older))
    return "\n".join(blocks)


def explained(rule: Rule) -> str:
    """Return all about a rule: why it is one, a bad and the safe form, the source."""
    example = EXAMPLES[rule.id]
    lock = f" PostgreSQL takes {rule.lock}." if rule.lock else ""
    fix = " `flask db lint --fix` writes the safe form." if rule.id in FIXED else ""
    lines = [
        f"{click.style(rule.id, bold=True)} ({rule.level.value})",
        *_wrapped(f"On {rule.databases}. {rule.reason}{lock}{fix}", _INDENT),
        "",
        f"{_INDENT}Not safe:",
        *_code(example.bad, 4),
        "",
        f"{_INDENT}Safe:",
        *_code(safe_form(rule), 4),
        "",
        *_wrapped(f"Source: {example.source}", _INDENT),
    ]
    return "\n".join(lines)


def _group(findings: list[Finding]) -> str:
    first = findings[0]
    level = click.style(first.level.value, fg=_COLORS[first.level], bold=True)
    times = f" ({len(findings)} times)" if len(findings) > 1 else ""
    lines = [f"{level} {click.style(first.rule, bold=True)}{times}"]
    lock = f" Takes {first.lock}." if first.lock else ""
    lines.extend(_wrapped(first.reason + lock, _INDENT))
    for finding in findings:
        lines.extend(_wrapped(f"{_near(finding.place)}  {finding.what}", _INDENT, 6))
        if finding.note:
            lines.extend(_wrapped(finding.note, " " * 6))
    fixes = " (--fix does)" if first.can_fix else ""
    which = " for the first" if len(findings) > 1 else ""
    lines.append(f"{_INDENT}Write{which}{fixes}:")
    lines.extend(_code(first.safe, 4))
    return "\n".join(lines) + "\n"


def _summary(
    findings: cabc.Sequence[Finding], shown: cabc.Sequence[Finding], older: int
) -> str:
    counts: list[str] = []
    for level in reversed(Level):
        if number := sum(finding.level is level for finding in shown):
            plural = "s" * (number > 1 and level is not Level.INFO)
            counts.append(f"{number} {level.value}{plural}")
    files = len({finding.file for finding in shown})
    where = f" in {files} revision{'s' * (files > 1)}" if files else ""
    text = f"{', '.join(counts) or 'No finding'}{where}"
    if waived := len(findings) - len(shown):
        text += f"; {waived} waived"
    if older:
        text += f"; {older} in the baseline"
    return f"{text}."


def _wrapped(text: str, indent: str, hanging: int | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else " " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _code(code: str, indent: int) -> list[str]:
    """Indent code, with each call that is too long for a line in several."""
    lines: list[str] = []
    for line in code.splitlines():
        room = WIDTH - indent
        folded = [line] if len(line) <= room else _folded(line, room)
        lines.extend(f"{' ' * indent}{part}".rstrip() for part in folded)
    return lines


def _folded(line: str, room: int) -> list[str]:
    """Break a line of Python that is one call, or a comment; leave another alone."""
    indent = line[: len(line) - len(line.lstrip())]
    text, mark, comment = line.strip().partition("  # ")
    if text.startswith("# "):
        prefix = f"{indent}# "
        return textwrap.wrap(
            text[2:], room, initial_indent=prefix, subsequent_indent=prefix
        )
    above = [f"{indent}# {comment}"] if mark else []
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:
        return [line]
    if not isinstance(node, ast.Call):
        return [line]
    arguments = [ast.unparse(item) for item in (*node.args, *node.keywords)]
    inside = f"{indent}    "
    parts = [
        part
        for argument in arguments
        for part in _argument(argument, room - len(inside) - 1)
    ]
    return [
        *above,
        f"{indent}{ast.unparse(node.func)}(",
        *(f"{inside}{part}" for part in parts),
        f"{indent})",
    ]


def _argument(code: str, room: int) -> list[str]:
    """Break a text that is too long into several, which Python joins."""
    if len(code) + 1 <= room or code[:1] not in {"'", '"'}:
        return [f"{code},"]
    value = str(ast.literal_eval(code))
    pieces = textwrap.wrap(
        value, room - 4, drop_whitespace=False, break_on_hyphens=False
    )
    written = [repr(piece) for piece in pieces]
    return [*written[:-1], f"{written[-1]},"]


def _near(place: str) -> str:
    """Shorten a place below the working directory to what one would type."""
    return place.removeprefix(f"{Path.cwd()}{os.sep}")
