"""Resolution of the policy of a request: once per situation, then a look-up."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

from flask.sansio.app import App
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed

from flaskware_secure._policy.overrides import apply_overrides
from flaskware_secure._policy.overrides import is_below
from flaskware_secure._policy.overrides import Override
from flaskware_secure._policy.overrides import overrides_on
from flaskware_secure._policy.overrides import prefixes_of
from flaskware_secure._policy.overrides import resolve
from flaskware_secure._policy.policy import Changes
from flaskware_secure._policy.policy import Policy
from flaskware_secure._settings import SecureSettings

from .compiled import compile_policy
from .compiled import Compiled
from .compiled import with_reporting

if t.TYPE_CHECKING:
    from flask import Request

Situation: t.TypeAlias = (
    "tuple[str | None, tuple[str, ...], tuple[Override, ...]] | str | None"
)
"""An endpoint; with the path rules and error handlers that count, if there are any."""


@dc.dataclass(frozen=True, eq=False)
class Resolver:
    """The compiled policies of an app.

    :param app: A weak reference to the app, which holds this object indirectly.
    :param owner: The extension object whose overrides count.
    :param begin: Called at the first request.
    :param reports_url: The URL for reports; ``None`` without a store.
    :param overrides: Changes for the endpoints of this package.
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
        """Return the compiled policy of a request."""
        endpoint = request.endpoint
        if endpoint is None:
            endpoint = self._unmatched(request)
        situation: Situation = endpoint
        overrides = overrides_on(request)
        if overrides or self.settings.paths:
            situation = (endpoint, self._paths(request.path), overrides)
        return self.known.get(situation) or self._compile(situation)

    def at(self, endpoint: str | None, path: str | None) -> Compiled:
        """Return the compiled policy of an endpoint, at a path."""
        situation: Situation = endpoint
        if path is not None and self.settings.paths:
            situation = (endpoint, self._paths(path), ())
        return self.known.get(situation) or self._compile(situation)

    def for_method(self, request: Request, method: str) -> Compiled:
        """Return the compiled policy of the same address with another method."""
        app = t.cast("t.Any", self.app())
        try:
            endpoint, _ = app.create_url_adapter(request).match(method=method)
        except HTTPException:
            endpoint = request.endpoint or self._unmatched(request)
        return self.at(endpoint, request.path)

    def _unmatched(self, request: Request) -> str | None:
        """Return the endpoint whose policy counts for a request without one.

        A wrong method has the policy of the view that takes another; a wrong path
        below a blueprint that of the blueprint, under the name of no view.
        """
        app = t.cast("t.Any", self.app())
        error = request.routing_exception
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            try:
                method = next(iter(error.valid_methods))
                endpoint: str = app.create_url_adapter(request).match(method=method)[0]
            except HTTPException:
                return None
            return endpoint
        found = [
            (len(prefix), name)
            for prefix, name in prefixes_of(app).items()
            if is_below(request.path, prefix)
        ]
        return f"{max(found)[1]}." if found else None

    def _paths(self, path: str) -> tuple[str, ...]:
        found = [each for each in self.settings.paths if is_below(path, each)]
        return tuple(sorted(found, key=len))

    def _compile(self, situation: Situation) -> Compiled:
        if isinstance(situation, tuple):
            endpoint, paths, overrides = situation
        else:
            endpoint, paths, overrides = situation, (), ()
        if not self.known:
            self.begin()
        policy = self._resolved(endpoint, paths, overrides)
        # Endpoints without changes share one compiled policy.
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
        # If two threads compile at once, both get the same result.
        self.known[situation] = compiled
        return compiled

    def _resolved(
        self,
        endpoint: str | None,
        paths: tuple[str, ...],
        overrides: cabc.Iterable[Override],
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
        return apply_overrides(policy, overrides, self.owner)
