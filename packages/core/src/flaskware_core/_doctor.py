"""Findings, and the run that gathers them."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import enum
import functools
import typing as t

from flask.sansio.app import App

if t.TYPE_CHECKING:
    from ._extension import Extension


@functools.total_ordering
class Level(enum.Enum):
    """How bad a finding is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Level):
            return NotImplemented
        order = list(Level)
        return order.index(self) < order.index(other)


@dc.dataclass(frozen=True)
class Finding:
    """Something about an app that its developer should know.

    :param id: Stable, ``"<extension>.<what>"``; what a user silences.
    :param message: One sentence that says what is the case and why it matters.
    :param fix: What to do, or the line to write.
    """

    id: str
    level: Level
    message: str
    fix: str

    def as_dict(self) -> dict[str, str]:
        """The finding as JSON types."""
        return {**dc.asdict(self), "level": self.level.value}


@dc.dataclass(frozen=True)
class Report:
    """What an examination of an app found.

    :param findings: The worst first.
    :param silenced: Ids that were found and are silenced in the configuration.
    :param unknown_silenced: Silenced ids that nothing reported: perhaps misspelled.
    """

    app: str
    extensions: tuple[str, ...]
    findings: tuple[Finding, ...]
    silenced: tuple[str, ...]
    unknown_silenced: tuple[str, ...]

    def worst(self) -> Level | None:
        """The highest level among the findings."""
        return max((finding.level for finding in self.findings), default=None)

    def as_dict(self) -> dict[str, t.Any]:
        """The report as JSON types."""
        return {
            **dc.asdict(self),
            "findings": [finding.as_dict() for finding in self.findings],
        }


def examine(app: App, *, deploy: bool = False) -> Report:
    """Ask the app and each of its Flaskware extensions what should be told.

    :param deploy: Also ask what matters only where real people are served, and each
        database and store whether it answers.
    """
    from ._checks import check_app
    from ._core_settings import CoreSettings
    from ._extension import installed_on

    installed = installed_on(app)
    found = list(check_app(app, deploy=deploy))
    for item in installed.values():
        found.extend(item.extension._check(app, deploy=deploy))
        if deploy:
            found.extend(_unreachable(item.extension, app))
    silenced = CoreSettings.from_config(app.config).silenced_checks
    ids = {finding.id for finding in found}
    return Report(
        app=app.name,
        extensions=tuple(installed),
        findings=tuple(_worst_first(f for f in found if f.id not in silenced)),
        silenced=tuple(sorted(ids & silenced)),
        unknown_silenced=tuple(sorted(silenced - ids)),
    )


def _unreachable(
    extension: Extension[t.Any, t.Any], app: App
) -> cabc.Iterator[Finding]:
    for problem in extension._probe(app):
        given = f" Given: {problem.given}." if problem.given else ""
        yield Finding(
            f"{extension.name}.unreachable",
            Level.ERROR,
            f"{problem.key} needs {problem.expected}.{given}",
            problem.write or "Start it, or correct the address.",
        )


def _worst_first(findings: cabc.Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: finding.level, reverse=True)
