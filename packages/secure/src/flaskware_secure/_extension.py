from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t
import weakref

from flask.sansio.app import App
from flask.sansio.blueprints import Blueprint
from markupsafe import Markup
from werkzeug.wrappers import Response

from flaskware_core import attach
from flaskware_core import CoreSettings
from flaskware_core import Extension
from flaskware_core import Finding

from ._headers import hooks as _hooks
from ._headers.cookies import fix_cookies
from ._headers.nonce import nonced_markup
from ._headers.resolution import Resolver
from ._headers.transport import Redirection
from ._policy.overrides import mark
from ._policy.overrides import Note
from ._policy.overrides import noting
from ._policy.overrides import refuse_wrong
from ._policy.policy import Changes
from ._policy.policy import Policy
from ._reports.store import open_store
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

Target: t.TypeAlias = "cabc.Callable[..., t.Any] | Blueprint"
V = t.TypeVar("V", bound=Target)
R = t.TypeVar("R", bound=Response)
F = t.TypeVar("F", bound="cabc.Callable[..., t.Any]")


@dc.dataclass(frozen=True)
class SecureState:
    """What ``SecureHeaders`` keeps for an app.

    :param policy: The policy of the app, before any override.
    :param resolver: Finds what a request is answered with, compiled at the first.
    :param store: Where reports are kept; ``None`` where none are taken.
    :param watch: Says since when the report-only policy is in force, if there is one.
    """

    policy: Policy
    resolver: Resolver
    redirection: Redirection
    trusted_origins: frozenset[str]
    static: StaticFiles
    store: ReportStore | None
    watch: cabc.Callable[[], float | None]


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
        return _hooks.nonce_function(lambda request: self.state.resolver.of(request))()

    def add_nonces(self, response: R) -> R:
        """Give each script and style of a page the nonce of the request.

        For pages of others, such as an API browser, whose templates know no nonce:
        ``their_blueprint.after_request(secure.add_nonces)``. An injected script would
        get it too, so the page must show nothing that a user wrote.

        :raises NonceError: see :meth:`csp_nonce`.
        """
        if response.mimetype == "text/html" and not response.is_streamed:
            markup = response.get_data(as_text=True)
            if markup:
                response.set_data(nonced_markup(markup, self.csp_nonce()))
        return response

    def static_script(
        self, filename: str, *, endpoint: str = "static", **attributes: str | bool
    ) -> Markup:
        """A ``<script>`` for one of the app's own files; templates have it too.

        Its address changes with the file, and it carries the file's ``integrity``
        and, where the policy takes one, the nonce of the request.

        :param endpoint: Which static files: ``"blueprint.static"`` for a blueprint's.
        :param attributes: More attributes, such as ``defer=True`` or
            ``type="module"``; underscores become hyphens.
        :raises IntegrityError: if the file is not there, or not in the manifest.
        """
        return self.state.static.script(filename, endpoint=endpoint, **attributes)

    def static_style(
        self, filename: str, *, endpoint: str = "static", **attributes: str | bool
    ) -> Markup:
        """A ``<link rel="stylesheet">``; same as :meth:`static_script`, for styles."""
        return self.state.static.style(filename, endpoint=endpoint, **attributes)

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

    def override_error(self, **changes: t.Unpack[Changes]) -> cabc.Callable[[F], F]:
        """Change the policy of the responses that an error handler makes.

        Write it below ``@app.errorhandler``. Its changes come after those of the view
        that failed.

        :raises ConfigError: listing what is wrong in the changes themselves.
        """
        refuse_wrong(changes)
        note = Note(self, changes)
        return lambda handler: noting(handler, note, _hooks.current_request)

    def policy_of(
        self, app: App, endpoint: str | None, *, path: str | None = None
    ) -> Policy:
        """The policy of one endpoint with every override; needs no context.

        :param endpoint: ``None`` for what has no endpoint, such as a 404.
        :param path: The path of the request, for ``SECURE_PATHS``.
        """
        return self.state_of(app).resolver.at(endpoint, path).policy

    def audit(self, app: App, *, send: bool = False) -> list[EndpointAudit]:
        """What each route of an app answers with, with a grade and findings.

        :param send: Really send a GET to each route that takes no argument, so that
            headers set by the view count too. Views run, with all that they do.
        """
        from ._audit.audit import audit_app

        return audit_app(app, self.state_of(app).resolver.at, send=send)

    def reports(self, app: App) -> list[ReportGroup]:
        """What browsers reported of an app, the most often first.

        :raises ReportStoreError: if the store does not answer.
        """
        store = self.state_of(app).store
        return [] if store is None else store.groups()

    def suggestions(self, app: App) -> list[Suggestion]:
        """The least changes that would satisfy what was reported of an app.

        :raises ReportStoreError: if the store does not answer.
        """
        from ._reports.suggest import suggest

        report_only = self.settings_of(app).report_only
        policy = self.state_of(app).policy
        return suggest(self.reports(app), policy, report_only=report_only)

    def clean_since(self, app: App) -> float | None:
        """Since when nothing was reported of an app's report-only policy.

        :return: Seconds since 1970 (UTC); ``None`` where there is no such policy or
            reports are not kept.
        :raises ReportStoreError: if the store does not answer.
        """
        from ._reports.suggest import clean_since

        state = self.state_of(app)
        since = state.watch()
        if since is None or state.store is None:
            return None
        return clean_since(state.store.groups(), since)

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
        return SecureState(
            policy=policy,
            resolver=resolver,
            redirection=_redirection(app, settings),
            trusted_origins=CoreSettings.from_config(app.config).trusted_origins,
            static=StaticFiles(
                weakref.ref(app),
                load_manifest(app, settings.manifest),
                _hooks.optional_nonce_function(resolver.of),
            ),
            store=store,
            watch=watch_trial,
        )

    def _attach(self, app: App, settings: SecureSettings, state: SecureState) -> None:
        from ._cli import secure as commands

        request, compiled_for = _hooks.request_of(app), state.resolver.of
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
        removed = frozenset(name.lower() for name in settings.removed_headers)
        attach(app, "after_request", _hooks.add_headers(request, compiled_for, removed))
        if settings.cookies != "off":
            fix_cookies(
                app,
                frozenset(settings.cookies_readable),
                enforce=settings.cookies == "fix",
            )
        if state.store is not None:
            from ._reports import collector as _collector
            from ._reports.rate_limit import RateLimit

            limit = RateLimit(settings.reports_per_minute)
            collector = _collector.Collector(state.store, limit, state.trusted_origins)
            _collector.register(app, collector, settings.reports_path)
            state.resolver.overrides[_collector.ENDPOINT] = {"cross_site": True}
        _hooks.attach_first(
            app, _hooks.answer_preflight(app, request, state.resolver.for_method)
        )
        app.add_template_global(_hooks.nonce_function(compiled_for), "csp_nonce")
        app.add_template_global(state.static.script, "static_script")
        app.add_template_global(state.static.style, "static_style")
        app.cli.add_command(commands)

    def _close(self, state: SecureState) -> None:
        close: cabc.Callable[[], None] | None = getattr(state.store, "close", None)
        if close is not None:
            close()

    def _check(self, app: App, *, deploy: bool) -> cabc.Iterable[Finding]:
        from ._checks import check_secure

        state = self.state_of(app)
        return check_secure(
            app,
            self.settings_of(app),
            state.redirection,
            lambda name: state.resolver.at(name, None).policy,
            deploy=deploy,
        )


def _redirection(app: App, settings: SecureSettings) -> Redirection:
    if not settings.redirect_https:
        return Redirection(None)
    hosts = t.cast("cabc.Iterable[str]", app.config.get("TRUSTED_HOSTS") or ())
    return Redirection(settings.https_host, tuple(hosts), settings.redirect_exempt)
