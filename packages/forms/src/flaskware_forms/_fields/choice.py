"""Fields with a fixed set of values, one or several of which are chosen."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import enum
import inspect
import typing as t

from markupsafe import escape

from flaskware_forms._body.decoder import converting
from flaskware_forms._body.decoder import Read
from flaskware_forms._body.decoder import SHOWN
from flaskware_forms._body.decoder import translating
from flaskware_forms._body.decoder import with_line_feeds
from flaskware_forms._errors.error import Path
from flaskware_forms._exchanges.current import active_exchange
from flaskware_forms._exchanges.exchange import Exchange
from flaskware_forms._markup.theme import Attributes
from flaskware_forms._markup.theme import ChoiceParts
from flaskware_forms._schema.facets import Choices
from flaskware_forms._schema.facets import Facets
from flaskware_forms._schema.facets import humanise
from flaskware_forms._schema.facets import Text
from flaskware_forms._schema.facets import Word
from flaskware_forms._schema.values import choice_text
from flaskware_forms._schema.values import items_of
from flaskware_forms._schema.values import key_of
from flaskware_forms._schema.values import text_of

from .builder import attributes_text
from .builder import Builder
from .builder import ErrorsAt
from .builder import FieldsetBuilder
from .input import InputBuilder
from .input import Leaf
from .node import Texts
from .node import Unoffered
from .structures import Series

_BLANK_OPTION = '<option value=""></option>'
_CHOOSING = frozenset({"radio", "select"})


@dc.dataclass(frozen=True)
class Offer:
    """One of a fixed set of values."""

    text: str
    label: Text
    value: t.Any
    group: str = ""
    """The label of its group, if it is in one."""


_YES_OR_NO = (
    Offer("true", Word("Yes"), value=True), Offer("false", Word("No"), value=False),
)  # fmt: skip


def offers_of(found: Facets) -> tuple[Offer, ...]:
    """The fixed set of values that a type has; empty for other types."""
    values: list[tuple[t.Any, str]]
    labels = found.ui.labels
    if found.type is bool and (found.nullable or found.ui.widget in _CHOOSING):
        # A checkbox has two states, and none that says "not answered".
        return tuple(
            dc.replace(each, label=labels.get(each.text) or each.label)
            for each in _YES_OR_NO
        )
    if t.get_origin(found.type) is t.Literal:
        values = [(value, choice_text(value)) for value in t.get_args(found.type)]
    elif isinstance(found.type, type) and issubclass(found.type, enum.Enum):
        values = [(member, member.name) for member in found.type]
    else:
        return ()
    group_of = {text: group for group, of in found.ui.groups.items() for text in of}
    return tuple(
        Offer(
            text := choice_text(value),
            labels.get(text) or humanise(name),
            value,
            group_of.get(text, ""),
        )
        for value, name in values
    )


Source: t.TypeAlias = "cabc.Callable[[], Choices | cabc.Awaitable[Choices]]"


def _asked_offers(items: cabc.Iterable[t.Any], group: str = "") -> cabc.Iterator[Offer]:
    """Yield the choices that a function of the app gives."""
    if isinstance(items, cabc.Mapping):
        groups = t.cast("cabc.Mapping[str, cabc.Iterable[t.Any]]", items)
        for label, inner in groups.items():
            yield from _asked_offers(inner, str(label))
        return
    for item in items:
        value, label = item, ""
        # A row of a query is a sequence, if not always a tuple.
        if isinstance(item, cabc.Sequence) and not isinstance(item, str):
            pair = t.cast("cabc.Sequence[t.Any]", item)
            value, label = pair[0], str(pair[-1]) if len(pair) > 1 else ""
        key = key_of(value)
        text = text_of(key)
        yield Offer(text, label or (text if key is value else str(value)), key, group)


class SelectBuilder(InputBuilder[t.Any]):
    """A ``<select>`` of one value or of several."""

    is_input = False

    def prepare(self) -> None:
        super().prepare()
        many = " multiple" if self.node.many else ""
        self._start = (
            f'<select{many} id="{self.id}" name="{self.name}"{self.attributes}'
        )
        choice = t.cast("Choice", self.leaf)
        blank = not many and (choice.nullable or not choice.has_default)
        self._blank = _BLANK_OPTION if blank else ""
        self._options = self._make(choice.choices)
        self._choice = choice
        if many:
            self.make_presence(f"{self.names.name}.{SHOWN}")

    def presence_for(self, value: t.Any) -> str:
        return Builder.presence_for(self, value)

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        chosen = set(map(text_of, items_of(value) if self.node.many else [value]))
        state = self.state(invalid=bool(errors and self.found(errors)))
        choice = self._choice
        found = self._make(choice.offers()) if choice.asks_choices else self._options
        options = "".join(
            selected if text in chosen else plain for text, plain, selected in found
        )
        blank = self._blank
        if not blank and not self.node.many:
            # Or a browser would choose the first for a value that is not offered.
            blank = "" if any(text in chosen for text, *_ in found) else _BLANK_OPTION
        start = f"{self.presence_for(value)}{self._start}"
        return f"{start}{state}>{blank}{options}</select>"

    def attributes_for(self, errors: ErrorsAt) -> Attributes:
        found = super().attributes_for(errors)
        return Attributes(multiple=None, **found) if self.node.many else found

    def value_for(self, value: t.Any) -> t.Any:
        return [*map(text_of, items_of(value))] if self.node.many else text_of(value)

    def choices_for(self, value: t.Any, errors: ErrorsAt) -> tuple[ChoiceParts, ...]:  # noqa: ARG002
        chosen = set(map(text_of, items_of(value) if self.node.many else [value]))
        offers = self._choice.offers()
        unknown = not self.node.many and chosen.isdisjoint(o.text for o in offers)
        blank = [Offer("", "", None)] if self._blank or unknown else []
        return tuple(
            ChoiceParts(
                offer.text,
                self.context.words(offer.label),
                offer.group,
                offer.text in chosen,
                "",
                Attributes(),
            )
            for offer in (*blank, *offers)
        )

    def _make(self, offers: cabc.Iterable[Offer]) -> list[tuple[str, str, str]]:
        """The text of each choice, and its markup without and with being chosen."""
        found: list[tuple[str, str, str]] = []
        group = ""
        for offer in offers:
            start, end = f'<option value="{escape(offer.text)}"', "</option>"
            if offer.group != group:
                close = "</optgroup>" if group else ""
                label = escape(offer.group)
                start = (
                    f'{close}<optgroup label="{label}">{start}'
                    if label
                    else (f"{close}{start}")
                )
                group = offer.group
            end = f">{escape(self.context.words(offer.label))}{end}"
            found.append((offer.text, start + end, f"{start} selected{end}"))
        if group:
            # The text of no choice, as the end of a group is never chosen.
            found.append(("\0", "</optgroup>", ""))
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
        self.make_presence(f"{name}.{SHOWN}" if node.many else name)

    def _make(self, offers: cabc.Iterable[Offer]) -> list[tuple[str, str, str]]:
        name = self.names.name
        attributes = attributes_text(self.choice.attributes)
        return [
            (text, *self.option(index, name, text, label, attributes))
            for index, (text, label) in enumerate(self._labels(offers))
        ]

    def _labels(self, offers: cabc.Iterable[Offer]) -> list[tuple[str, str]]:
        found = [(o.text, self.context.words(o.label)) for o in offers]
        if not self.node.many and self.choice.nullable:
            # A radio button cannot be un-chosen, so there is another to choose.
            found.insert(0, ("", self.context.say("None of these")))
        return found

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        entries = items_of(value) if self.node.many else [value]
        chosen = set(map(text_of, entries))
        state = self.input_state(errors)
        choice = self.choice
        boxes = self._make(choice.offers()) if choice.asks_choices else self._boxes
        return self.presence_for(value) + "".join(
            f"{start}{' checked' if text in chosen else ''}{state}>{after}"
            for text, start, after in boxes
        )

    def value_for(self, value: t.Any) -> t.Any:
        return [*map(text_of, items_of(value))] if self.node.many else text_of(value)

    def choices_for(self, value: t.Any, errors: ErrorsAt) -> tuple[ChoiceParts, ...]:
        chosen = set(map(text_of, items_of(value) if self.node.many else [value]))
        invalid = {"aria-invalid": "true"} if self.found(errors) else {}
        found: list[ChoiceParts] = []
        for index, (text, label) in enumerate(self._labels(self.choice.offers())):
            id = f"{self.names.id}-{index}" if index else self.names.id
            ticked: dict[str, None] = {"checked": None} if text in chosen else {}
            attributes = Attributes(
                type=self.input_kind, id=id, name=self.names.name, value=text
            )
            for more in (dict(self.choice.attributes), ticked, invalid):
                attributes.update(more)
            found.append(ChoiceParts(text, label, "", bool(ticked), id, attributes))
        return tuple(found)


class Boxes(Series):
    """A list of several choices."""

    one_control = True
    builder: t.ClassVar[type[Builder[t.Any]]] = OffersBuilder

    def texts(self, name: str, value: t.Any) -> Texts:
        yield f"{name}.{SHOWN}", self.existence(value)
        for text in t.cast("Choice", self.item).offered(*items_of(value)):
            yield name, text


class MultiSelect(Boxes):
    """A list of several choices in one select."""

    builder = SelectBuilder


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Choice(Leaf):
    """One of a fixed set of values."""

    series = Boxes
    choices: tuple[Offer, ...] = ()
    source: Source | None = None
    """Gives the choices when they are shown: values, or pairs of value and label."""

    @classmethod
    def options(cls, found: Facets) -> dict[str, t.Any]:
        return {"choices": offers_of(found), "source": found.ui.choices}

    @classmethod
    def refuses_blank(cls, found: Facets) -> bool:
        return all(offer.text for offer in offers_of(found))

    @property
    def asks_choices(self) -> bool:
        return self.source is not None

    def offers(self) -> tuple[Offer, ...]:
        """The choices, asked for if they are not fixed."""
        source = self.source
        if source is None:
            return self.choices
        exchange = active_exchange()
        if exchange is None:
            return tuple(_asked_offers(t.cast("Choices", source())))
        # Once per request, however many values and places ask for them.
        asked: dict[t.Any, tuple[Offer, ...]] = exchange.offers
        found = asked.get(source)
        if found is None:
            items: t.Any
            if inspect.iscoroutinefunction(source):
                items = exchange.run(source)
            else:
                items = source()
            found = asked[source] = tuple(_asked_offers(items))
        return found

    async def async_ask(self, exchange: Exchange) -> None:
        """Ask for the choices before they are shown, if that is to be awaited."""
        source = self.source
        if inspect.iscoroutinefunction(source) and source not in exchange.offers:
            exchange.offers[source] = tuple(_asked_offers(await source()))

    def offered(self, *values: t.Any) -> cabc.Iterator[str]:
        """Yield what a browser sends for each of some values that is offered."""
        chosen = set(map(text_of, values))
        for offer in self.offers():
            if offer.text in chosen:
                yield offer.text.replace("\n", "\r\n")

    def initial_from(self, value: t.Any) -> t.Any:
        return key_of(value)

    def reader(self) -> Read:
        read = converting(super().reader(), with_line_feeds)
        meanings = {choice.text: choice.value for choice in self.choices}
        return translating(read, meanings) if meanings else read

    def texts(self, name: str, value: t.Any) -> Texts:
        yield name, next(self.offered(value), "")

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
        for text in self.offered(value):
            yield name, text
