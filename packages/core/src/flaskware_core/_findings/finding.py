"""Findings: what a check reports about an app or a file."""

from __future__ import annotations

import dataclasses as dc
import enum
import functools
import typing as t


@functools.total_ordering
class Level(enum.Enum):
    """Severity of a finding; ``INFO < WARNING < ERROR``."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Level):
            return NotImplemented
        # Their order of definition, because the values are text for people.
        order = list(Level)
        return order.index(self) < order.index(other)


@dc.dataclass(frozen=True)
class Finding:
    """Something that a developer should know about an app or a file.

    :param id: Stable, ``"<extension>.<what>"`` or the name of a rule; the name under
        which a user silences it.
    :param message: One sentence that says what is wrong and why it matters.
    :param fix: The remedy: an instruction, or the line to write.
    :param reason: The consequence, if ``message`` only says what is there.
    :param file: The path of the file it is in. Empty if it is in none.
    :param line: The line in that file, from 1.
    :param subject: The thing it is about, such as the rule of a route. Printed in
        front of the message.
    :param symbol: The qualified name of the code it is in, such as an endpoint.
    :param lock: The database lock that the code takes.
    :param waiver: The reason given in the code for waiving it; ``None`` if not waived.
    :param points: Its effect on a grade; below zero for what weakens.
    :param asvs: The requirement of OWASP ASVS 5.0 that it breaks, such as
        ``"13.4.2"``.
    :param can_fix: True if a ``--fix`` option writes the fix.
    """

    id: str
    level: Level
    message: str
    fix: str
    _: dc.KW_ONLY
    reason: str = ""
    file: str = ""
    line: int | None = None
    subject: str = ""
    symbol: str = ""
    lock: str | None = None
    waiver: str | None = None
    points: int | None = None
    can_fix: bool = False
    asvs: str = ""

    @property
    def place(self) -> str:
        """The file and line, as ``"models.py:12"``; empty without a file."""
        return self.file if self.line is None else f"{self.file}:{self.line}"

    def as_dict(self) -> dict[str, t.Any]:
        """Return the finding as JSON types, without the fields that are not set."""
        every = dc.fields(Finding)
        values = {field.name: getattr(self, field.name) for field in every}
        values["level"] = self.level.value
        always = {"id", "level", "message", "fix"}
        # By identity: zero points equal False, and are set.
        return {
            name: value
            for name, value in values.items()
            if name in always or not (value is None or value is False or value == "")
        }
