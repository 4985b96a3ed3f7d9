"""Themes: bundled macros that run once for each field, and the macros of an app."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import functools
import json
import types
import typing as t

import jinja2
from markupsafe import escape
from markupsafe import Markup

from flaskware_forms._schema.facets import Word

ThemeName: t.TypeAlias = t.Literal["plain", "bootstrap5"]
Macro: t.TypeAlias = cabc.Callable[["FieldParts"], str]

VALIDATE_HEADER = "Form-Validate-Only"
"""The header that names the fields to validate, without submitting the form."""


@dc.dataclass(frozen=True, slots=True)
class FieldParts:
    """The argument of a macro that renders one field.

    :param field: The name of the field in its model.
    :param kind: Its control: ``"email"``, ``"textarea"``, ...; or ``"group"``,
        ``"list"``, ``"union"``.
    :param label: The label, or the legend of a group, as an element.
    :param text: The text of the label.
    :param attrs: Attributes of live validation, for the outermost element.
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


class Theme:
    """The macros of a bundled theme.

    A macro sees neither values nor the request, so it runs once for a field and its
    result is kept.
    """

    def __init__(self, name: ThemeName) -> None:
        self.name = name
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("flaskware_forms", "templates/flaskware_forms"),
            autoescape=True,
        )
        self._macros = environment.get_template(f"{name}.html").module
        # Its text comes from a view. Typed, as Markup equals text that needs escaping.
        self.button: cabc.Callable[..., str] = functools.lru_cache(64, typed=True)(
            functools.partial(self.text, "button")
        )

    def frame(self, macro: str, *holes: str, **parts: object) -> tuple[str, ...]:
        """The markup before, between and after the holes of a macro."""
        marks = {hole: safe(f"\0{hole}\0") for hole in holes}
        run = t.cast("cabc.Callable[[object], str]", getattr(self._macros, macro))
        rest = str(run(types.SimpleNamespace(**parts, **marks)))
        pieces: list[str] = []
        for mark in marks.values():
            piece, _, rest = rest.partition(str(mark))
            pieces.append(piece)
        return (*pieces, rest)

    def text(self, macro: str, **parts: object) -> str:
        """The markup of a macro whose parts are all known."""
        return self.frame(macro, **parts)[0]

    @functools.cached_property
    def error(self) -> tuple[str, ...]:
        """The markup around the id and the messages of a field's errors."""
        return self.frame("errors", "id", "messages")


@functools.cache
def load_theme(name: ThemeName) -> Theme:
    """Return a bundled theme, loaded on first use."""
    return Theme(name)


def safe(text: str) -> Markup:
    """Mark markup as safe, after each part of it was escaped or comes from a theme."""
    return Markup(text)  # noqa: S704


class RenderContext:
    """The theme, the language and the options of a form's markup.

    :param live: Whether fields are validated by htmx when they change.
    :param say: Translates a word of the markup.
    :param custom: Finds the app's own macro by the name and the kind of a field.
    """

    def __init__(
        self,
        theme: Theme,
        *,
        live: bool = False,
        say: cabc.Callable[[str], str] = str,
        custom: cabc.Callable[[str, str], Macro | None] | None = None,
    ) -> None:
        self.theme = theme
        self.live = live
        self.say = say
        self.custom = custom

    def words(self, text: object) -> str:
        """A text of the app, or a word of the markup in the language of the request."""
        return self.say(text) if isinstance(text, Word) else str(text)

    def classes(self, kind: str, own: str = "") -> tuple[str, str]:
        """The class attribute of a valid and of an invalid control.

        :param own: More classes, as the declaration of the field has them.
        """
        return tuple(  # type: ignore[return-value]
            f' class="{found}"' if (found := f"{text} {escape(own)}".strip()) else ""
            for text in (
                self.theme.text("classes", kind=kind, invalid=invalid)
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
        before, between, after = self.theme.error
        return f"{before}{id}--error{between}{inner}{after}"
