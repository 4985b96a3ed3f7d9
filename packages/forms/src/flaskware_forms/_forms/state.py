"""The parts that all forms of one app share."""

from __future__ import annotations

import dataclasses as dc
import sys
import typing as t
import weakref
from pathlib import Path

import jinja2
from flask.sansio.app import App

from flaskware_core import closest
from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_core import current_app_object
from flaskware_core import current_request
from flaskware_core import is_async
from flaskware_core import NotInitialised
from flaskware_forms._csrf.layered import LayeredCSRF
from flaskware_forms._errors.messages import Language
from flaskware_forms._errors.messages import language
from flaskware_forms._fields.builder import Builder
from flaskware_forms._markup.names import ControlNames
from flaskware_forms._markup.theme import BUNDLED
from flaskware_forms._markup.theme import load_theme
from flaskware_forms._markup.theme import Macro
from flaskware_forms._markup.theme import RenderContext
from flaskware_forms._markup.theme import Theme
from flaskware_forms._markup.theme import THEME_FILE
from flaskware_forms._schema.numbers import current_locale
from flaskware_forms._settings import FormsSettings

if t.TYPE_CHECKING:
    from .compiled import CompiledForm

Fields: t.TypeAlias = dict[str, Builder[t.Any]]

# Whether it is live, the language, the locale of numbers, and the names.
_Key: t.TypeAlias = tuple[bool, str, str | None, ControlNames]
# A page may hold a form many times, each with a prefix of its own.
_KEPT_MARKUP = 64


def find_theme(app: App, settings: FormsSettings) -> Theme:
    """Return the theme of an app.

    :raises ConfigError: if there is none of its name, or a folder of a theme has no
        template that can be read.
    """
    problems: list[ConfigProblem] = []
    folders = {name: app_folder(app, path) for name, path in settings.themes.items()}
    for name, folder in folders.items():
        try:
            load_theme(name, folder)
        except jinja2.TemplateError as error:
            problems.append(
                ConfigProblem(
                    "FORMS_THEMES",
                    f"a folder with a {THEME_FILE} that Jinja can read",
                    f"{name!r}: {str(folder)!r}, {type(error).__name__}: {error}",
                    f"macros in {folder / THEME_FILE}; see the guide of themes",
                )
            )
    known = {**BUNDLED, **folders}
    if settings.theme not in known:
        close = closest(settings.theme, known)
        problems.append(
            ConfigProblem(
                "FORMS_THEME",
                f"the name of a theme: {', '.join(known)}",
                repr(settings.theme),
                f"FORMS_THEME = {close!r}" if close else "a name of FORMS_THEMES",
            )
        )
    if problems:
        raise ConfigError("flaskware-forms", problems)
    return load_theme(settings.theme, known[settings.theme])


def app_folder(app: App, path: str) -> Path:
    """A folder of an app, relative to that of its module."""
    return Path(app.root_path, path)


class MarkupCache:
    """The markup of an app's forms, made once for each form, language and theme."""

    def __init__(self, settings: FormsSettings, theme: Theme) -> None:
        self._settings = settings
        self._theme = theme
        self._fixed = (
            language(settings.languages[0]) if len(settings.languages) == 1 else None
        )
        self._kept: weakref.WeakKeyDictionary[
            CompiledForm[t.Any],
            dict[_Key, tuple[RenderContext, Fields]],
        ] = weakref.WeakKeyDictionary()
        self._template: jinja2.Template | None = None
        self._plain: jinja2.Environment | None = None

    @property
    def varies(self) -> bool:
        """True if the client chooses the language."""
        return self._fixed is None

    def language(self) -> Language:
        """The language of the current request: Flask-Babel's, or what is accepted."""
        babel = sys.modules.get("flask_babel")
        if babel is not None and "babel" in current_app_object().extensions:
            locale = babel.get_locale()
            return language(str(locale) if locale is not None else "en")
        if self._fixed is not None:
            return self._fixed
        known = self._settings.languages
        # In the order of the client's preference; "de" serves for "de-AT".
        for tag, _ in current_request().accept_languages:
            for wish in (tag, tag.partition("-")[0]):
                if wish in known:
                    return language(wish)
        return language(known[0])

    def context(self, *, live: bool = False) -> RenderContext:
        """Return the theme and the language of the current request."""
        return RenderContext(
            self._theme,
            live=live,
            say=self.language().say,
            marks=self._settings.marks,
            locale=current_locale(),
            custom=self._custom if self._template is not None else None,
        )

    def of(
        self, form: CompiledForm[t.Any], root: ControlNames, *, live: bool
    ) -> tuple[RenderContext, Fields]:
        """Return the fields of a form, by their names in a body.

        :param root: The names of the form on this page.
        """
        self._follow_template()
        tag = self.language().tag
        kept = self._kept.setdefault(form, {})
        key = live, tag, current_locale(), root
        found = kept.get(key)
        if found is None:
            context = self.context(live=live)
            fields = form.schema.build_fields(root, context)
            if len(kept) >= _KEPT_MARKUP:
                kept.clear()
            found = kept[key] = context, fields
        return found

    def _follow_template(self) -> None:
        name = self._settings.template
        if name is None:
            return
        # The environment keeps it, and loads it again where it was changed in debug.
        app = current_app_object()
        environment: jinja2.Environment = app.jinja_env
        if is_async(app):
            # Quart's own renders in coroutines; a macro has to be a plain function.
            if self._plain is None:
                self._plain = environment.overlay(enable_async=False)
            environment = self._plain
        template = environment.get_template(name)
        if template is not self._template:
            self._template = template
            self._kept.clear()

    def _custom(self, field: str, kind: str) -> Macro | None:
        module = t.cast("jinja2.Template", self._template).module
        names = (f"row_{field}", f"row_of_{kind.replace('-', '_')}")
        return next(filter(None, (getattr(module, n, None) for n in names)), None)


@dc.dataclass(frozen=True)
class FormsState:
    """The parts that all forms of one app share."""

    settings: FormsSettings
    csrf: LayeredCSRF
    markup: MarkupCache


def forms_state(app: App) -> FormsState:
    """Return the state of an app's forms.

    :raises NotInitialised: if the app has no :class:`Forms`.
    """
    forms = app.extensions.get("forms")
    if forms is None:
        raise NotInitialised(
            f"The app {app.name!r} has no Forms, which guards and bounds"
            " its typed forms. Call `Forms(app)` in the app factory."
        )
    return t.cast("FormsState", forms.state_of(app))
