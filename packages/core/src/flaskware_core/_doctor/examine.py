"""The examination of an app, and its report."""

from __future__ import annotations

import collections.abc as cabc
import contextvars
import dataclasses as dc
import functools
import threading
import time
import typing as t

from flask.sansio.app import App

from flaskware_core._findings.finding import Finding
from flaskware_core._findings.finding import Level
from flaskware_core._installed import Installed
from flaskware_core._installed import installed_on
from flaskware_core._settings.app import CoreSettings
from flaskware_core._settings.base import Settings
from flaskware_core._settings.problems import ConfigError

from .cookies import check_cookies
from .modes import check_modes
from .pages import check_pages
from .requests import check_requests
from .secret_key import check_secret_key


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


def examine(app: App, *, deploy: bool = False, timeout: float = 10.0) -> Report:
    """Run the checks of an app and of each of its Flaskware extensions.

    :param deploy: Also check what matters only in production, and whether each
        database and store answers.
    :param timeout: Seconds that the checks of each extension may take, and then its
        backend. All extensions are asked at once.
    """
    installed = installed_on(app)
    covered = {id for item in installed.values() for id in item.covers(app)}
    found = [each for each in check_app(app, deploy=deploy) if each.id not in covered]
    for item in installed.values():
        found.extend(_changed_later(item, app))
    found.extend(_ask_all(installed, app, deploy=deploy, timeout=timeout))
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


def check_app(app: App, *, deploy: bool) -> cabc.Iterator[Finding]:
    """Yield the findings about an app's own configuration."""
    yield from check_secret_key(app)
    yield from check_cookies(app, deploy=deploy)
    yield from check_requests(app, deploy=deploy)
    yield from check_pages(app, deploy=deploy)
    if deploy:
        yield from check_modes(app)


class _Asking(threading.Thread):
    """The checks of an extension, or the probe of its backend, in a thread.

    Drivers spell their timeouts differently and some have none, so a thread that hangs
    is left behind.
    """

    def __init__(self, findings: cabc.Callable[[], cabc.Iterable[Finding]]) -> None:
        super().__init__(daemon=True)
        # A check may use what belongs to the current app context.
        self._context = contextvars.copy_context()
        self._findings = findings
        self.found: list[Finding] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._context.run(self._collect)
        except BaseException as error:  # noqa: BLE001 raised where it is waited for
            self.error = error

    def _collect(self) -> None:
        for finding in self._findings():
            self.found.append(finding)


def _ask_all(
    installed: cabc.Mapping[str, Installed[t.Any, t.Any]],
    app: App,
    *,
    deploy: bool,
    timeout: float,
) -> cabc.Iterator[Finding]:
    checks = {
        name: _Asking(functools.partial(item.check, app, deploy=deploy))
        for name, item in installed.items()
    }
    yield from _wait(checks, "checks", timeout)
    if deploy:
        probes = {
            name: _Asking(functools.partial(_unreachable, item, app))
            for name, item in installed.items()
        }
        yield from _wait(probes, "backend", timeout)


def _wait(
    asking: cabc.Mapping[str, _Asking], what: str, timeout: float
) -> cabc.Iterator[Finding]:
    for each in asking.values():
        each.start()
    deadline = time.monotonic() + timeout
    for name, each in asking.items():
        each.join(max(0.0, deadline - time.monotonic()))
        if each.error is not None:
            raise each.error
        yield from list(each.found)
        if each.is_alive():
            yield Finding(
                f"{name}.no-answer",
                Level.ERROR,
                f"The {what} of {name} gave no answer within {timeout:g} seconds.",
                "Start its database or store, or raise the limit: --timeout 60.",
            )


def _unreachable(item: Installed[t.Any, t.Any], app: App) -> cabc.Iterator[Finding]:
    for problem in item.probe(app):
        given = f" Given: {problem.given}." if problem.given else ""
        yield Finding(
            f"{item.name}.unreachable",
            Level.ERROR,
            f"{problem.key} needs {problem.expected}.{given}",
            problem.write or "Start it, or correct the address.",
        )
