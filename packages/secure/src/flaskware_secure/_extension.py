"""Security headers: validation, resolution of policies, hooks, checks and commands.

Rooms: _policy < _reports < _well_known < _settings < _headers < _static < _audit
< _checks < _cli < _extension
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import hashlib
import typing as t
import weakref

from flask import Flask
from flask import Request
from flask.sansio.app import App
from flask.sansio.blueprints import Blueprint
from markupsafe import Markup
from werkzeug.sansio.request import Request as SansRequest
from werkzeug.sansio.response import Response

from flaskware_core import CoreSettings
from flaskware_core import current_request
from flaskware_core import Extension
from flaskware_core import Finding
from flaskware_core import request_getter

from ._headers.cookies import CookieFixer
from ._headers.cookies import named_by
from ._headers.edge import attach_first
from ._headers.edge import attach_last
from ._headers.edge import Edge
from ._headers.edge import wrap_edge
from ._headers.hooks import add_nonces
from ._headers.hooks import add_nonces_below
from ._headers.hooks import answer_preflight
from ._headers.hooks import guard
from ._headers.hooks import isolate
from ._headers.hooks import nonce_function
from ._headers.hooks import optional_nonce_function
from ._headers.hooks import redirect
from ._headers.hooks import renew_nonces
from ._headers.hooks import trusted_types_function
from ._headers.isolation import other_sharing
from ._headers.isolation import takes_from_elsewhere
from ._headers.resolution import Resolver
from ._headers.transport import Redirection
from ._policy.overrides import attach_override
from ._policy.overrides import note_prefix
from ._policy.overrides import Override
from ._policy.overrides import override_for
from ._policy.overrides import refuse_wrong
from ._policy.policy import Changes
from ._policy.policy import Policy
from ._policy.trusted_types import default_policy
from ._reports.buffer import ReportBuffer
from ._reports.open import open_store
from ._reports.store import Ledger
from ._reports.store import LogReports
from ._reports.store import MemoryReports
from ._reports.store import ReportGroup
from ._reports.store import ReportStore
from ._reports.store import watch
from ._settings import PolicyName
from ._settings import SecureSettings
from ._static.files import load_manifest
from ._static.files import StaticFiles

if t.TYPE_CHECKING:
    from ._audit.audit import EndpointAudit
    from ._reports.suggest import Suggestion
    from ._reports.suggest import Trial

Target: t.TypeAlias = "cabc.Callable[..., t.Any] | Blueprint"
V = t.TypeVar("V", bound=Target)
R = t.TypeVar("R", bound=Response)
F = t.TypeVar("F", bound="cabc.Callable[..., t.Any]")


@dc.dataclass(frozen=True)
class SecureState:
    """State of ``SecureHeaders`` for one app.

    :param policy: The policy of the app, before any override.
    :param resolver: Resolves and compiles the policy of a request on first use.
    :param store: The store of reports; ``None`` if no reports are taken.
    :param buffer: Reports that wait for the store; ``None`` without a store.
    :param watch: Returns the time since which the report-only policy is in force, in
        seconds since 1970; ``None`` without such a policy.
    :param cookies: Fixes cookies; ``None`` if the settings leave them alone.
    """

    policy: Policy
    resolver: Resolver
    redirection: Redirection
    trusted_origins: frozenset[str]
    static: StaticFiles
    trusted_types: cabc.Callable[[], Markup]
    store: ReportStore | None
    buffer: ReportBuffer | None
    watch: cabc.Callable[[], float | None]
    cookies: CookieFixer | None


class SecureHeaders(Extension[SecureSettings, SecureState]):
    """Security headers on every response of an app, and isolation of its requests.

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
        """Return the nonce of the current request, made on first use.

        Templates have it as ``csp_nonce()``.

        :raises NonceError: outside a request, if no directive of the policy takes a
            nonce, or after the headers were made.
        """
        return nonce_function(lambda request: self.state.resolver.of(request))()

    def add_nonces(self, response: R) -> R:
        """Give each script and style of a page the nonce of the request.

        The policy of the page allows the code in attributes of its markup, such as
        ``onclick``, and styles without a nonce.

        For a hook of your own. The setting ``nonces_below`` does the same for all pages
        below a path, such as an admin whose templates know no nonce. An injected script
        would get the nonce too, so the page must not show markup of users.

        :raises NonceError: see :meth:`csp_nonce`.
        """
        if response.mimetype == "text/html":
            add_nonces(response, current_request(), self.csp_nonce)
        return response

    def trusted_types(self) -> Markup:
        """Return the script that creates the default policy of Trusted Types.

        Write it before the first script of a page: ``{{ trusted_types() }}``. It is
        empty if ``SECURE_TRUSTED_TYPES`` is ``"off"``.

        :raises NonceError: see :meth:`csp_nonce`.
        """
        return self.state.trusted_types()

    def static_script(
        self, filename: str, *, endpoint: str = "static", **attributes: str | bool
    ) -> Markup:
        """Return a ``<script>`` for a static file of the app; templates have it too.

        Its address changes with the file. It carries the ``integrity`` of the file
        and, if the policy takes a nonce, the nonce of the request.

        :param endpoint: Endpoint of the file: ``"blueprint.static"`` for a blueprint's.
        :param attributes: More attributes, such as ``defer=True`` or
            ``type="module"``; underscores become hyphens.
        :raises IntegrityError: if the file does not exist, or is not in the manifest.
        """
        return self.state.static.script(filename, endpoint=endpoint, **attributes)

    def static_style(
        self, filename: str, *, endpoint: str = "static", **attributes: str | bool
    ) -> Markup:
        """Return a ``<link rel="stylesheet">``, as :meth:`static_script` for styles."""
        return self.state.static.style(filename, endpoint=endpoint, **attributes)

    def override(self, **changes: t.Unpack[Changes]) -> cabc.Callable[[V], V]:
        """Change the policy for one view, a class-based view or a whole blueprint.

        Sources replace those of the directive, :func:`append` adds to them, ``None``
        drops it. Changes of a blueprint apply to its views and nested blueprints;
        changes of the view come last. Write it below ``@app.route``. For a blueprint,
        call it:
        ``secure.override(frame_ancestors=["https://partner.example"])(blueprint)``.

        :raises ConfigError: listing the mistakes in the changes themselves.
        """
        refuse_wrong(changes)
        override = Override(self, changes)

        def attach_to(target: V) -> V:
            attach_override(target, override)
            note_prefix(target)
            return target

        return attach_to

    def override_error(self, **changes: t.Unpack[Changes]) -> cabc.Callable[[F], F]:
        """Change the policy for the responses of an error handler.

        Write it below ``@app.errorhandler``. Its changes come after those of the view
        that failed.

        :raises ConfigError: listing the mistakes in the changes themselves.
        """
        refuse_wrong(changes)
        override = Override(self, changes)
        return lambda handler: override_for(handler, override)

    def policy_of(
        self, app: App, endpoint: str | None, *, path: str | None = None
    ) -> Policy:
        """Return the policy of one endpoint with every override; needs no context.

        :param endpoint: ``None`` for a response without an endpoint, such as a 404.
        :param path: The path of the request, for ``SECURE_PATHS``.
        """
        return self.state_of(app).resolver.at(endpoint, path).policy

    def audit(self, app: App, *, send: bool = False) -> list[EndpointAudit]:
        """Return the headers of each route of an app, with a grade and findings.

        :param send: True to send a GET to each route without arguments, so that
            headers set by views count too. This runs the views, with their effects.
        """
        from ._audit.audit import audit_app

        return audit_app(app, self.state_of(app).resolver.at, send=send)

    def reports(self, app: App) -> list[ReportGroup]:
        """Return what browsers reported about an app, most frequent first.

        :raises ReportStoreError: if the store does not answer.
        """
        buffer = self.state_of(app).buffer
        if buffer is None:
            return []
        buffer.flush()
        return buffer.store.groups()

    def ledger(self, app: App) -> Ledger:
        """Return what decisions rest on, with the number of reports that are lost.

        :raises ReportStoreError: if the store does not answer.
        """
        buffer = self.state_of(app).buffer
        if buffer is None:
            return Ledger()
        buffer.flush()
        return buffer.store.ledger()

    def suggestions(self, app: App) -> list[Suggestion]:
        """Return the smallest changes that would end the reports about an app.

        :raises ReportStoreError: if the store does not answer.
        """
        from ._reports.suggest import suggest

        settings = self.settings_of(app)
        return suggest(
            self.reports(app),
            self.state_of(app).policy,
            report_only=settings.report_only,
            min_clients=settings.reports_min_clients,
        )

    def trial(self, app: App) -> Trial | None:
        """Return the evidence about an app's report-only policy.

        :return: ``None`` without such a policy, or if no reports are kept.
        :raises ReportStoreError: if the store does not answer.
        """
        from ._reports.suggest import trial_of

        since = self.state_of(app).watch()
        return None if since is None else trial_of(self.ledger(app), since)

    def clean_since(self, app: App) -> float | None:
        """Return the time since which an app's report-only policy has had no reports.

        Reports that were lost unread count as violations.

        :return: Seconds since 1970 (UTC); ``None`` without such a policy, or if no
            reports are kept.
        :raises ReportStoreError: if the store does not answer.
        """
        trial = self.trial(app)
        return None if trial is None else trial.clean_since

    def _build(self, app: App, settings: SecureSettings) -> SecureState:
        policy = settings.composed_policy()
        root = str(t.cast("object", app.config["APPLICATION_ROOT"])).rstrip("/")
        store = open_store(
            settings.reports, settings.reports_max_groups, app.instance_path
        )
        trial = policy.csp if settings.report_only else policy.csp_report_only

        def watch_trial() -> float | None:
            if store is None or not trial:
                return None
            return watch(store, repr(sorted(trial.items())))

        resolver = Resolver(
            weakref.ref(app),
            self,
            policy,
            settings,
            watch_trial,
            reports_url=None if store is None else root + settings.reports_path,
        )
        cookies: CookieFixer | None = None
        if settings.cookies != "off":
            readable = frozenset(settings.cookies_readable) | named_by(app.config)
            cookies = CookieFixer(readable, enforce=settings.cookies == "fix")
        return SecureState(
            policy=policy,
            resolver=resolver,
            redirection=_redirection(app, settings),
            trusted_origins=CoreSettings.from_config(app.config).trusted_origins,
            static=StaticFiles(
                weakref.ref(app),
                load_manifest(app, settings.manifest),
                optional_nonce_function(resolver.of),
            ),
            trusted_types=trusted_types_function(
                None
                if settings.trusted_types == "off"
                else default_policy(settings.trusted_types_origins),
                nonce_function(resolver.of),
            ),
            store=store,
            buffer=None if store is None else _buffer(store, settings),
            watch=watch_trial,
            cookies=cookies,
        )

    def _attach(self, app: App, settings: SecureSettings, state: SecureState) -> None:
        from ._cli import secure as commands

        compiled_for = state.resolver.of
        if state.buffer is not None:
            from ._reports.collector import Collector
            from ._reports.collector import ENDPOINT
            from ._reports.collector import register
            from ._reports.limits import ReportLimit

            limit = ReportLimit(
                settings.reports_per_minute, settings.reports_per_minute_total
            )
            key = _tag_key(app.secret_key)
            collector = Collector(state.buffer, limit, key, state.trusted_origins)
            register(app, collector, settings.reports_path)
            state.resolver.overrides[ENDPOINT] = {"cross_site": True}
        checks = [answer_preflight(app, state.resolver.for_method)]
        if settings.isolation != "off":
            isolation = isolate(
                app,
                compiled_for,
                state.trusted_origins,
                enforce=settings.isolation == "enforce",
                same_site=settings.isolate_same_site,
            )
            checks.append(isolation)
            if not isinstance(app, Flask):  # in Flask a websocket is a request
                opening = guard(app, isolation, websocket=True)
                attach_first(app, opening, "before_websocket")
        if (well_known := _well_known(app, settings)) is not None:
            checks.append(well_known)
        if state.redirection.on:
            checks.insert(0, redirect(app, state.redirection))
        attach_first(app, guard(app, *checks))
        if settings.nonces_below:
            add_nonces_below(app, compiled_for, settings.nonces_below)
        attach_last(app, renew_nonces(app))
        removed = frozenset(name.lower() for name in settings.removed_headers)
        wrap_edge(app, Edge(compiled_for, removed, state.cookies))
        app.add_template_global(nonce_function(compiled_for), "csp_nonce")
        app.add_template_global(state.trusted_types, "trusted_types")
        app.add_template_global(state.static.script, "static_script")
        app.add_template_global(state.static.style, "static_style")
        app.cli.add_command(commands)

    def _close(self, state: SecureState) -> None:
        if state.buffer is not None:
            state.buffer.close()
        close: cabc.Callable[[], None] | None = getattr(state.store, "close", None)
        if close is not None:
            close()

    def _covers(self, app: App) -> cabc.Collection[str]:
        settings = self.settings_of(app)
        covered = ["core.no-headers"]
        if settings.isolation == "enforce":
            covered.append("core.csrf-absent")
        if settings.cookies == "fix":
            covered += ["core.cookie-secure", "core.cookie-samesite"]
            covered += ["core.cookie-prefix", "core.cookie-none-insecure"]
            if app.config["SESSION_COOKIE_NAME"] not in settings.cookies_readable:
                covered.append("core.cookie-httponly")
        return covered

    def _takes_from_elsewhere(self, app: App, request: SansRequest) -> bool:
        if not isinstance(request, Request):
            return False
        compiled = self.state_of(app).resolver.of(request)
        return takes_from_elsewhere(request, compiled, other_sharing(app))

    def _check(self, app: App, *, deploy: bool) -> cabc.Iterable[Finding]:
        from ._checks import check_secure

        state = self.state_of(app)
        return check_secure(
            app,
            self.settings_of(app),
            state.redirection,
            {} if state.cookies is None else state.cookies.changed,
            lambda name: state.resolver.at(name, None).policy,
            deploy=deploy,
        )


def _well_known(
    app: App, settings: SecureSettings
) -> cabc.Callable[[Request], object] | None:
    """Register what the settings ask for; ``None`` if that is nothing."""
    from ._well_known import routes

    views: dict[str, routes.Answer] = {}
    if (file := settings.security_txt) is not None:
        views[routes.SECURITY_TXT] = routes.security_txt(app, file.text())
    if (target := settings.change_password) is not None:
        views[routes.CHANGE_PASSWORD] = routes.change_password(
            app, target, request_getter(app)
        )
    return routes.register(app, views) if views else None


def _buffer(store: ReportStore, settings: SecureSettings) -> ReportBuffer:
    # Memory and the log cost next to nothing, and nobody waits for a batch of theirs.
    direct = isinstance(store, MemoryReports | LogReports)
    delay = 0.0 if direct else settings.reports_delay
    return ReportBuffer(store, delay, settings.reports_max_groups)


def _tag_key(secret_key: object) -> bytes:
    """Return the key of the tags of clients, the same in every process of an app."""
    given = secret_key if isinstance(secret_key, bytes) else str(secret_key).encode()
    return hashlib.blake2b(given, person=b"report clients").digest()


def _redirection(app: App, settings: SecureSettings) -> Redirection:
    if not settings.redirect_https:
        return Redirection(None, on=False)
    hosts = t.cast("cabc.Iterable[str]", app.config.get("TRUSTED_HOSTS") or ())
    return Redirection(settings.https_host, tuple(hosts), settings.redirect_exempt)
