"""Fields of several values: models, lists of them, and unions of models."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import functools
import typing as t

from flaskware_forms._body.decoder import ABSENT
from flaskware_forms._body.decoder import Decoder
from flaskware_forms._body.decoder import FormTree
from flaskware_forms._errors.error import Path
from flaskware_forms._markup.names import ControlNames
from flaskware_forms._markup.theme import RenderContext
from flaskware_forms._schema.values import fields_in
from flaskware_forms._schema.values import items_of
from flaskware_forms._schema.values import look_up
from flaskware_forms._schema.values import NOTHING
from flaskware_forms._schema.values import Rows

from .builder import Builder
from .builder import ErrorsAt
from .builder import FieldsetBuilder
from .builder import Row
from .node import Leaves
from .node import Node
from .node import Unoffered

if t.TYPE_CHECKING:
    from .choice import Offer
    from .flat_schema import FlatName
    from .flat_schema import Schema
    from .place import Place

# Rows beyond are made again each time, so that no request fills the memory.
_KEPT_ENTRIES = 50
# The number of entries that a list without a length of its own is assumed to have.
_USUAL_ENTRIES = 10


class GroupBuilder(FieldsetBuilder["Group"]):
    """The fields of a nested model."""

    kind = "group"

    @functools.cached_property
    def _fields(self) -> dict[str, Builder[t.Any]]:
        return self.node.build_fields(self.names, self.context)

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        if value is None and self.node.recursive and self.node.nullable:
            # A model inside of itself is shown only once it is asked for.
            say = self.context.say
            return self.button("add", self.names.name, say("Add"), self.plain_text)
        values = fields_in(value)
        return "".join(
            field.row(values.get(key), errors) for key, field in self._fields.items()
        )


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Group(Node):
    """A nested model, or the whole form.

    :param make: Makes the fields on first use, as a model may hold itself.
    :param recursive: True if the model is inside of itself here.
    """

    builder = GroupBuilder
    make: cabc.Callable[[], tuple[Node, ...]]
    recursive: bool = False

    @functools.cached_property
    def children(self) -> tuple[Node, ...]:
        """The fields of the model."""
        return self.make()

    @functools.cached_property
    def by_key(self) -> dict[str, Node]:
        """The children by their names in a body."""
        return {child.key: child for child in self.children}

    @property
    def inner(self) -> tuple[Node, ...]:
        return () if self.recursive else self.children

    @functools.cached_property
    def decoder(self) -> Decoder:
        """The decoder of the model."""
        return Decoder(
            [(c.key, c.reader()) for c in self.children if not c.nested],
            {c.key: c.decode for c in self.children if c.nested},
        )

    def decode(self, tree: FormTree | None, keep: bool) -> t.Any:
        if tree is None and (self.has_default or self.recursive):
            return ABSENT
        if self.nullable and (tree is None or (tree.is_blank() and not keep)):
            return None
        return self.decoder.decode_tree(tree or FormTree(), keep)

    def unoffered(self, value: t.Any, path: Path) -> Unoffered:
        for child in self.children if value is not None else ():
            found = getattr(value, child.attribute, None)
            yield from child.unoffered(found, (*path, child.key))

    def initial_from(self, value: t.Any) -> t.Any:
        # A model inside of itself ends where the values end.
        if value is None and self.recursive:
            return None
        return self.initial_fields(value)

    def initial_fields(self, source: t.Any) -> dict[str, t.Any]:
        """The values by key, from an object's attributes or a mapping.

        A value that the source lacks comes from the declaration.
        """
        values: dict[str, t.Any] = {}
        for child in self.children:
            found = look_up(source, child.attribute, child.key)
            value = child.initial() if found is NOTHING else found
            values[child.key] = child.initial_from(value)
        return values

    def shown(self, value: t.Any) -> t.Any:
        values = fields_in(value)
        return {c.key: c.shown(values.get(c.key)) for c in self.children}

    def build_fields(
        self, names: ControlNames, context: RenderContext
    ) -> dict[str, Builder[t.Any]]:
        """Make the markup of each field, by key."""
        return {c.key: c.build(names.child(c.key), context) for c in self.children}

    def relaxed(self, *, defaults: bool) -> Node:
        return dc.replace(
            self,
            make=lambda: tuple(c.relaxed(defaults=defaults) for c in self.children),
        )

    @property
    def grows(self) -> bool:
        return self.recursive or super().grows

    @property
    def holds_itself(self) -> bool:
        return self.recursive

    def describe(self, at: FlatName, schema: Schema) -> None:
        # A model inside of itself ends here, or there would be no end.
        if not self.recursive:
            optional = self.nullable or not at.needed
            (at.optional() if optional else at).add_fields(self, schema)

    def child(self, step: str | int) -> Node | None:
        return self.by_key.get(step) if isinstance(step, str) else None

    def enter(self, place: Place, step: str) -> Place | None:
        child = self.by_key.get(step)
        if child is None:
            return None
        value = fields_in(place.value).get(step)
        return place.below(child, place.names.child(step), value, step)

    def anchor(self, id: str) -> str:
        return f"{id}--group"

    @property
    def model_group(self) -> Group | None:
        return self

    def grown(self, value: t.Any, max_entries: int) -> t.Any:  # noqa: ARG002
        return {}


class SeriesBuilder(FieldsetBuilder["Series"]):
    """The rows of a list, and empty rows after them."""

    kind = "list"

    def prepare(self) -> None:
        self._entries: dict[int, Row] = {}
        # A model inside of itself has no empty rows, or there would be no end.
        self._blank_rows = 0 if self.node.item.holds_itself else self.node.blank_rows

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        values = items_of(value)
        limit = self.node.max_length
        if not isinstance(value, Rows):
            count = len(values) + self._blank_rows
            if limit is not None:
                count = max(len(values), min(count, limit))
            values.extend([None] * (count - len(values)))
        rows = "".join(
            self._entry(index)(item, errors) for index, item in enumerate(values)
        )
        if limit is not None and len(values) >= limit:
            return rows
        add = self.context.say("Add")
        return rows + self.button("add", self.names.name, add, self.plain_text)

    def _entry(self, index: int) -> Row:
        row = self._entries.get(index)
        if row is None:
            row = self._make_entry(index)
            if index < _KEPT_ENTRIES:
                self._entries[index] = row
        return row

    def _make_entry(self, index: int) -> Row:
        names = self.names.entry(index)
        label = f"{self.plain_text} {index + 1}"
        remove = self.context.say("Remove")
        button = self.button("remove", names.name, remove, label)
        if not self.node.item.nested:
            # Entries share a name; their order is that of the page.
            names = dc.replace(names, name=self.names.name)
        item = self.node.item.as_entry(label)
        return item.build(names, self.context).entry_row(button)


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Series(Node):
    """A list of a field, shown as rows."""

    many = True
    builder: t.ClassVar[type[Builder[t.Any]]] = SeriesBuilder

    item: Node
    blank_rows: int
    max_length: int | None

    @property
    def inner(self) -> tuple[Node, ...]:
        return (self.item,)

    def decode(self, tree: FormTree | None, keep: bool) -> t.Any:
        if tree is None:
            # A browser sends nothing for a list of boxes of which none is ticked.
            return ABSENT if self.nullable else Rows() if keep else []
        keep = keep and not self.one_control
        entries = self.item.decode_entries(tree, keep)
        if keep:
            return Rows(entries)
        return None if self.nullable and not entries else entries

    def leaves(self, times: int = 1) -> Leaves:
        yield from self.item.leaves(times * (self.max_length or _USUAL_ENTRIES))

    def unoffered(self, value: t.Any, path: Path) -> Unoffered:
        for index, item in enumerate(value or ()):
            yield from self.item.unoffered(item, (*path, index))

    def initial_from(self, value: t.Any) -> t.Any:
        if not isinstance(value, cabc.Iterable) or isinstance(value, str | bytes):
            return []
        entries = t.cast("cabc.Iterable[t.Any]", value)
        return [self.item.initial_from(entry) for entry in entries]

    def shown(self, value: t.Any) -> t.Any:
        return [self.item.shown(entry) for entry in items_of(value)]

    @property
    def grows(self) -> bool:
        return not self.one_control

    def describe(self, at: FlatName, schema: Schema) -> None:
        required = bool(schema.get("minItems")) and at.needed
        self.item.describe_entries(at, schema, required)

    def child(self, step: str | int) -> Node | None:
        return self.item if isinstance(step, int) else None

    def enter(self, place: Place, step: str) -> Place | None:
        if not step.isdecimal() or len(step) > 9:
            return None
        index = int(step)
        rows = items_of(place.value)
        value = rows[index] if index < len(rows) else None
        return place.below(self.item, place.names.entry(index), value, index)

    def anchor(self, id: str) -> str:
        return id if self.one_control else f"{id}--group"

    @property
    def model_group(self) -> Group | None:
        return self.item.model_group if not self.item.many else None

    def grown(self, value: t.Any, max_entries: int) -> t.Any:
        rows = _rows(value)
        if len(rows) >= max_entries:
            return None
        if self.max_length is None or len(rows) < self.max_length:
            rows.append(None)
        return rows

    def without(self, value: t.Any, index: int) -> t.Any:
        rows = _rows(value)
        if index >= len(rows):
            return None
        del rows[index]
        return rows


def _rows(value: t.Any) -> Rows:
    return value if isinstance(value, Rows) else Rows(value or [])


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A model of a union, and the value of the discriminator that stands for it.

    :param step: Its step in the names of controls, so that two models share no name.
    """

    choice: Offer
    step: str
    group: Group


class VariantsBuilder(FieldsetBuilder["Variants"]):
    """A radio button for each model, and its fields below."""

    kind = "union"
    input_kind = "radio"

    def prepare(self) -> None:
        self._tag = self.names.child(self.node.tag).name
        self._fields: dict[str, dict[str, Builder[t.Any]]] = {}

    @functools.cached_property
    def _frames(self) -> list[tuple[Case, str, str, str]]:
        found: list[tuple[Case, str, str, str]] = []
        for index, case in enumerate(self.node.cases):
            text, label = case.choice.text, str(case.choice.label)
            start, end = self.option(index, self._tag, text, label)
            before, between, after = self.context.theme.frame(
                "case", "option", "control", text=label
            )
            found.append((case, before + start, end + between, after))
        return found

    def _fields_of(self, case: Case) -> dict[str, Builder[t.Any]]:
        found = self._fields.get(case.step)
        if found is None:
            names = self.names.case(case.step)
            found = case.group.build_fields(names, self.context)
            self._fields[case.step] = found
        return found

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        chosen = self.node.chosen(value)
        sent = fields_in(value)
        state = self.input_state(errors)
        parts: list[str] = []
        for case, start, middle, end in self._frames:
            here = case is chosen
            fields = ""
            if here or not case.group.recursive:
                values = sent if here else case.group.initial_fields(None)
                fields = "".join(
                    builder.row(values.get(key), errors if here else {})
                    for key, builder in self._fields_of(case).items()
                )
            ticked = " checked" if here else ""
            parts.append(f"{start}{ticked}{state}>{middle}{fields}{end}")
        if self.node.nullable:
            none = self.context.say("None of these")
            start, end = self.option(len(self.node.cases), self._tag, "", none)
            ticked = "" if chosen is not None else " checked"
            parts.append(f"{start}{ticked}{state}>{end}")
        return "".join(parts)


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Variants(Node):
    """A union of models.

    :param tag: The key of the field that distinguishes them.
    """

    builder = VariantsBuilder
    tag: str
    tag_attribute: str
    cases: tuple[Case, ...]

    @property
    def inner(self) -> tuple[Node, ...]:
        return tuple(case.group for case in self.cases)

    @functools.cached_property
    def by_text(self) -> dict[str, Case]:
        """The models by the text that a form sends for them."""
        return {case.choice.text: case for case in self.cases}

    def case_of(self, tag: t.Any) -> Case | None:
        for case in self.cases:
            if tag == case.choice.value or tag == case.choice.text:
                return case
        return None

    def chosen(self, value: t.Any) -> Case | None:
        """The model that is shown for a value."""
        return self.case_of(fields_in(value).get(self.tag))

    def decode(self, tree: FormTree | None, keep: bool) -> t.Any:
        if tree is None and self.has_default:
            return ABSENT
        tags = tree.children.get(self.tag) if tree is not None else None
        # The last, so that a hidden input may stand before radio buttons.
        tag = tags.values[-1] if tags is not None and tags.values else ""
        if tree is None or not tag:
            if self.nullable and (tree is None or tree.is_blank() or tags):
                return None
            return {}
        case = self.by_text.get(tag)
        if case is None:
            return {self.tag: tag}
        own = tree.children.get(case.step)
        if own is not None:
            # Each model has names of its own in our markup; others write "pay.iban".
            tree = FormTree(tree.values, {**tree.children, **own.children})
        data = case.group.decoder.decode_tree(tree, keep)
        return {self.tag: case.choice.value, **data}

    def unoffered(self, value: t.Any, path: Path) -> Unoffered:
        case = self.case_of(getattr(value, self.tag_attribute, None))
        if case is not None:
            yield from case.group.unoffered(value, path)

    def initial_from(self, value: t.Any) -> t.Any:
        case = self.case_of(look_up(value, self.tag_attribute, self.tag))
        if case is None:
            return None
        return {self.tag: case.choice.text, **case.group.initial_fields(value)}

    def describe(self, at: FlatName, schema: Schema) -> None:
        options = schema.get("oneOf", [])
        mapping = schema.get("discriminator", {}).get("mapping", {})
        cases: dict[str, tuple[Group, Schema]] = {}
        for index, case in enumerate(self.cases):
            text = case.choice.text
            own = mapping.get(text)
            # A model has several cases if its tag has several values.
            cases[text] = case.group, {"$ref": own} if own else options[index]
        at.put_cases(self.tag, cases, self.nullable or not at.needed)

    def enter(self, place: Place, step: str) -> Place | None:
        for case in self.cases:
            if case.step == step:
                names = place.names.case(step)
                return dc.replace(place, node=case.group, names=names)
        return None

    def choose(self, place: Place) -> Place | None:
        case = self.chosen(place.value)
        return None if case is None else self.enter(place, case.step)
