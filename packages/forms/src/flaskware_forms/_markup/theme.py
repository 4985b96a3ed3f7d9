"""Themes: the macros that turn the parts of a form into markup."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import functools
import json
import re
import types
import typing as t
from pathlib import Path

import jinja2
from markupsafe import escape
from markupsafe import Markup

from flaskware_forms._schema.facets import Text
from flaskware_forms._schema.facets import Word

Macro: t.TypeAlias = cabc.Callable[["FieldParts"], str]
Marks: t.TypeAlias = t.Literal["optional", "required", "both", "none"]

VALIDATE_HEADER = "Form-Validate-Only"
"""The header that names the fields to validate, without submitting the form."""

THEME_FILE = "theme.html"
"""The template in the folder of a theme."""

_BUNDLED = Path(__file__).parents[1] / "templates" / "flaskware_forms" / "themes"
BUNDLED = {folder.name: folder for folder in sorted(_BUNDLED.iterdir())}
"""The folders of the themes of this package, by name."""

_HOLE = re.compile("\0([a-z]+)\0")


class Attributes(dict[str, Text | None]):
    """Attributes of an element; as text, each stands after a space."""

    def __str__(self) -> str:
        # A lazy text would pass for markup.
        return "".join(
            f" {name}" if value is None else f' {name}="{escape(str(value))}"'
            for name, value in self.items()
        )

    def __html__(self) -> str:
        return str(self)


@dc.dataclass(frozen=True, slots=True)
class ChoiceParts:
    """One of the choices of a field, for a macro.

    :param value: The text that a form sends for it.
    :param group: The label of its group, or nothing.
    :param attributes: Attributes of its radio button or its box; empty in a select.
    """

    value: str
    label: str
    group: str
    chosen: bool
    id: str
    attributes: Attributes


@dc.dataclass(frozen=True, slots=True)
class FieldParts:
    """The argument of a macro that renders one field, or its control.

    :param field: The name of the field in its model.
    :param kind: Its control: ``"email"``, ``"textarea"``, ...; or ``"group"``,
        ``"list"``, ``"union"``.
    :param label: The label, or the legend of a group, as an element.
    :param text: The text of the label.
    :param control: The control as the theme has it; empty in a macro that makes it.
    :param attrs: Attributes of live validation, for the outermost element.
    :param value: The text that the control shows, or a list of texts; for a box, true
        if it is ticked. ``None`` for a group, a list or a union.
    :param attributes: Attributes of the control: its id, its name, what a browser
        checks, and what describes it. Not its value and not its classes.
    :param choices: The choices of a select, of radio buttons or of boxes.
    :param needed: True if it must be filled in; ``None`` where that says nothing.
    :param mark: "optional" or "required" in the language of the request, or nothing.
    """

    field: str
    kind: str
    id: str
    name: str
    label: Markup
    text: str
    hint: Markup
    control: Markup
    errors: Markup
    invalid: bool
    attrs: Markup
    value: t.Any
    attributes: Attributes
    choices: tuple[ChoiceParts, ...]
    needed: bool | None
    mark: str


class Theme:
    """The macros of a theme; those of ``plain`` where it has none of a name.

    Most macros see neither values nor the request, so they run once for a field and
    their result is kept. A macro ``control_KIND`` makes the controls of a kind, each
    time that they are shown.

    :param folder: The folder with its ``theme.html``.
    :raises jinja2.TemplateError: if that cannot be read.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        others = {each: jinja2.FileSystemLoader(path) for each, path in BUNDLED.items()}
        environment = jinja2.Environment(
            loader=jinja2.ChoiceLoader(
                [jinja2.FileSystemLoader(folder), jinja2.PrefixLoader(others)]
            ),
            autoescape=True,
        )
        self._macros = [
            environment.get_template(template).module
            for template in (THEME_FILE, f"plain/{THEME_FILE}")
        ]
        # Its text comes from a view. Typed, as Markup equals text that needs escaping.
        self.button: cabc.Callable[..., str] = functools.lru_cache(64, typed=True)(
            functools.partial(self.text, "button")
        )

    def macro(self, name: str) -> t.Any:
        """Return a macro; ``None`` if there is none of this name."""
        found = (getattr(module, name, None) for module in self._macros)
        return next(filter(None, found), None)

    def text(self, macro: str, **parts: object) -> str:
        """The markup of a macro whose parts are all known."""
        return str(self.macro(macro)(types.SimpleNamespace(**parts)))

    def template(self, macro: str, *holes: str, **parts: object) -> str:
        """The markup of a macro, for ``str.format`` with the parts that come later."""
        marks = {hole: safe(f"\0{hole}\0") for hole in holes}
        found = self.text(macro, **parts, **marks).replace("{", "{{").replace("}", "}}")
        return _HOLE.sub(r"{\1}", found)


@functools.cache
def load_theme(name: str, folder: Path) -> Theme:
    """Return a theme, loaded on first use."""
    return Theme(name, folder)


def safe(text: str) -> Markup:
    """Mark markup as safe, after each part of it was escaped or comes from a theme."""
    return Markup(text)  # noqa: S704


class RenderContext:
    """The theme, the language and the options of a form's markup.

    :param live: Whether fields are validated by htmx when they change.
    :param say: Translates a word of the markup.
    :param custom: Finds the app's own macro by the name and the kind of a field.
    :param marks: The fields that say whether they must be filled in.
    :param locale: The tag of the locale of numbers; ``None`` for that of the browser.
    """

    def __init__(
        self,
        theme: Theme,
        *,
        live: bool = False,
        say: cabc.Callable[[str], str] = str,
        custom: cabc.Callable[[str, str], Macro | None] | None = None,
        marks: Marks = "optional",
        locale: str | None = None,
    ) -> None:
        self.theme = theme
        self.live = live
        self.say = say
        self.custom = custom
        self.locale = locale
        self._marks = marks

    def words(self, text: object) -> str:
        """A text of the app, or a word of the markup in the language of the request."""
        return self.say(text) if isinstance(text, Word) else str(text)

    def text(self, macro: str, **parts: object) -> str:
        """The markup of a macro whose parts are all known."""
        return self.theme.text(macro, say=self.say, **parts)

    def template(self, macro: str, *holes: str, **parts: object) -> str:
        """The markup of a macro, for ``str.format`` with the parts that come later."""
        return self.theme.template(macro, *holes, say=self.say, **parts)

    def mark(self, needed: bool | None) -> str:
        """The word that says whether a field must be filled in; or nothing."""
        if needed is None:
            return ""
        word = "required" if needed else "optional"
        return self.say(word) if self._marks in (word, "both") else ""

    def classes(self, kind: str, own: str = "") -> tuple[str, str]:
        """The class attribute of a valid and of an invalid control.

        :param own: More classes, as the declaration of the field has them.
        """
        return tuple(  # type: ignore[return-value]
            f' class="{found}"'
            if (found := f"{text.strip()} {escape(own)}".strip())
            else ""
            for text in (
                self.text("classes", kind=kind, invalid=invalid)
                for invalid in (False, True)
            )
        )

    def live_attributes(self, name: str) -> Markup:
        """The attributes with which htmx validates a field when it changes."""
        if not self.live:
            return Markup()
        headers = escape(json.dumps({VALIDATE_HEADER: name}))
        return safe(
            ' hx-post="" hx-trigger="change" hx-target="this" hx-swap="outerHTML"'
            f' hx-sync="closest form:abort" hx-headers="{headers}"'
        )

    def error_text(self, id: str, messages: cabc.Iterable[str]) -> str:
        """The errors of a field, in the element that its control points to."""
        inner = "<br>".join(str(escape(message)) for message in messages)
        if not inner:
            return ""
        return self._error.format(id=f"{id}--error", messages=inner)

    @functools.cached_property
    def _error(self) -> str:
        return self.template("errors", "id", "messages")
