"""Fields with a fixed set of values, one or several of which are chosen."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import enum
import typing as t

from markupsafe import escape

from flaskware_forms._body.decoder import EXISTS
from flaskware_forms._body.decoder import Read
from flaskware_forms._body.decoder import SHOWN
from flaskware_forms._body.decoder import translating
from flaskware_forms._errors.error import Path
from flaskware_forms._schema.facets import Facets
from flaskware_forms._schema.facets import humanise
from flaskware_forms._schema.facets import Text
from flaskware_forms._schema.values import items_of
from flaskware_forms._schema.values import text_of

from .builder import attributes_text
from .builder import ErrorsAt
from .builder import FieldsetBuilder
from .builder import hidden
from .input import InputBuilder
from .input import Leaf
from .node import Texts
from .node import Unoffered
from .structures import Series


@dc.dataclass(frozen=True)
class Offer:
    """One of a fixed set of values."""

    text: str
    label: Text
    value: t.Any


def offers_of(found: Facets) -> tuple[Offer, ...]:
    """The fixed set of values that a type has; empty for other types."""
    values: list[tuple[t.Any, str]]
    if t.get_origin(found.type) is t.Literal:
        values = [(value, str(value)) for value in t.get_args(found.type)]
    elif isinstance(found.type, type) and issubclass(found.type, enum.Enum):
        values = [(member, member.name) for member in found.type]
    else:
        return ()
    return tuple(
        Offer(
            text := str(value.value if isinstance(value, enum.Enum) else value),
            found.ui.labels.get(text) or humanise(name),
            value,
        )
        for value, name in values
    )


class SelectBuilder(InputBuilder["Choice"]):
    """A ``<select>`` of one value."""

    def prepare(self) -> None:
        super().prepare()
        self._start = f'<select id="{self.id}" name="{self.name}"{self.attributes}'
        blank = self.node.nullable or not self.node.has_default
        self._blank = '<option value=""></option>' if blank else ""
        self._options = _options(self.node.choices)
        self._asks = self.node.asks_choices

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        chosen = text_of(value)
        state = self.state(invalid=self.path in errors)
        found = _options(self.node.offers()) if self._asks else self._options
        options = "".join(
            selected if text == chosen else plain for text, plain, selected in found
        )
        return f"{self._start}{state}>{self._blank}{options}</select>"


def _options(offers: cabc.Iterable[Offer]) -> list[tuple[str, str, str]]:
    """The text of each choice, and its markup without and with being chosen."""
    found: list[tuple[str, str, str]] = []
    for offer in offers:
        start = f'<option value="{escape(offer.text)}"'
        end = f">{escape(str(offer.label))}</option>"
        found.append((offer.text, start + end, f"{start} selected{end}"))
    return found


class OffersBuilder(FieldsetBuilder["Radio | Boxes"]):
    """A radio button for each choice, or a box to tick for a list of choices."""

    def prepare(self) -> None:
        node = self.node
        self.kind = "checkboxes" if node.many else "radio"
        self.input_kind = "checkbox" if node.many else "radio"
        choice = node.item if isinstance(node, Boxes) else node
        self.choice = t.cast("Choice", choice)
        self.attrs = self.context.live_attributes(self.names.name)
        self._boxes = self._make(self.choice.choices)
        name = self.names.name
        self.presence, self._exists = (
            hidden(f"{name}.{SHOWN}" if node.many else name, existence)
            for existence in ("", EXISTS)
        )

    def _make(self, offers: cabc.Iterable[Offer]) -> list[tuple[str, str, str]]:
        name = self.names.name
        attributes = attributes_text(self.choice.attributes)
        return [
            (o.text, *self.option(index, name, o.text, str(o.label), attributes))
            for index, o in enumerate(offers)
        ]

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        entries = items_of(value) if self.node.many else [value]
        chosen = set(map(text_of, entries))
        state = self.input_state(errors)
        choice = self.choice
        boxes = self._make(choice.offers()) if choice.asks_choices else self._boxes
        exists = isinstance(self.node, Boxes) and self.node.existence(value)
        return (self._exists if exists else self.presence) + "".join(
            f"{start}{' checked' if text in chosen else ''}{state}>{after}"
            for text, start, after in boxes
        )


class Boxes(Series):
    """A list of several choices."""

    one_control = True
    builder = OffersBuilder

    def texts(self, name: str, value: t.Any) -> Texts:
        yield f"{name}.{SHOWN}", self.existence(value)
        chosen = set(map(text_of, items_of(value)))
        for offer in t.cast("Choice", self.item).offers():
            if offer.text in chosen:
                yield name, offer.text


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Choice(Leaf):
    """One of a fixed set of values."""

    series = Boxes
    choices: tuple[Offer, ...] = ()
    source: cabc.Callable[[], cabc.Iterable[t.Any]] | None = None
    """Gives the choices when they are shown: values, or pairs of value and label."""

    @classmethod
    def options(cls, found: Facets) -> dict[str, t.Any]:
        return {"choices": offers_of(found), "source": found.ui.choices}

    @property
    def asks_choices(self) -> bool:
        return self.source is not None

    def offers(self) -> tuple[Offer, ...]:
        """The choices, asked for if they are not fixed."""
        if self.source is None:
            return self.choices
        found: list[Offer] = []
        for item in self.source():
            # A row of a query is a sequence, if not always a tuple.
            several = isinstance(item, cabc.Sequence) and not isinstance(item, str)
            pair = t.cast("list[t.Any]", [*item] if several else [item])
            text = text_of(pair[0])
            found.append(Offer(text, str(pair[-1]) if len(pair) > 1 else text, pair[0]))
        return tuple(found)

    def reader(self) -> Read:
        if not self.choices:
            return super().reader()
        meanings = {choice.text: choice.value for choice in self.choices}
        return translating(super().reader(), meanings)

    def unoffered(self, value: t.Any, path: Path) -> Unoffered:
        if self.source is None or value is None:
            return
        if text_of(value) not in {offer.text for offer in self.offers()}:
            yield path, self


class Select(Choice, control="select"):
    """A choice from a list that opens."""

    builder = SelectBuilder


class Radio(Choice, control="radio"):
    """A choice among radio buttons."""

    builder = OffersBuilder
    one_control = True

    def reader(self) -> Read:
        read = super().reader()
        # The first is of the hidden input that says that the page shows the buttons.
        return lambda values: read(
            values[1:] if values[:1] == [""] != values else values
        )

    def texts(self, name: str, value: t.Any) -> Texts:
        yield name, ""
        if value is not None:
            yield name, text_of(value)
