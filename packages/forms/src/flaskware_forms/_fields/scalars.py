"""Texts, numbers, dates and times, boxes to tick, and files."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import datetime as dt
import decimal
import math
import mimetypes
import re
import typing as t

import pydantic
from markupsafe import escape

from flaskware_forms._body.decoder import ABSENT
from flaskware_forms._body.decoder import converting
from flaskware_forms._body.decoder import exact_of
from flaskware_forms._body.decoder import LOCALE
from flaskware_forms._body.decoder import Read
from flaskware_forms._body.decoder import read_bool
from flaskware_forms._body.decoder import read_consent
from flaskware_forms._body.decoder import SHOWN
from flaskware_forms._body.decoder import Values
from flaskware_forms._markup.theme import Attributes
from flaskware_forms._markup.theme import RenderContext
from flaskware_forms._schema.facets import Facets
from flaskware_forms._schema.moments import as_aware
from flaskware_forms._schema.moments import in_zone_of_person
from flaskware_forms._schema.moments import restored
from flaskware_forms._schema.moments import shown
from flaskware_forms._schema.numbers import current_locale
from flaskware_forms._schema.numbers import read_number
from flaskware_forms._schema.numbers import shown_number
from flaskware_forms._schema.values import FALSE
from flaskware_forms._schema.values import is_on
from flaskware_forms._schema.values import Refused
from flaskware_forms._schema.values import text_of
from flaskware_forms._schema.values import TRUE
from flaskware_forms._uploads.upload import Upload

from .builder import Attribute
from .builder import attributes_text
from .builder import ErrorsAt
from .builder import FieldsetBuilder
from .builder import hidden
from .input import InputBuilder
from .input import Leaf
from .node import Texts
from .structures import Series

if t.TYPE_CHECKING:
    from .flat_schema import FlatName
    from .flat_schema import Schema

# A pattern of digits alone.
_DIGITS = re.compile(r"(?:\[0-9\]|\{\d+(?:,\d*)?\}|[0-9+*?])+")


class Text(Leaf, control="text", types=(str,)):
    """A text in one line."""

    is_text = True
    is_written = True
    may_be_readonly = True
    direction = "auto"

    @classmethod
    def constraints(cls, found: Facets) -> cabc.Iterator[Attribute]:
        yield from _lengths(found)
        pattern = html_pattern(found.pattern) if found.type is str else None
        if pattern is not None:
            yield "pattern", pattern
            if _DIGITS.fullmatch(pattern):
                yield "inputmode", "numeric"


class Search(Text, control="search"):
    """A text to search for."""


class Tel(Text, control="tel"):
    """A telephone number."""

    direction = "ltr"


class Url(Text, control="url", types=(pydantic.AnyUrl,)):
    """A web address."""

    direction = "ltr"


class Email(Text, control="email", types=(pydantic.EmailStr,)):
    """An email address."""

    autocomplete = "email"
    direction = "ltr"

    def error_codes(self, code: str, value: t.Any) -> tuple[str, str]:
        code = "email" if code == "value_error" else code
        return super().error_codes(code, value)


class Password(Text, control="password", types=(pydantic.SecretStr,)):
    """A secret, which is never sent back."""

    shows_value = False
    direction = "ltr"
    is_secret = True
    # It would be lost with its control.
    is_live = False


class Hidden(Leaf, control="hidden"):
    """A value that nobody sees, of any type."""

    is_hidden = True
    keeps_lines = True
    may_be_readonly = True
    is_live = False


class TextareaBuilder(InputBuilder["Textarea"]):
    """A ``<textarea>``."""

    is_input = False

    def attributes_for(self, errors: ErrorsAt) -> Attributes:
        rows = str(self.node.rows or 5)
        return Attributes({**super().attributes_for(errors), "rows": rows})

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        text, _ = self.leaf_text(value)
        # HTML drops a newline right after the tag, so one is given away.
        return (
            f'{self.presence_for(value)}<textarea id="{self.id}" name="{self.name}"'
            f' rows="{self.node.rows or 5}"'
            f"{self.attributes}{self.state(invalid=self.path in errors)}>\n"
            f"{escape(text)}</textarea>"
        )


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Textarea(Leaf, control="textarea"):
    """A text of several lines."""

    builder = TextareaBuilder
    keeps_lines = True
    direction = "auto"
    may_be_readonly = True
    rows: int | None = None

    @classmethod
    def options(cls, found: Facets) -> dict[str, t.Any]:
        return {"rows": found.ui.rows}

    @classmethod
    def constraints(cls, found: Facets) -> cabc.Iterator[Attribute]:
        return _lengths(found)


class Number(Leaf, control="number", types=(int,)):
    """A number, whole or not."""

    may_be_readonly = True

    @classmethod
    def constraints(cls, found: Facets) -> cabc.Iterator[Attribute]:
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
        if low is not None and low >= 0:
            # The keyboard of a telephone. It may lack a minus sign.
            yield "inputmode", "numeric" if whole else "decimal"

    def text_schema(self, schema: Schema) -> Schema:
        # A decimal is a number or a text in JSON; only of the number are bounds known.
        options: list[Schema] = schema.get("anyOf", [])
        numbers = [o for o in options if o.get("type") in {"integer", "number"}]
        rest = {name: each for name, each in schema.items() if name != "anyOf"}
        return {**rest, **numbers[0]} if numbers else schema


class FractionBuilder(InputBuilder["Fraction"]):
    """A control for a number of the person's locale, after the tag of the locale."""

    def prepare(self) -> None:
        super().prepare()
        tag = self.context.locale
        name = f"{self.names.name}.{SHOWN}"
        self.presence = hidden(name, LOCALE + tag) if tag else ""

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        return self.presence + super().control(value, errors)

    def presence_for(self, value: t.Any) -> str:  # noqa: ARG002
        return self.presence


class Fraction(Number, types=(decimal.Decimal,)):
    """A number with decimals."""

    builder = FractionBuilder
    takes_locale = True

    def input_for(self, context: RenderContext) -> tuple[str, tuple[Attribute, ...]]:
        kind, attributes = super().input_for(context)
        if not context.locale:
            return kind, attributes
        # A browser has a locale of its own for its control of a number.
        bounds = {"min", "max", "step"}
        return "text", tuple(each for each in attributes if each[0] not in bounds)

    def shown_text(self, value: t.Any) -> tuple[str, str | None]:
        tag = current_locale()
        if tag is None:
            return super().shown_text(value)
        return shown_number(value, tag), None

    def is_marked(self, value: t.Any) -> bool:
        return current_locale() is not None or super().is_marked(value)

    def texts(self, name: str, value: t.Any) -> Texts:
        tag = current_locale()
        if tag is not None:
            yield f"{name}.{SHOWN}", LOCALE + tag
        yield from super().texts(name, value)

    def reader(self) -> Read:
        read = super().reader()

        def run(values: Values) -> t.Any:
            first = values[0] if len(values) > 1 else None
            if not isinstance(first, str) or not first.startswith(LOCALE):
                return read(values)
            text = read(values[1:])
            if not isinstance(text, str) or not text.strip():
                return text
            return read_number(text, first.removeprefix(LOCALE))

        return run


class Float(Fraction, types=(float,)):
    """A number in floating point."""

    def reader(self) -> Read:
        return converting(super().reader(), _refuse_infinite)


class Time(Leaf, control="time", types=(dt.time,)):
    """A time of day."""

    moment: t.ClassVar[t.Any] = dt.time

    may_be_readonly = True

    @classmethod
    def constraints(cls, found: Facets) -> cabc.Iterator[Attribute]:
        for name, bound in (("min", found.ge), ("max", found.le)):
            if bound is not None and getattr(bound, "tzinfo", None) is None:
                yield name, bound.isoformat()
        if cls.control != "date":
            yield "step", "any"

    def reader(self) -> Read:
        read = converting(super().reader(), _refuse_timestamp)

        def run(values: Values) -> t.Any:
            exact = self.parse(exact_of(values))
            text = read(values if exact is None else values[1:])
            now = self.parse(text)
            return text if now is None else self.meant(text, exact, now)

        return run

    def meant(self, text: str, before: t.Any, now: t.Any) -> str:
        """The exact value of a text.

        :param before: The exact value that the control showed, if it did.
        :param now: The value of the text.
        """
        return text if before is None else restored(text, before, now)

    def parse(self, text: t.Any) -> t.Any:
        """The value of a text; ``None`` where it has none."""
        try:
            return self.moment.fromisoformat(text)
        except (TypeError, ValueError):
            return None

    def shown_text(self, value: t.Any) -> tuple[str, str | None]:
        found = value if isinstance(value, self.moment) else self.parse(value)
        if found is None or isinstance(value, Refused) or not hasattr(found, "tzinfo"):
            return text_of(value), None
        text, exact = shown(found)
        # A text stays as it was typed, unless it is that of a column of JSON.
        typed = isinstance(value, str) and value != found.isoformat()
        return (value, None) if typed and not exact else (text, exact)


_DATES = (dt.date, pydantic.PastDate, pydantic.FutureDate)
_DATETIMES = (
    dt.datetime, pydantic.NaiveDatetime, pydantic.PastDatetime, pydantic.FutureDatetime,
)  # fmt: skip


class Date(Time, control="date", types=_DATES):
    """A date."""

    moment = dt.date


class DateTime(Time, control="datetime-local", types=_DATETIMES):
    """A date and a time."""

    moment = dt.datetime


class AwareDateTime(DateTime, types=(pydantic.AwareDatetime,)):
    """A moment: a date and a time in the zone of the person."""

    def meant(self, text: str, before: t.Any, now: t.Any) -> str:
        if before is None and now.tzinfo is None:
            return in_zone_of_person(text, now)
        return super().meant(text, before, now)

    def initial_from(self, value: t.Any) -> t.Any:
        # Some databases keep no zone, such as SQLite: it has UTC.
        return as_aware(value)


class FlagBuilder(InputBuilder["Flag"]):
    """A checkbox."""

    macro = "choice"

    def prepare(self) -> None:
        super().prepare()
        # It comes first, so that the last value is that of the box.
        self.presence = hidden(self.names.name, "")
        self._start = (
            f'{self.presence}<input type="checkbox" id="{self.id}" name="{self.name}"'
            f' value="true"{self.attributes}'
        )

    def presence_for(self, value: t.Any) -> str:  # noqa: ARG002
        return self.presence

    def value_for(self, value: t.Any) -> t.Any:
        return is_on(value)

    def attributes_for(self, errors: ErrorsAt) -> Attributes:
        return Attributes({**super().attributes_for(errors), "value": "true"})

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        state = self.state(invalid=self.path in errors)
        return f"{self._start}{' checked' if is_on(value) else ''}{state}>"


class Flag(Leaf, control="checkbox", types=(bool,)):
    """Yes or no; for ``Literal[True]``, a consent that is required."""

    builder = FlagBuilder

    @classmethod
    def refuses_blank(cls, found: Facets) -> bool:
        return found.type is not bool

    @property
    def needed(self) -> bool | None:
        # A box that may stay empty is no question without an answer.
        return True if self.required else None

    def reader(self) -> Read:
        return read_consent if self.required else read_bool

    @property
    def absent(self) -> t.Any:
        return ABSENT if self.has_default else False

    def texts(self, name: str, value: t.Any) -> Texts:
        yield name, ""
        if is_on(value):
            yield name, "true"

    def shown(self, value: t.Any) -> t.Any:
        return is_on(value)

    def describe(self, at: FlatName, schema: Schema) -> None:
        at.put(self.text_schema(schema), required=self.required and at.needed)

    def text_schema(self, schema: Schema) -> Schema:
        words = [*TRUE] if self.required else [*TRUE, *FALSE, ""]
        found: Schema = {"enum": words}
        if "title" in schema:
            found["title"] = schema["title"]
        if "default" in schema:
            found["default"] = (TRUE if schema["default"] else FALSE)[0]
        return found

    def error_codes(self, code: str, value: t.Any) -> tuple[str, str]:
        code, says = super().error_codes(code, value)
        return code, "consent" if code == "literal_error" else says


class FilesBuilder(FieldsetBuilder["Files"]):
    """One control that takes several files."""

    kind = "files"
    input_kind = "file"

    def control(self, value: t.Any, errors: ErrorsAt) -> str:  # noqa: ARG002
        own = dict(t.cast("FileInput", self.node.item).attributes)
        attributes = attributes_text({"aria-label": self.plain_text, **own}.items())
        return (
            f'<input type="file" multiple id="{self.id}" name="{self.name}"'
            f"{attributes}{self.input_state(errors)}>"
        )

    def attributes_for(self, errors: ErrorsAt) -> Attributes:
        own = dict(t.cast("FileInput", self.node.item).attributes)
        found = Attributes({"type": "file", "multiple": None})
        found.update(id=self.names.id, name=self.names.name)
        found.update({"aria-label": self.plain_text, **own})
        if self.found(errors):
            found["aria-invalid"] = "true"
        return found


class Files(Series):
    """Several files, sent by one control."""

    one_control = True
    builder = FilesBuilder


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class FileInput(Leaf, control="file", types=(Upload,)):
    """One file."""

    shows_value = False
    series = Files
    is_file = True
    # A file is not sent again.
    is_live = False
    max_bytes: int | None = None
    """The size of the file at most, if declared."""

    @classmethod
    def options(cls, found: Facets) -> dict[str, t.Any]:
        return {"max_bytes": found.image.max_bytes if found.image else None}

    @classmethod
    def constraints(cls, found: Facets) -> cabc.Iterator[Attribute]:
        if found.image is not None:
            yield "accept", found.image.accept

    def describe(self, at: FlatName, schema: Schema) -> None:
        at.put(schema, required=at.needed and not self.nullable)
        at.encode({"contentType": self._accepted})

    def describe_entries(self, at: FlatName, schema: Schema, required: bool) -> None:
        super().describe_entries(at, schema, required)
        at.encode({"contentType": self._accepted})

    @property
    def _accepted(self) -> str:
        accept = str(dict(self.attributes).get("accept") or "")
        types = [
            part if "/" in part else mimetypes.guess_type(f"file{part}")[0]
            for part in accept.split(",")
        ]
        return ", ".join(filter(None, types)) or "application/octet-stream"

    def error_codes(self, code: str, value: t.Any) -> tuple[str, str]:  # noqa: ARG002
        return code, code


def _lengths(found: Facets) -> cabc.Iterator[Attribute]:
    if found.min_length:
        yield "minlength", str(found.min_length)
    if found.max_length:
        yield "maxlength", str(found.max_length)


def _step(found: Facets, low: t.Any, *, whole: bool) -> str | None:
    step: t.Any = found.multiple_of
    if step is None and found.type is decimal.Decimal and found.decimal_places:
        step = decimal.Decimal(1).scaleb(-found.decimal_places)
    exact = isinstance(step, int | decimal.Decimal)
    # Steps count from the lower bound in a browser, from zero in Pydantic.
    if exact and (low is None or decimal.Decimal(str(low)) % step == 0):
        return f"{step:f}" if isinstance(step, decimal.Decimal) else str(step)
    return None if whole else "any"


def _refuse_timestamp(value: str) -> str:
    # Pydantic takes a number for seconds since 1970, which no person means.
    return value if _number(value) is None else Refused("not a timestamp", value)


def _refuse_infinite(value: str) -> str:
    # Pydantic takes "nan" for a float, and no bound refuses it.
    number = _number(value)
    if number is None or math.isfinite(number):
        return value
    return Refused("not a number", value)


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


# The syntax that the regex crate of Rust and a browser share: literal characters, sets
# of ASCII letters and digits, groups, counts. Not \d or \w, which are ASCII in a
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

    ``None`` where the two may differ. In a browser a pattern is for the whole text
    (HTML, "the pattern attribute"), in Pydantic for any part of it.
    """
    if not isinstance(pattern, str):
        return None
    found = re.fullmatch(_SAME, pattern)
    return found[1] if found is not None else None
