"""The markup of an app's forms, made once for each form, language and theme."""

from __future__ import annotations

import sys
import typing as t
import weakref

import flask
import jinja2

from flaskware_forms._errors.messages import Language
from flaskware_forms._errors.messages import language
from flaskware_forms._markup.controls import Builder
from flaskware_forms._markup.groups import build
from flaskware_forms._markup.names import Names
from flaskware_forms._markup.theme import load_theme
from flaskware_forms._markup.theme import Look
from flaskware_forms._markup.theme import Macro
from flaskware_forms._schema.nodes import Group
from flaskware_forms._settings import FormsSettings

if t.TYPE_CHECKING:
    from .spec import FormSpec

Fields: t.TypeAlias = dict[str, Builder]


class Looks:
    """How the forms of one app look, and which language they speak."""

    def __init__(self, settings: FormsSettings) -> None:
        self._settings = settings
        self._fixed = (
            language(settings.languages[0]) if len(settings.languages) == 1 else None
        )
        self._kept: weakref.WeakKeyDictionary[
            FormSpec[t.Any], dict[tuple[bool, str], tuple[Look, Fields]]
        ] = weakref.WeakKeyDictionary()
        self._template: jinja2.Template | None = None

    @property
    def varies(self) -> bool:
        """Whether the language is that which the client asks for."""
        return self._fixed is None

    def language(self) -> Language:
        """The language of the current request: Flask-Babel's, or what is accepted."""
        babel = sys.modules.get("flask_babel")
        if babel is not None and "babel" in flask.current_app.extensions:
            locale = babel.get_locale()
            return language(str(locale) if locale is not None else "en")
        if self._fixed is not None:
            return self._fixed
        known = self._settings.languages
        # In the order of the client's wishes; "de-AT" is content with "de".
        for tag, _ in flask.request.accept_languages:
            for wish in (tag, tag.partition("-")[0]):
                if wish in known:
                    return language(wish)
        return language(known[0])

    def of(self, spec: FormSpec[t.Any], *, live: bool) -> tuple[Look, Fields]:
        """The look and the fields of a form, by their names in a body."""
        self._follow_template()
        said = self.language()
        kept = self._kept.setdefault(spec, {})
        found = kept.get((live, said.tag))
        if found is None:
            look = Look(
                load_theme(self._settings.theme),
                live=live,
                say=said.say,
                custom=self._custom if self._template is not None else None,
            )
            found = kept[live, said.tag] = look, top_fields(spec, look)
        return found

    def _follow_template(self) -> None:
        name = self._settings.template
        if name is None:
            return
        # The environment keeps it, and loads it again where it was changed in debug.
        template = flask.current_app.jinja_env.get_template(name)
        if template is not self._template:
            self._template = template
            self._kept.clear()

    def _custom(self, field: str, kind: str) -> Macro | None:
        module = t.cast("jinja2.Template", self._template).module
        for name in (f"row_{field}", f"row_of_{kind.replace('-', '_')}"):
            macro = getattr(module, name, None)
            if macro is not None:
                return t.cast("Macro", macro)
        return None


def top_fields(spec: FormSpec[t.Any], look: Look) -> Fields:
    """The fields of a form itself."""
    schema: Group = spec._schema
    return {
        child.key: build(child, Names.top(spec.name, child.key), look)
        for child in schema.children
    }
