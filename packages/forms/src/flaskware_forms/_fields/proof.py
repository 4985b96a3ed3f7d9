"""Proof, at the declaration, that a type comes back from its control as it was.

The kinds of this package are proven by its tests. Any other type has a text of its own:
texts that people write are validated, shown and read again. Hypothesis was considered.
It would find more texts, but it is a tool of tests and takes long.
"""

from __future__ import annotations

import dataclasses as dc
import typing as t

import pydantic
from pydantic.types import EncodedBytes
from pydantic.types import EncodedStr

from flaskware_core import DeclarationError
from flaskware_forms._schema.facets import Facets
from flaskware_forms._schema.facets import type_name

from .input import Leaf
from .scalars import Text

# Marks that decide what a text means.
_READS = (
    pydantic.PlainValidator, pydantic.BeforeValidator, EncodedStr, EncodedBytes,
    pydantic.GetPydanticSchema,
)  # fmt: skip
# Checks of the app, which may ask a database.
_CHECKS = (pydantic.AfterValidator, pydantic.WrapValidator)
# A class, which type checkers know as an alias.
_UNREAD = t.cast("type[t.Any]", pydantic.SkipValidation)
# Texts of the usual kinds of values, of which a type may read some.
_TEXTS = (
    "", "a", "Ab c", "0", "1", "-12", "0.5", "1,5", "1.50", "10", "ff", "true", "a,b",
    "2001-02-03", "12:30", "2001-02-03T12:30:15", "P1DT2H", "#ff0000", "red", "EUR",
    "DE", "DEU", "de", "5 kg", "10 EUR", "1KB", "Europe/Paris", "192.0.2.1", "YQ==",
    "2001:db8::1", "192.0.2.0/24", "02:00:00:00:00:01", "a@example.com", "a.example",
    "Ann <a@example.com>", "https://example.com/a", "ftp://example.com/a", "file:///a",
    "postgresql://a:b@localhost:5432/c", "redis://localhost:6379/0", "+493012345678",
    "amqp://localhost", "mongodb://localhost:27017/a", "mysql://a@localhost/b",
    "ws://example.com/", "nats://localhost:4222", "clickhouse+http://localhost/a",
    "00000000-0000-4000-8000-000000000001", "01BX5ZZKBKACTAV9WEVGEMMVRZ", "1.2.3",
    "4000000000000002", "978-3-16-148410-0", "1,2", "52.5,13.4",
)  # fmt: skip
# Modules whose types have a text that Pydantic reads again.
_KNOWN = frozenset({"ipaddress", "pathlib", "pydantic", "uuid", "zoneinfo"})


def is_own_reading(found: Facets) -> bool:
    """True if a type, or a mark on it, says itself what a text means."""
    own = hasattr(found.type, "__get_pydantic_core_schema__")
    return own or any(map(_reads, found.marks))


def _reads(mark: t.Any) -> bool:
    if isinstance(mark, _READS):
        return True
    module = type(mark).__module__.partition(".")[0]
    own = hasattr(mark, "__get_pydantic_core_schema__")
    return own and module not in {"pydantic", "annotated_types"}


def proven(where: str, found: Facets, leaf: Leaf, common: dict[str, t.Any]) -> Leaf:
    """Return the field with a text that comes back exactly.

    :param common: The values of the fields that all kinds have.
    :raises DeclarationError: if a text is not read as the value that it shows, or no
        text is known that is read at all.
    """
    if any(isinstance(mark, _UNREAD) for mark in found.marks):
        raise DeclarationError(
            f"{where} has SkipValidation, so what a form sends stays a text. Leave it"
            " out, or write str."
        )
    marked = any(map(_reads, found.marks))
    if found.type in Leaf.by_type and not marked:
        return leaf
    samples = _Samples(where, found, leaf)
    if not samples.values:
        samples.refuse_unknown(is_marked=marked)
        return leaf
    wrong = samples.wrong_of(leaf)
    if wrong is None:
        return samples.relaxed(leaf)
    # A type reads the text that it writes into JSON, but a control of numbers may not.
    kind = type(leaf) if leaf.is_text or leaf.is_hidden else Text
    written = dc.replace(kind.make(found, common), write=samples.write)
    if samples.wrong_of(written) is not None:
        raise DeclarationError(
            f"{where} is {type_name(found.type)}, which does not come back from a form:"
            f" {wrong}. Write Annotated[..., PlainSerializer(...)] with a function that"
            " gives the text that its validator reads."
        )
    return samples.relaxed(written)


class _Samples:
    """Values of a type, validated from texts, examples and the default."""

    def __init__(self, where: str, found: Facets, leaf: Leaf) -> None:
        self._where = where
        self._found = found
        self.takes_blank = False
        self.values: list[t.Any] = []
        try:
            marks = (mark for mark in found.marks if not isinstance(mark, _CHECKS))
            # Annotated takes at least one mark.
            annotated: t.Any = t.Annotated[(found.type, *marks, found.ui)]
            self._adapter = pydantic.TypeAdapter(annotated)
        except (pydantic.PydanticUserError, TypeError):
            return
        for text in (*found.examples, *_TEXTS):
            value = self._read(text)
            # A structure is no value of one control.
            if value is not _FAILED and value is not None:
                self.takes_blank |= text == ""
                self.values.append(value)
        # A default may be written as a text, which is not validated.
        default = self._read(leaf.default) if leaf.default is not None else _FAILED
        if self.values and default is not _FAILED:
            self.values.append(default)

    def _read(self, text: t.Any) -> t.Any:
        try:
            return self._adapter.validate_python(text, strict=False)
        except Exception:  # noqa: BLE001 - a function of the app, which takes no such text
            return _FAILED

    def write(self, value: t.Any) -> t.Any:
        """Return the value as JSON has it; a value of another type as it is."""
        try:
            return self._adapter.dump_python(value, mode="json", warnings=False)
        except Exception:  # noqa: BLE001 - a function of the app
            return value

    def wrong_of(self, leaf: Leaf) -> str | None:
        """A sentence about a value that is lost; ``None`` if all come back."""
        for value in self.values:
            text = leaf.echo(value)
            again = self._read(text)
            if again is _FAILED:
                return f"{value!r} is shown as {text!r}, which is not valid"
            if not self._is_same(again, value):
                return f"{value!r} is shown as {text!r}, which is read as {again!r}"
        return None

    @staticmethod
    def _is_same(one: t.Any, other: t.Any) -> bool:
        return type(one) is type(other) and bool(one == other)

    def relaxed(self, leaf: Leaf) -> Leaf:
        """The field, which a browser does not require where a blank is a value."""
        if not self.takes_blank or leaf.takes_blank:
            return leaf
        attributes = tuple(pair for pair in leaf.attributes if pair[0] != "required")
        return dc.replace(leaf, required=False, takes_blank=True, attributes=attributes)

    def refuse_unknown(self, *, is_marked: bool) -> None:
        """Raise :exc:`DeclarationError` for a type of which no text is known."""
        kind = self._found.type
        module = kind.__module__.partition(".")[0]
        if module in _KNOWN or (is_marked and kind in Leaf.by_type):
            return
        raise DeclarationError(
            f"{self._where} is {type_name(kind)}, and no text is known that is read as"
            " one. Write Field(examples=['...']) with a text that its validator takes;"
            " a type without one needs Annotated[..., BeforeValidator(...),"
            " PlainSerializer(...)]."
        )


_FAILED: t.Any = object()
