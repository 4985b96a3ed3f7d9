"""The content of an annotation: a type, bounds, lengths and labels."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
import types
import typing as t

import pydantic

from flaskware_core import closest
from flaskware_core import DeclarationError
from flaskware_forms._uploads.file import File
from flaskware_forms._uploads.upload import Image

Widget: t.TypeAlias = t.Literal[
    "text", "textarea", "password", "hidden", "radio", "select", "search", "tel"
]


class Word(str):
    """A word of the markup itself, which is shown in the language of the request."""

    __slots__ = ()


class LazyText(t.Protocol):
    """A text that is translated when it is shown, such as Flask-Babel's."""

    def __html__(self) -> str: ...


Text: t.TypeAlias = str | LazyText

# The attributes of a control that the form writes itself.
_OURS = frozenset({
    "aria-describedby", "aria-invalid", "checked", "disabled", "for", "id", "multiple",
    "name", "readonly", "required", "selected", "type", "value",
})  # fmt: skip
# A class, which type checkers know as an alias.
_JSON = t.cast("type[t.Any]", pydantic.Json)
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_.:-]*")

Choices: t.TypeAlias = "cabc.Iterable[t.Any]"


@dc.dataclass(frozen=True, kw_only=True)
class Ui:
    """Presentation of a field in a form; goes into ``Annotated[...]``.

    :param label: The label of the field; its name, made readable, by default.
    :param hint: A sentence below the label, tied to the control for screen readers.
    :param autocomplete: A token of the HTML autocomplete attribute, such as
        ``"new-password"``.
    :param widget: A control other than that of the type.
    :param placeholder: An example inside the empty control.
    :param rows: The height of a textarea, or how many empty inputs a list offers.
    :param labels: The label of each choice, by its value as text.
    :param choices: Called once per request in which the field is shown or validated. It
        returns values, pairs of a value and its label, such as the rows of a query,
        or mapped objects, which stand for their primary key. A mapping gives such
        choices by the label of their group. It may be async, in an async view.
    :param groups: The values as text of each group of choices, by its label.
    :param messages: Sentences of your own, by the code of an error.
        They may use the names of Pydantic's error, such as ``{limit}``.
    :param readonly: Shown but not changed: what a request sends for it is ignored, in a
        form as in JSON. Its value is that of the object that the form shows, else its
        default. Only text controls can be read-only; use ``disabled`` for others.
    :param disabled: Same as ``readonly``, for any field, and grey in a browser.
    :param attributes: Other attributes of the control, such as ``data-controller`` or
        ``spellcheck``. ``True`` writes the name alone, ``False`` and ``None`` leave it
        out. A ``class`` is added to that of the theme.
    :raises DeclarationError: for a widget that does not exist, and for an attribute
        that is the form's own, or that a Content-Security-Policy blocks.
    """

    label: Text | None = None
    hint: Text | None = None
    autocomplete: str | None = None
    widget: Widget | None = None
    placeholder: Text | None = None
    rows: int | None = None
    labels: cabc.Mapping[str, Text] = dc.field(
        default_factory=dict[str, Text], hash=False
    )
    choices: cabc.Callable[[], Choices | cabc.Awaitable[Choices]] | None = None
    groups: cabc.Mapping[str, cabc.Collection[str]] = dc.field(
        default_factory=dict[str, cabc.Collection[str]], hash=False
    )
    messages: cabc.Mapping[str, Text] = dc.field(
        default_factory=dict[str, Text], hash=False
    )
    readonly: bool = False
    disabled: bool = False
    attributes: cabc.Mapping[str, Text | bool | None] = dc.field(
        default_factory=dict[str, "Text | bool | None"], hash=False
    )

    def __post_init__(self) -> None:
        widgets = t.get_args(Widget)
        if self.widget is not None and self.widget not in widgets:
            close = closest(str(self.widget), widgets)
            hint = f"Did you mean {close!r}?" if close else f"Write one of {widgets}."
            raise DeclarationError(f"Ui(widget={self.widget!r}) does not exist. {hint}")
        for name in self.attributes:
            if name in _OURS:
                reason = "which the form writes itself"
            elif name == "style" or name.startswith("on"):
                reason = "which a Content-Security-Policy blocks"
            elif not _ATTRIBUTE.fullmatch(name):
                reason = "which is not the name of an attribute in small letters"
            else:
                continue
            raise DeclarationError(f"Ui(attributes=...) has {name!r}, {reason}.")


def humanise(name: str) -> str:
    """Turn ``"given_name"`` or ``"GIVEN_NAME"`` into ``"Given name"``."""
    text = name.replace("_", " ").replace("-", " ").strip()
    if text.isupper():
        text = text.lower()
    return text[:1].upper() + text[1:]


@dc.dataclass
class Facets:
    """The type of a field without its wrappers, and their content."""

    type: t.Any
    nullable: bool = False
    ge: t.Any = None
    gt: t.Any = None
    le: t.Any = None
    lt: t.Any = None
    multiple_of: t.Any = None
    decimal_places: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: t.Any = None
    ui: Ui = dc.field(default_factory=Ui)
    image: Image | File | None = None
    # True for text that holds JSON.
    is_json: bool = False
    # All that is written beside the type, as Annotated takes it.
    marks: tuple[t.Any, ...] = ()
    examples: tuple[t.Any, ...] = ()
    # The members of a union that is more than an optional type, and the field that
    # distinguishes them.
    union: tuple[t.Any, ...] = ()
    discriminator: t.Any = None


_BOUNDS = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length")


def facets(annotation: t.Any, metadata: cabc.Iterable[t.Any] = ()) -> Facets:
    """Take an annotation apart."""
    found = Facets(annotation)
    _collect(found, metadata)
    while True:
        origin = t.get_origin(found.type)
        # typing has its own from Python 3.12 on, typing_extensions another.
        if type(found.type).__name__ == "TypeAliasType":
            found.type = found.type.__value__
        elif origin is t.Annotated:
            found.type, *inner = t.get_args(found.type)
            _collect(found, inner)
        elif hasattr(found.type, "__supertype__"):
            # A NewType.
            found.type = found.type.__supertype__
        elif origin in {t.Union, types.UnionType}:
            members = t.get_args(found.type)
            others = [member for member in members if member is not type(None)]
            found.nullable |= len(others) < len(members)
            if len(others) != 1:
                found.union = tuple(others)
                return found
            found.type = others[0]
        elif origin is t.Literal and None in (values := t.get_args(found.type)):
            found.nullable = True
            others = [value for value in values if value is not None]
            found.type = t.Literal[tuple(others)] if others else type(None)
        else:
            return found


def _collect(found: Facets, metadata: cabc.Iterable[t.Any]) -> None:
    metadata = tuple(metadata)
    # The marks further inside come first.
    found.marks = (*metadata, *found.marks)
    for item in metadata:
        if isinstance(item, pydantic.fields.FieldInfo):
            found.examples += tuple(item.examples or ())
        if (
            isinstance(item, pydantic.fields.FieldInfo) and item.discriminator
        ) or isinstance(item, pydantic.Discriminator):
            found.discriminator = item.discriminator
    for item in _flatten(metadata):
        if isinstance(item, Ui):
            found.ui = item
        elif item is pydantic.Json or isinstance(item, _JSON):
            found.is_json = True
        elif isinstance(item, Image | File):
            found.image = item
        else:
            for name in (*_BOUNDS, "decimal_places", "pattern"):
                value = getattr(item, name, None)
                # A bound method of some unrelated object is not a bound.
                if value is not None and not callable(value):
                    setattr(found, name, value)


def _flatten(metadata: cabc.Iterable[t.Any]) -> cabc.Iterator[t.Any]:
    for item in metadata:
        if isinstance(item, pydantic.fields.FieldInfo):
            yield from _flatten(item.metadata)
        elif isinstance(item, pydantic.StringConstraints):
            yield item
        elif hasattr(item, "__is_annotated_types_grouped_metadata__"):
            yield from _flatten(item)
        else:
            yield item


def type_name(kind: t.Any) -> str:
    """A type as its developer wrote it."""
    return (
        kind.__name__ if isinstance(kind, type) else str(kind).removeprefix("typing.")
    )
