"""What the rules found in revisions, and how it is printed."""

from __future__ import annotations

import collections.abc as cabc
import json
import os
import textwrap
import typing as t
from pathlib import Path

import click

from flaskware_alembic._results import Finding
from flaskware_core import Level

Format: t.TypeAlias = t.Literal["text", "json", "sarif", "github"]
FORMATS: tuple[Format, ...] = ("text", "json", "sarif", "github")


def show(
    findings: cabc.Sequence[Finding], form: Format, width: int | None = None
) -> str:
    """Findings as text, JSON, SARIF 2.1.0 (OASIS) or GitHub workflow commands.

    :param width: Of a terminal that the text is for, in columns; its colors are left
        to :func:`click.echo` to take away.
    """
    if form == "text":
        return _text(findings, width)
    return {"json": _json, "sarif": _sarif, "github": _github}[form](findings)


_COLORS = {Level.INFO: "blue", Level.WARNING: "yellow", Level.ERROR: "red"}


def count_of(number: int, noun: str) -> str:
    """A number and what it is of."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _text(findings: cabc.Sequence[Finding], width: int | None) -> str:
    shown = [finding for finding in findings if finding.waiver is None]
    blocks = [_block(finding, width) for finding in shown]
    counts = ", ".join(
        f"{count} info" if level is Level.INFO else count_of(count, level.value)
        for level in reversed(Level)
        if (count := sum(finding.level is level for finding in shown))
    )
    revisions = len({finding.revision.path for finding in shown})
    found = f"{counts} in {count_of(revisions, 'revision')}" if counts else "No finding"
    waived = len(findings) - len(shown)
    blocks.append(f"{found}{f'; {waived} waived' if waived else ''}.")
    return "\n".join(blocks)


def _block(finding: Finding, width: int | None) -> str:
    level = click.style(finding.level.value, fg=_COLORS[finding.level], bold=True)
    lock = f" (takes {finding.lock})" if finding.lock else ""
    head = f"{_near(finding.place)}: {level} {click.style(finding.rule, bold=True)}"
    lines = [f"{head}: {finding.what}{lock}"]
    reason = finding.reason
    indent = "  "
    # Where it goes to a file or a program, a line is a line.
    room = len(reason) if width is None else max(width, 40) - len(indent)
    lines.extend(indent + line for line in textwrap.wrap(reason, room))
    lines.append(indent + ("Write (--fix does):" if finding.can_fix else "Write:"))
    # Code is left as it is: a line that is broken elsewhere could not be copied.
    lines.extend(f"    {line}".rstrip() for line in finding.safe.splitlines())
    return "\n".join(lines) + "\n"


def _near(place: str) -> str:
    """A place as one types it, where it is below the current folder."""
    return place.removeprefix(f"{Path.cwd()}{os.sep}")


def _json(findings: cabc.Sequence[Finding]) -> str:
    return json.dumps([finding.as_dict() for finding in findings], indent=2)


def _sarif(findings: cabc.Sequence[Finding]) -> str:
    rules = {finding.rule: finding for finding in findings}
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {
                        "driver": {
                            "name": "flaskware-alembic",
                            "rules": [
                                {
                                    "id": id,
                                    "shortDescription": {"text": finding.reason},
                                    "defaultConfiguration": {
                                        "level": _SARIF_LEVELS[finding.level]
                                    },
                                }
                                for id, finding in sorted(rules.items())
                            ],
                        }
                    },
                    "results": [_sarif_result(finding) for finding in findings],
                }
            ],
        },
        indent=2,
    )


_SARIF_LEVELS = {Level.INFO: "note", Level.WARNING: "warning", Level.ERROR: "error"}


def _sarif_result(finding: Finding) -> dict[str, t.Any]:
    location: dict[str, t.Any] = {
        "artifactLocation": {"uri": finding.revision.path.absolute().as_uri()}
    }
    if finding.line is not None:
        location["region"] = {"startLine": finding.line}
    result: dict[str, t.Any] = {
        "ruleId": finding.rule,
        "level": _SARIF_LEVELS[finding.level],
        "message": {"text": f"{finding.what}. {finding.reason}\n{finding.safe}"},
        "locations": [{"physicalLocation": location}],
    }
    if finding.waiver is not None:
        suppression = {"kind": "inSource", "justification": finding.waiver}
        result["suppressions"] = [suppression]
    return result


_GITHUB_LEVELS = {Level.INFO: "notice", Level.WARNING: "warning", Level.ERROR: "error"}


def _github(findings: cabc.Sequence[Finding]) -> str:
    return "\n".join(
        f"::{_GITHUB_LEVELS[finding.level]}"
        f" file={_escape(str(finding.revision.path.absolute()))}"
        f",line={finding.line or 1},title={_escape(finding.rule)}"
        f"::{_escape(f'{finding.what}. {finding.reason}', is_message=True)}"
        for finding in findings
        if finding.waiver is None
    )


def _escape(text: str, *, is_message: bool = False) -> str:
    for sign in "%\r\n" if is_message else "%\r\n:,":
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text
