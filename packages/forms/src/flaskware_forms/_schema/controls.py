"""The control of a type, and what its declaration tells the browser."""

from __future__ import annotations

import dataclasses as dc
import datetime as dt
import decimal
import enum
import math
import re
import typing as t

import pydantic

from flaskware_forms._uploads.upload import Upload

from .facets import Facets
from .ui import humanise

Control: t.TypeAlias = t.Literal[
    "text",
    "search",
    "tel",
    "textarea",
    "password",
    "hidden",
    "email",
    "url",
    "number",
    "checkbox",
    "date",
    "time",
    "datetime-local",
    "select",
    "radio",
    "file",
]
Attribute: t.TypeAlias = tuple[str, str | None]


@dc.dataclass(frozen=True)
class Choice:
    """One of a fixed set of values."""

    text: str
    label: str
    value: t.Any


def choices_of(found: Facets) -> tuple[Choice, ...]:
    """The fixed set of values that a type has; empty for other types."""
    values: list[tuple[t.Any, str]]
    if t.get_origin(found.type) is t.Literal:
        values = [(value, str(value)) for value in t.get_args(found.type)]
    elif isinstance(found.type, type) and issubclass(found.type, enum.Enum):
        values = [(member, member.name) for member in found.type]
    else:
        return ()
    return tuple(
        Choice(
            text := str(value.value if isinstance(value, enum.Enum) else value),
            found.ui.labels.get(text) or humanise(name),
            value,
        )
        for value, name in values
    )


_CONTROLS: dict[t.Any, Control] = {
    bool: "checkbox",
    int: "number",
    float: "number",
    decimal.Decimal: "number",
    dt.datetime: "datetime-local",
    dt.date: "date",
    dt.time: "time",
    pydantic.PastDate: "date",
    pydantic.FutureDate: "date",
    pydantic.NaiveDatetime: "datetime-local",
    pydantic.PastDatetime: "datetime-local",
    pydantic.FutureDatetime: "datetime-local",
    Upload: "file",
    pydantic.SecretStr: "password",
    pydantic.EmailStr: "email",
    pydantic.AnyUrl: "url",
    str: "text",
}


def control_of(
    where: str, found: Facets, choices: tuple[Choice, ...], *, asked: bool = False
) -> Control:
    """The control that shows a value of a type.

    :param asked: Whether its choices are asked for when it is shown.
    :raises TypeError: if there is none, or the one that is asked for does not fit.
    """
    if t.get_origin(found.type) is t.Literal and t.get_args(found.type) == (True,):
        return "checkbox"
    if choices or asked:
        return "radio" if found.ui.widget == "radio" else "select"
    if found.type is bool and found.nullable:
        raise TypeError(
            f"{where} is bool | None, but a checkbox has two states. Write bool, or"
            ' Literal["yes", "no"] | None.'
        )
    kind: t.Any = found.type
    if not isinstance(kind, type) or kind in (object, t.Any) or _is_structure(kind):
        raise TypeError(
            f"{where} is {type_name(kind)}, which has no control in a form."
            " Write a type of one value, a list of one, or a Pydantic model."
        )
    bases = (_CONTROLS.get(base) for base in kind.__mro__)
    control = t.cast("Control", next(filter(None, bases), "text"))
    text_like = control in {"text", "password", "email", "url"}
    if found.ui.widget is None or found.ui.widget == control:
        return control
    if found.ui.widget == "hidden" or text_like:
        return found.ui.widget
    raise TypeError(
        f"{where} is {type_name(kind)}, which cannot be shown as {found.ui.widget!r}."
        " Leave out Ui(widget=...)."
    )


def _is_structure(kind: type[t.Any]) -> bool:
    # A dict, a TypedDict, a dataclass or a named tuple.
    marks = ("__required_keys__", "__dataclass_fields__", "_fields")
    return issubclass(kind, dict) or any(hasattr(kind, mark) for mark in marks)


def attributes_of(
    found: Facets, control: Control, *, required: bool
) -> t.Iterator[Attribute]:
    """What the declaration tells the browser about a control."""
    ui = found.ui
    if required:
        yield "required", None
    if control == "number":
        yield from _number_attributes(found)
    elif control in {"date", "datetime-local", "time"}:
        yield from _temporal_attributes(found, control)
    elif control not in {"checkbox", "select", "radio", "file", "hidden"}:
        yield from _text_attributes(found, control)
    if found.image is not None:
        yield "accept", found.image.accept
    autocomplete = ui.autocomplete or ("email" if control == "email" else None)
    if autocomplete:
        yield "autocomplete", autocomplete
    if ui.placeholder:
        yield "placeholder", ui.placeholder


def _text_attributes(found: Facets, control: Control) -> t.Iterator[Attribute]:
    if found.min_length:
        yield "minlength", str(found.min_length)
    if found.max_length:
        yield "maxlength", str(found.max_length)
    pattern = html_pattern(found.pattern) if found.type is str else None
    if pattern is not None and control != "textarea":
        yield "pattern", pattern


def _number_attributes(found: Facets) -> t.Iterator[Attribute]:
    whole = issubclass(found.type, int)
    low, high = found.ge, found.le
    if whole:
        # A browser knows only bounds that may be reached.
        if low is None and found.gt is not None:
            low = math.floor(found.gt) + 1
        if high is None and found.lt is not None:
            high = math.ceil(found.lt) - 1
    if low is not None:
        yield "min", str(low)
    if high is not None:
        yield "max", str(high)
    step = _step(found, low, whole=whole)
    if step is not None:
        yield "step", step


def _step(found: Facets, low: t.Any, *, whole: bool) -> str | None:
    step: t.Any = found.multiple_of
    if step is None and found.type is decimal.Decimal and found.decimal_places:
        step = decimal.Decimal(1).scaleb(-found.decimal_places)
    exact = isinstance(step, int | decimal.Decimal)
    # Steps count from the lower bound in a browser, from zero in Pydantic.
    if exact and (low is None or decimal.Decimal(str(low)) % step == 0):
        return f"{step:f}" if isinstance(step, decimal.Decimal) else str(step)
    return None if whole else "any"


# What means the same to the regex crate of Rust as to a browser: literal characters,
# sets of ASCII letters and digits, groups, counts. Not \\d or \\w, which are ASCII in a
# browser and Unicode in Rust, nor "." with its idea of a line.
_ATOM = (
    r"""(?:[A-Za-z0-9 _@,:;=%<>~!&#'"`-]|\\[.+*?()\[\]{}|^$/\\]"""
    r"""|\[[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*\])"""
)
_COUNT = r"(?:[?*+]|\{\d{1,3}(?:,\d{0,3})?\})?"
_INNER = rf"(?:{_ATOM}{_COUNT})*"
_GROUP = rf"\((?:\?:)?{_INNER}(?:\|{_INNER})*\){_COUNT}"
_SAME = rf"\^((?:{_ATOM}{_COUNT}|{_GROUP})*)\$"


def html_pattern(pattern: t.Any) -> str | None:
    """A pattern for a browser that refuses nothing that Pydantic takes.

    ``None`` where the two may not mean the same. In a browser a pattern is for the
    whole text (HTML, "the pattern attribute"), in Pydantic for any part of it.
    """
    if not isinstance(pattern, str):
        return None
    found = re.fullmatch(_SAME, pattern)
    return found[1] if found is not None else None


def _temporal_attributes(found: Facets, control: Control) -> t.Iterator[Attribute]:
    for name, bound in (("min", found.ge), ("max", found.le)):
        if bound is not None and getattr(bound, "tzinfo", None) is None:
            yield name, bound.isoformat()
    if control != "date":
        yield "step", "any"


def type_name(kind: t.Any) -> str:
    """A type as its developer wrote it."""
    return (
        kind.__name__ if isinstance(kind, type) else str(kind).removeprefix("typing.")
    )
