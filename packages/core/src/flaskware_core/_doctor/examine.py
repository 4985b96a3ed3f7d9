"""The examination of an app, and its report."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

from flask.sansio.app import App

from flaskware_core._extension import Installed
from flaskware_core._extension import installed_on
from flaskware_core._findings.finding import Finding
from flaskware_core._findings.finding import Level
from flaskware_core._settings.app import CoreSettings
from flaskware_core._settings.base import Settings
from flaskware_core._settings.problems import ConfigError

from .app_checks import check_app


@dc.dataclass(frozen=True)
class Report:
    """Result of an examination of an app.

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
        """Return the highest level among the findings."""
        return max((finding.level for finding in self.findings), default=None)

    def as_dict(self) -> dict[str, t.Any]:
        """Return the report as JSON types."""
        return {
            **dc.asdict(self),
            "findings": [finding.as_dict() for finding in self.findings],
        }


def examine(app: App, *, deploy: bool = False) -> Report:
    """Run the checks of an app and of each of its Flaskware extensions.

    :param deploy: Also check what matters only in production, and whether each
        database and store answers.
    """
    installed = installed_on(app)
    found = list(check_app(app, deploy=deploy))
    for item in installed.values():
        found.extend(_changed_later(item, app))
        found.extend(item.check(app, deploy=deploy))
        if deploy:
            found.extend(_unreachable(item, app))
    silenced = CoreSettings.from_config(app.config).silenced_checks
    ids = {finding.id for finding in found}
    shown = [finding for finding in found if finding.id not in silenced]
    return Report(
        app=app.name,
        extensions=tuple(installed),
        findings=tuple(sorted(shown, key=lambda f: f.level, reverse=True)),
        silenced=tuple(sorted(ids & silenced)),
        unknown_silenced=tuple(sorted(silenced - ids)),
    )


def _changed_later(item: Installed[t.Any, t.Any], app: App) -> cabc.Iterator[Finding]:
    try:
        now = item.read(app.config)
    except ConfigError as error:
        changed = [problem.key for problem in error.problems]
    else:
        before: Settings = item.settings
        changed = [
            before.key(field)
            for field in type(before).model_fields
            if getattr(now, field) != getattr(before, field)
        ]
    for key in changed:
        yield Finding(
            "core.late-setting",
            Level.ERROR,
            f"{key} was changed after {type(item.extension).__name__} was initialised,"
            " and has no effect.",
            f"Set it before the line that initialises the extension: {item.place}.",
        )


def _unreachable(item: Installed[t.Any, t.Any], app: App) -> cabc.Iterator[Finding]:
    for problem in item.probe(app):
        given = f" Given: {problem.given}." if problem.given else ""
        yield Finding(
            f"{item.extension.name}.unreachable",
            Level.ERROR,
            f"{problem.key} needs {problem.expected}.{given}",
            problem.write or "Start it, or correct the address.",
        )
