"""What a request is answered with: found once for each situation, then looked up."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

from flask.sansio.app import App
from werkzeug.exceptions import HTTPException

from flaskware_secure._policy.overrides import is_below
from flaskware_secure._policy.overrides import Note
from flaskware_secure._policy.overrides import notes_on
from flaskware_secure._policy.overrides import resolve
from flaskware_secure._policy.policy import Changes
from flaskware_secure._policy.policy import Policy
from flaskware_secure._reports.routing import with_reporting
from flaskware_secure._settings import SecureSettings

from .compiled import compile_policy
from .compiled import Compiled

if t.TYPE_CHECKING:
    from flask import Request

Situation: t.TypeAlias = (
    "tuple[str | None, tuple[str, ...], tuple[Note, ...]] | str | None"
)
"""An endpoint; with the path rules that count and error handlers, where any do."""


@dc.dataclass(frozen=True, eq=False)
class Resolver:
    """The compiled policies of an app.

    :param app: The app, weakly: it holds what holds this.
    :param owner: The extension object whose overrides count.
    :param begin: Called when the first request comes.
    :param reports_url: Where browsers send reports, if anywhere.
    :param overrides: Changes for endpoints of this package's own.
    """

    app: cabc.Callable[[], App | None]
    owner: object
    policy: Policy
    settings: SecureSettings
    begin: cabc.Callable[[], object]
    reports_url: str | None = None
    overrides: dict[str, Changes] = dc.field(default_factory=dict[str, Changes])
    known: dict[Situation, Compiled] = dc.field(
        default_factory=dict[Situation, Compiled]
    )

    def of(self, request: Request) -> Compiled:
        """What a request is answered with."""
        situation: Situation = request.endpoint
        notes = notes_on(request)
        if notes or self.settings.paths:
            paths = self._paths(request.path)
            situation = (request.endpoint, paths, notes)
        return self.known.get(situation) or self._compile(situation)

    def at(self, endpoint: str | None, path: str | None) -> Compiled:
        """What a request to an endpoint, and a path, is answered with."""
        situation: Situation = endpoint
        if path is not None and self.settings.paths:
            situation = (endpoint, self._paths(path), ())
        return self.known.get(situation) or self._compile(situation)

    def for_method(self, request: Request, method: str) -> Compiled:
        """What a request to the same address by another method is answered with."""
        app = t.cast("t.Any", self.app())
        try:
            endpoint, _ = app.create_url_adapter(request).match(method=method)
        except HTTPException:
            endpoint = request.endpoint
        return self.at(endpoint, request.path)

    def _paths(self, path: str) -> tuple[str, ...]:
        found = [each for each in self.settings.paths if is_below(path, each)]
        return tuple(sorted(found, key=len))

    def _compile(self, situation: Situation) -> Compiled:
        if isinstance(situation, tuple):
            endpoint, paths, notes = situation
        else:
            endpoint, paths, notes = situation, (), ()
        if not self.known:
            self.begin()
        policy = self._resolved(endpoint, paths, notes)
        # The same policy is compiled once, whatever asks for it first.
        if policy is self.policy and situation is not None:
            compiled = self.at(None, None)
        else:
            if self.reports_url is not None:
                policy = with_reporting(policy, self.reports_url)
            settings = self.settings
            compiled = compile_policy(
                policy,
                hsts=settings.hsts,
                report_only=settings.report_only,
                isolated=settings.isolation == "enforce",
                removed=[name.lower() for name in settings.removed_headers],
            )
        # Two threads may both compile; they compile the same.
        self.known[situation] = compiled
        return compiled

    def _resolved(
        self, endpoint: str | None, paths: tuple[str, ...], notes: tuple[Note, ...]
    ) -> Policy:
        policy = self.policy
        for path in paths:
            changes = t.cast("Changes", self.settings.paths[path])
            policy = policy.changed(**changes)
        app = self.app()
        if endpoint is not None and app is not None:
            policy = resolve(
                policy,
                endpoint,
                self.owner,
                blueprints=app.blueprints,
                views=app.view_functions,
            )
            if (own := self.overrides.get(endpoint)) is not None:
                policy = policy.changed(**own)
        for note in notes:
            if note.owner is self.owner:
                policy = policy.changed(**note.changes)
        return policy
