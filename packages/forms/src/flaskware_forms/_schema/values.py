"""Values of controls: their text, their entries, and where they come from."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import enum
import typing as t

import pydantic
import pydantic_core
from werkzeug.datastructures import FileStorage

from flaskware_forms._uploads.upload import Upload

NOTHING: t.Any = object()
"""Stands for a value that a source does not have."""

_NO_TEXT = (pydantic.SecretStr, bytes, cabc.Collection, FileStorage, Upload)


class Rows(list[t.Any]):
    """The rows of a list as they stood in a form; an empty row is ``None``."""

    # True if it is a list also without any rows, and not ``None``.
    exists = False


KEY, VALUE = "key", "value"
"""The names of the two fields in a row of a dictionary."""


class Pairs(dict[t.Any, t.Any]):
    """A dictionary as it stood in a form, with its rows.

    :param rows: The rows, each with a key and a value; ``None`` for an empty row.
    :param repeated: The index of each row whose key another row has before it.
    """

    __slots__ = ("repeated", "rows")

    def __init__(self, rows: list[t.Any], repeated: list[int]) -> None:
        found = (row for row in rows if row is not None)
        super().__init__((_hashable(row.get(KEY, "")), row.get(VALUE)) for row in found)
        self.rows = rows
        self.repeated = repeated

    def row_of(self, step: str | int) -> int | None:
        """The index of the row whose key Pydantic puts into a location."""
        for index, row in enumerate(self.rows):
            key = None if row is None else _hashable(row.get(KEY, ""))
            if row is not None and step in (key, text_of(key), repr(key)):
                return index
        return None


def _hashable(key: t.Any) -> t.Any:
    # Several values for one control, which no type of a key takes.
    return tuple(t.cast("list[t.Any]", key)) if isinstance(key, list) else key


class Refused(str):
    """A text that no type takes, in place of what a person typed.

    Pydantic would take what was typed for something else, such as a number for a
    moment.

    :param typed: The text as it was typed, which the control shows again.
    :param says: The code of the sentence for it, if that of the type says too little.
    :param context: Values for this sentence.
    """

    __slots__ = ("context", "says", "typed")

    typed: str
    says: str | None
    context: dict[str, t.Any]

    def __new__(
        cls, text: str, typed: str, says: str | None = None, **context: t.Any
    ) -> t.Self:
        self = super().__new__(cls, text)
        self.typed, self.says, self.context = typed, says, context
        return self


def text_of(value: t.Any) -> str:
    """The text that a control holds for a value; empty where it can hold none."""
    if isinstance(value, Refused):
        return value.typed
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return value
    if isinstance(value, enum.Enum):
        return choice_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime | dt.time):
        return value.isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return str(pydantic_core.to_jsonable_python(value))
    # A body may hold a structure or a file where one value belongs.
    if value is None or isinstance(value, _NO_TEXT):
        return ""
    return str(value)


def choice_text(value: t.Any) -> str:
    """The text that stands for one of a fixed set of values."""
    inner = value.value if isinstance(value, enum.Enum) else value
    # A tuple or None has no text in a control, but needs one of its own as a choice.
    return text_of(inner) or str(inner)


TRUE = ("true", "on", "yes", "1", "t", "y")
"""The words that mean yes, as Pydantic reads them, in lower case."""

FALSE = ("false", "off", "no", "0", "f", "n")
"""The words that mean no."""


def key_of(value: t.Any) -> t.Any:
    """The primary key of an object that SQLAlchemy maps; any other value as it is."""
    mapper: t.Any = getattr(t.cast("object", value), "__mapper__", None)
    if mapper is None:
        return value
    (key,) = mapper.primary_key_from_instance(value)
    return key


def is_on(value: t.Any) -> bool:
    """True if a checkbox is ticked for a value."""
    if isinstance(value, str):
        return value.lower() in TRUE
    return value is True or value == 1


def items_of(value: t.Any) -> list[t.Any]:
    """The entries of a list, or the rows of a dictionary; none for another value."""
    if isinstance(value, Pairs):
        return [*value.rows]
    if isinstance(value, list | tuple | set | frozenset):
        return list(t.cast("cabc.Iterable[t.Any]", value))
    return []


def fields_in(value: t.Any) -> dict[str, t.Any]:
    """The values of a model by key; none for any other value."""
    return t.cast("dict[str, t.Any]", value if isinstance(value, dict) else {})


def look_up(source: t.Any, attribute: str, key: str) -> t.Any:
    """A field of an object or a mapping; :data:`NOTHING` if it has none."""
    if source is None:
        return NOTHING
    if isinstance(source, cabc.Mapping):
        mapping = t.cast("cabc.Mapping[str, t.Any]", source)
        return mapping.get(attribute, mapping.get(key, NOTHING))
    return getattr(source, attribute, NOTHING)
