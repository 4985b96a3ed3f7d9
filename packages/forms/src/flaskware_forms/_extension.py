"""The extension: settings, CSRF protection, templates and commands of typed forms.

Rooms: _uploads < _schema < _errors < _exchanges < _markup < _settings < _body <
_fields < _csrf < _orm < _interop < _forms < _checks < _cli < _extension
"""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t

from flask.sansio.app import App
from markupsafe import Markup

from flaskware_core import AlreadyInitialised
from flaskware_core import CoreSettings
from flaskware_core import Extension
from flaskware_core import Finding
from flaskware_core import framework_of

from ._csrf.layered import exempt
from ._csrf.layered import LayeredCSRF
from ._csrf.layered import refuse_missing_key
from ._csrf.layered import V
from ._forms.state import find_theme
from ._forms.state import FormsState
from ._forms.state import MarkupCache
from ._forms.view import explain_missing_form
from ._interop.wtforms import wtf_row
from ._markup.theme import safe
from ._settings import FormsSettings


class Forms(Extension[FormsSettings, FormsState]):
    """Typed forms for an app, and CSRF protection for all of it.

    Replaces Flask-WTF's ``CSRFProtect``. Its ``WTF_CSRF_*`` keys, ``csrf_token()`` in
    templates and ``CSRFError`` work as before.

    :param app: Initialise on this app at once.
    :param overrides: Fields of :class:`FormsSettings`; they win over ``app.config``.
    """

    name = "forms"

    def exempt(self, view: V, /) -> V:
        """Leave a view or a blueprint without CSRF protection, and return it.

        Needs no app, so it decorates: ``@app.post(...)``, then ``@forms.exempt``.
        """
        return exempt(view)

    def _build(self, app: App, settings: FormsSettings) -> FormsState:
        if "csrf" in app.extensions:
            other = t.cast("object", app.extensions["csrf"]).__class__.__name__
            raise AlreadyInitialised(
                f"The app {app.name!r} already has {other} against CSRF. Remove it:"
                " Forms(app) protects the same views with the same WTF_CSRF_* keys."
                " Replace csrf.exempt(view) with forms.exempt(view)."
            )
        if settings.csrf_strategy == "headers_or_token":
            refuse_missing_key(app)
        trusted = CoreSettings.from_config(app.config).trusted_origins
        csrf = LayeredCSRF(trusted, settings.csrf_strategy)
        return FormsState(
            settings, csrf, MarkupCache(settings, find_theme(app, settings))
        )

    def theme_macro(
        self, name: str
    ) -> cabc.Callable[[cabc.Mapping[str, t.Any]], Markup]:
        """Return a macro of the app's theme, for pages that are no typed form.

        It takes the parts that the guide names for the macro, and writes in the
        language of the request. ``{{ forms.theme_macro("button")({"kind": "submit",
        "text": "Go", "attrs": ""}) }}`` is a button as the forms have them.
        """
        context = self.state.markup.context()
        return lambda parts: safe(context.text(name, **parts))

    def _attach(self, app: App, settings: FormsSettings, state: FormsState) -> None:  # noqa: ARG002
        from ._cli import forms_commands

        framework = framework_of(app)
        # Not "forms", which an app may call a blueprint of its own.
        blueprint = framework.Blueprint(
            "flaskware_forms",
            __name__,
            static_folder="static",
            static_url_path="/flaskware-forms",
            template_folder="templates",
        )
        any_app: t.Any = app
        any_app.register_blueprint(blueprint)
        row = functools.partial(wtf_row, state.markup.context)
        any_app.add_template_global(row, "wtf_row")
        app.cli.add_command(forms_commands)
        state.csrf.init_app(app)
        framework.got_request_exception.connect(explain_missing_form, app)

    def _covers(self, app: App) -> cabc.Collection[str]:  # noqa: ARG002
        # These are reported here, with what a typed form adds.
        return ("core.csrf-absent", "core.csrf-off", "core.upload-folder")

    def _check(self, app: App, *, deploy: bool) -> cabc.Iterable[Finding]:  # noqa: ARG002
        from ._checks import check_forms

        state = self.state_of(app)
        return check_forms(app, state.settings, state.csrf)
