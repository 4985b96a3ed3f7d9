"""Writers for findings: text, JSON, SARIF 2.1.0 (OASIS) and GitHub annotations."""

from __future__ import annotations

import collections.abc as cabc
import json
import os
import textwrap
import typing as t
from pathlib import Path

import click

from .finding import Finding
from .finding import Level

FindingFormat: t.TypeAlias = t.Literal["text", "json", "sarif", "github"]
FINDING_FORMATS: tuple[FindingFormat, ...] = ("text", "json", "sarif", "github")

_COLORS = {Level.INFO: "blue", Level.WARNING: "yellow", Level.ERROR: "red"}
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_SARIF_LEVELS = {Level.INFO: "note", Level.WARNING: "warning", Level.ERROR: "error"}
_GITHUB_LEVELS = {Level.INFO: "notice", Level.WARNING: "warning", Level.ERROR: "error"}
_NARROWEST = 40


def render_findings(
    findings: cabc.Sequence[Finding],
    output_format: FindingFormat = "text",
    *,
    tool: str = "flaskware",
    unit: str = "file",
    width: int | None = None,
) -> str:
    """Return findings as text for a terminal, or in a format for programs.

    Text and GitHub annotations leave out what is waived; JSON and SARIF keep it.

    :param output_format: One of ``FINDING_FORMATS``.
    :param tool: The name of the checker, for SARIF.
    :param unit: The noun for a file in the summary of the text, such as
        ``"revision"``.
    :param width: Columns of the terminal the text is for; ``None`` breaks no lines.
        The text has colors, which :func:`click.echo` strips where there is none.
    """
    if output_format == "text":
        return _text(findings, unit, width)
    if output_format == "json":
        return json.dumps([finding.as_dict() for finding in findings], indent=2)
    if output_format == "sarif":
        return json.dumps(_sarif(findings, tool), indent=2)
    return "\n".join(_annotation(f) for f in findings if f.waiver is None)


def count_levels(findings: cabc.Iterable[Finding]) -> str:
    """Return how many findings each level has: ``"1 error, 2 warnings"``, or ``""``."""
    levels = [finding.level for finding in findings]
    return ", ".join(
        f"{count} info" if level is Level.INFO else count_of(count, level.value)
        for level in reversed(Level)
        if (count := levels.count(level))
    )


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun: ``"1 file"``, ``"2 files"``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _text(findings: cabc.Sequence[Finding], unit: str, width: int | None) -> str:
    shown = [finding for finding in findings if finding.waiver is None]
    blocks = [text_of(finding, width) for finding in shown]
    counts = count_levels(shown)
    files = {finding.file for finding in shown if finding.file}
    where = f" in {count_of(len(files), unit)}" if files else ""
    waived = len(findings) - len(shown)
    ending = f"; {waived} waived" if waived else ""
    blocks.append(f"{counts}{where}{ending}." if counts else f"No finding{ending}.")
    return "\n".join(blocks)


def text_of(finding: Finding, width: int | None = None) -> str:
    """Return one finding as colored text, ending with a line break."""
    return _placed(finding, width) if finding.file else _unplaced(finding)


def _unplaced(finding: Finding) -> str:
    level = click.style(
        finding.level.value.upper(), fg=_COLORS[finding.level], bold=True
    )
    lines = [f"{level}  {finding.id}", _said(finding), finding.reason]
    lines.append(f"fix: {finding.fix}")
    lines.append(f"ASVS 5.0: {finding.asvs}" if finding.asvs else "")
    return "\n  ".join(filter(None, lines)) + "\n"


def _placed(finding: Finding, width: int | None) -> str:
    level = click.style(finding.level.value, fg=_COLORS[finding.level], bold=True)
    lock = f" (takes {finding.lock})" if finding.lock else ""
    head = f"{_near(finding.place)}: {level} {click.style(finding.id, bold=True)}"
    lines = [f"{head}: {_said(finding)}{lock}"]
    indent = "  "
    # In a file or a pipe, a sentence stays on one line.
    room = len(finding.reason) if width is None else max(width, _NARROWEST) - 2
    lines.extend(indent + line for line in textwrap.wrap(finding.reason, room or 1))
    lines.append(indent + ("Write (--fix does):" if finding.can_fix else "Write:"))
    # Code keeps its lines, so that it can be copied.
    lines.extend(f"    {line}".rstrip() for line in finding.fix.splitlines())
    return "\n".join(lines) + "\n"


def _said(finding: Finding) -> str:
    subject = f"{finding.subject}: " if finding.subject else ""
    return f"{subject}{finding.message}"


def _near(place: str) -> str:
    """Shorten a place below the working directory to what one would type."""
    return place.removeprefix(f"{Path.cwd()}{os.sep}")


def _sarif(findings: cabc.Sequence[Finding], tool: str) -> dict[str, t.Any]:
    by_id = {finding.id: finding for finding in findings}
    driver = {"name": tool, "rules": [_sarif_rule(by_id[id]) for id in sorted(by_id)]}
    run = {
        "tool": {"driver": driver},
        "results": [_sarif_result(finding) for finding in findings],
    }
    return {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _sarif_rule(finding: Finding) -> dict[str, t.Any]:
    rule: dict[str, t.Any] = {
        "id": finding.id,
        "shortDescription": {"text": finding.reason or finding.message},
        "defaultConfiguration": {"level": _SARIF_LEVELS[finding.level]},
    }
    if not finding.reason:
        rule["help"] = {"text": finding.fix}
    if finding.asvs:
        rule["properties"] = {"tags": ["security", f"OWASP-ASVS-5.0-{finding.asvs}"]}
    return rule


def _sarif_result(finding: Finding) -> dict[str, t.Any]:
    text = _said(finding)
    if finding.reason:
        text = f"{text}. {finding.reason}\n{finding.fix}"
    result: dict[str, t.Any] = {
        "ruleId": finding.id,
        "level": _SARIF_LEVELS[finding.level],
        "message": {"text": text},
    }
    if location := _sarif_location(finding):
        result["locations"] = [location]
    if finding.waiver is not None:
        suppression = {"kind": "inSource", "justification": finding.waiver}
        result["suppressions"] = [suppression]
    return result


def _sarif_location(finding: Finding) -> dict[str, t.Any]:
    location: dict[str, t.Any] = {}
    # Code scanners drop a result without a physical location.
    if uri := _uri(finding.file) or finding.subject:
        physical: dict[str, t.Any] = {"artifactLocation": {"uri": uri}}
        if finding.line is not None:
            physical["region"] = {"startLine": finding.line}
        location["physicalLocation"] = physical
    if finding.symbol:
        logical = {"fullyQualifiedName": finding.symbol, "kind": "function"}
        location["logicalLocations"] = [logical]
    return location


def _uri(file: str) -> str:
    path = Path(file)
    return path.as_uri() if path.is_absolute() else file and path.as_posix()


def _annotation(finding: Finding) -> str:
    # https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    place = f"file={_escape(finding.file)},line={finding.line or 1},"
    text = _said(finding)
    text = f"{text}. {finding.reason}" if finding.reason else text
    return (
        f"::{_GITHUB_LEVELS[finding.level]} {place if finding.file else ''}"
        f"title={_escape(finding.id)}::{_escape(text, is_message=True)}"
    )


def _escape(text: str, *, is_message: bool = False) -> str:
    for sign in "%\r\n" if is_message else "%\r\n:,":
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text
