from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

from flask.sansio.app import App
from flask.sansio.blueprints import Blueprint

from flaskware_core import attach
from flaskware_core import CoreSettings
from flaskware_core import Extension
from flaskware_core import Finding

from . import _hooks
from ._audit import audit_app
from ._audit import EndpointAudit
from ._cli import secure as secure_command
from ._compiled import compile_policy
from ._compiled import Compiled
from ._override import mark
from ._override import refuse_wrong
from ._override import resolve
from ._policy import Changes
from ._policy import Policy
from ._settings import PolicyName
from ._settings import SecureSettings
from ._transport import Redirection

Target: t.TypeAlias = "cabc.Callable[..., t.Any] | Blueprint"
V = t.TypeVar("V", bound=Target)


@dc.dataclass(frozen=True)
class SecureState:
    """What ``SecureHeaders`` keeps for an app.

    :param policy: The policy of the app, before any override.
    :param endpoints: What each endpoint answers with, compiled at its first request.
    :param compile: Compiles the policy of an endpoint that is not known yet.
    """

    policy: Policy
    redirection: Redirection
    trusted_origins: frozenset[str]
    compile: cabc.Callable[[str | None], Compiled]
    endpoints: dict[str | None, Compiled] = dc.field(
        default_factory=dict[str | None, Compiled]
    )


class SecureHeaders(Extension[SecureSettings, SecureState]):
    """Security headers on every response of an app, and who may send it requests.

    :param app: Initialise on this app at once.
    :param policy: The policy of the app, or the name of a preset; wins over
        ``SECURE_POLICY``.
    :param overrides: Other settings by field name; they win over ``app.config``.
    """

    name = "secure"

    def __init__(
        self,
        app: App | None = None,
        *,
        policy: Policy | PolicyName | None = None,
        **overrides: t.Any,
    ) -> None:
        if policy is not None:
            overrides["policy"] = policy
        super().__init__(app, **overrides)

    def csp_nonce(self) -> str:
        """The nonce of the current request, fresh when first asked for.

        Templates have it as ``csp_nonce()``.

        :raises NonceError: outside a request, where no directive of the policy takes
            a nonce, or after the headers were made.
        """
        return _hooks.nonce_function(lambda name: _compiled(self.state, name))()

    def override(self, **changes: t.Unpack[Changes]) -> cabc.Callable[[V], V]:
        """Change the policy for one view, a class-based view or a whole blueprint.

        Sources replace those of the directive, :func:`append` adds to them, ``None``
        drops it. A blueprint's changes count for its views and nested blueprints, the
        view's come last. Write it below ``@app.route``; for a blueprint, call it:
        ``secure.override(frame_ancestors=["https://partner.example"])(blueprint)``.

        :raises ConfigError: listing what is wrong in the changes themselves.
        """
        refuse_wrong(changes)

        def note(target: V) -> V:
            mark(target, self, changes)
            return target

        return note

    def policy_of(self, app: App, endpoint: str | None) -> Policy:
        """The policy of one endpoint with every override; needs no context.

        :param endpoint: ``None`` for what has no endpoint, such as a 404.
        """
        return _compiled(self.state_of(app), endpoint).policy

    def audit(self, app: App, *, send: bool = False) -> list[EndpointAudit]:
        """What each route of an app answers with, with a grade and findings.

        :param send: Really send a GET to each route that takes no argument, so that
            headers set by the view count too. Views run, with all that they do.
        """
        state = self.state_of(app)
        return audit_app(app, lambda name: _compiled(state, name), send=send)

    def _build(self, app: App, settings: SecureSettings) -> SecureState:
        policy = settings.composed_policy()
        unchanged = compile_policy(
            policy, hsts=settings.hsts, report_only=settings.report_only
        )

        def compile_endpoint(endpoint: str | None) -> Compiled:
            if endpoint is None:
                return unchanged
            own = resolve(
                policy,
                endpoint,
                self,
                blueprints=app.blueprints,
                views=app.view_functions,
            )
            if own is policy:
                return unchanged
            return compile_policy(
                own, hsts=settings.hsts, report_only=settings.report_only
            )

        return SecureState(
            policy=policy,
            redirection=_redirection(app, settings),
            trusted_origins=CoreSettings.from_config(app.config).trusted_origins,
            compile=compile_endpoint,
        )

    def _attach(self, app: App, settings: SecureSettings, state: SecureState) -> None:
        def compiled_for(endpoint: str | None) -> Compiled:
            return state.endpoints.get(endpoint) or _compiled(state, endpoint)

        request = _hooks.request_of(app)
        if state.redirection:
            attach(
                app, "before_request", _hooks.redirect(app, request, state.redirection)
            )
        if settings.isolation != "off":
            attach(
                app,
                "before_request",
                _hooks.isolate(
                    request,
                    compiled_for,
                    state.trusted_origins,
                    enforce=settings.isolation == "enforce",
                ),
            )
        attach(app, "after_request", _hooks.add_headers(request, compiled_for))
        app.add_template_global(_hooks.nonce_function(compiled_for), "csp_nonce")
        app.cli.add_command(secure_command)

    def _check(self, app: App, *, deploy: bool) -> cabc.Iterable[Finding]:
        from ._checks import check_secure

        state = self.state_of(app)
        return check_secure(
            app,
            self.settings_of(app),
            state.redirection,
            lambda name: _compiled(state, name).policy,
            deploy=deploy,
        )


def _compiled(state: SecureState, endpoint: str | None) -> Compiled:
    found = state.endpoints.get(endpoint)
    if found is None:
        # Two threads may both compile; they compile the same.
        found = state.endpoints[endpoint] = state.compile(endpoint)
    return found


def _redirection(app: App, settings: SecureSettings) -> Redirection:
    if not settings.redirect_https:
        return Redirection(None)
    hosts = t.cast("cabc.Iterable[str]", app.config.get("TRUSTED_HOSTS") or ())
    return Redirection(settings.https_host, tuple(hosts), settings.redirect_exempt)
