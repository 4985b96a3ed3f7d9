"""Fields of several values: models, lists of them, and unions of models."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import functools
import typing as t
from urllib.parse import urlencode

import pydantic

from flaskware_forms._body.decoder import ABSENT
from flaskware_forms._body.decoder import BLANK
from flaskware_forms._body.decoder import Decoded
from flaskware_forms._body.decoder import Decoder
from flaskware_forms._body.decoder import EMPTY
from flaskware_forms._body.decoder import EXISTS
from flaskware_forms._body.decoder import FormTree
from flaskware_forms._body.decoder import is_index
from flaskware_forms._body.decoder import read_extras
from flaskware_forms._body.decoder import Reader
from flaskware_forms._body.decoder import SHOWN
from flaskware_forms._errors.error import Path
from flaskware_forms._markup.names import ControlNames
from flaskware_forms._markup.theme import RenderContext
from flaskware_forms._schema.values import fields_in
from flaskware_forms._schema.values import items_of
from flaskware_forms._schema.values import look_up
from flaskware_forms._schema.values import NOTHING
from flaskware_forms._schema.values import Rows
from flaskware_forms._schema.values import text_of

from .builder import Builder
from .builder import ErrorsAt
from .builder import FieldsetBuilder
from .builder import hidden
from .builder import Row
from .node import Leaves
from .node import Node
from .node import Texts
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
        node = self.node
        if value is None and node.on_request:
            # A model inside of itself is shown only once it is asked for.
            say = self.context.say
            return self.button("add", self.names, say("Add"), self.plain_text)
        values = node.initial_fields(None) if value is None else node.fields_of(value)
        rows = "".join(
            field.row(values.get(key), errors) for key, field in self._fields.items()
        )
        if node.nullable or self.is_entry:
            return rows + "".join(
                hidden(f"{self.names.name}.{SHOWN}", text)
                for text in node.remarks(value, values)
            )
        return rows


def _filled(texts: Texts) -> Texts:
    """Yield the texts that are not blank, and that controls show."""
    hint = f".{SHOWN}"
    return ((n, text) for n, text in texts if text and not n.endswith(hint))


def _emptiness(texts: Texts) -> cabc.Iterator[str]:
    """Yield what a page says of a row that is no entry, unless the row is blank."""
    shown = [*_filled(texts)]
    if shown:
        yield EMPTY + urlencode(shown)


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Group(Node):
    """A nested model, or the whole form.

    :param make: Makes the fields on first use, as a model may hold itself.
    :param recursive: True if the model is inside of itself here.
    :param takes_extras: True if it keeps what none of its fields has.
    """

    builder = GroupBuilder
    make: cabc.Callable[[], tuple[Node, ...]]
    recursive: bool = False
    takes_extras: bool = False

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
            {
                c.key: Reader(c.reader(), c.absent, c.takes_locale)
                for c in self.children
                if not c.nested
            },
            {c.key: c for c in self.children if c.nested},
        )

    def fields_of(self, value: t.Any) -> dict[str, t.Any]:
        """The values of its fields by key; none for a value of another type."""
        return fields_in(value)

    def step_of(self, key: str) -> str | int:
        """The step of a path that leads to a field."""
        return key

    def decode(self, tree: FormTree | None, keep: bool) -> t.Any:
        if tree is None and self.has_default:
            return ABSENT
        if self.nullable and (tree is None or tree.is_empty()):
            return None
        return self.decode_fields(tree or FormTree(), keep)

    def decode_fields(
        self, tree: FormTree, keep: bool, known: cabc.Container[str] = ()
    ) -> Decoded:
        """Read its fields, and what else there is if it keeps that.

        :param known: Other names that have a meaning here.
        """
        data = self.decoder.decode_tree(tree, keep)
        if self.takes_extras:
            extras = {
                step: below.values
                for step, below in tree.children.items()
                if step not in self.by_key and step not in known
            }
            data.update(read_extras(extras))
        return data

    def is_extra(self, step: str, below: FormTree) -> bool:
        """True if a name here is none of a field, and is kept."""
        return self.takes_extras and step not in self.by_key and not below.children

    def strays(self, tree: FormTree, path: Path) -> cabc.Iterator[Path]:
        if any(tree.values):
            yield path
        for step, below in tree.children.items():
            child, at = self.by_key.get(step), (*path, self.step_of(step))
            if child is None:
                if not self.is_extra(step, below):
                    yield at
            else:
                yield from child.strays(below, at)

    @property
    def on_request(self) -> bool:
        """True if a page shows it only once it is asked for."""
        return self.recursive and self.nullable

    def texts(self, name: str, value: t.Any) -> Texts:
        if value is None and self.on_request:
            return
        values = self.initial_fields(None) if value is None else self.fields_of(value)
        if self.nullable:
            says = self.remarks(value, values)
            yield from ((f"{name}.{SHOWN}", text) for text in says)
        yield from self.fields_texts(name, values)

    def fields_texts(self, name: str, values: dict[str, t.Any]) -> Texts:
        """Yield the names and the texts of its fields."""
        for child in self.children:
            below = f"{name}.{child.key}" if name else child.key
            yield from child.texts(below, values.get(child.key))

    def remarks(self, value: t.Any, fields: dict[str, t.Any]) -> cabc.Iterator[str]:
        """Yield what a page says beside its fields, where they do not show it.

        An optional model, or a row, is one or is none. A browser sends the same for one
        without content as for none, and for one with its defaults as for an empty row.

        :param fields: The values that the page shows.
        """
        texts = self.fields_texts("", fields)
        if value is None:
            yield from _emptiness(texts)
        elif not any(_filled(texts)):
            yield EXISTS

    def row_marks(self, value: t.Any) -> cabc.Iterator[str]:
        blank = value is None
        fields = self.initial_fields(None) if blank else self.fields_of(value)
        return self.remarks(value, fields)

    def unoffered(self, value: t.Any, path: Path) -> Unoffered:
        # A value that nobody sent was not chosen, and may be offered no more.
        sent: t.Any = getattr(value, "model_fields_set", None)
        for child in self.children if value is not None else ():
            if not child.locked and (sent is None or child.attribute in sent):
                found = getattr(value, child.attribute, None)
                yield from child.unoffered(found, (*path, child.key))

    def guarded(self, sent: t.Any, source: object, *, for_page: bool = False) -> t.Any:
        if not isinstance(sent, dict):
            return sent
        values = dict(t.cast("dict[str, t.Any]", sent))
        for child in self.children:
            found = look_up(source, child.attribute, child.key)
            if child.locked:
                before = values.pop(child.key, NOTHING)
                values.pop(child.attribute, None)
                if found is NOTHING and for_page:
                    found = child.initial() if before is NOTHING else before
                if found is not NOTHING:
                    values[child.key] = child.initial_from(found)
            elif child.key in values:
                below = None if found is NOTHING else found
                value = child.guarded(values[child.key], below, for_page=for_page)
                values[child.key] = value
        return values

    def initial_from(self, value: t.Any) -> t.Any:
        # A model inside of itself ends where the values end.
        if value is None and (self.recursive or self.nullable):
            return None
        return self.initial_fields(value)

    def completed(
        self, values: cabc.Mapping[str, t.Any], source: t.Any
    ) -> dict[str, t.Any]:
        """The values of a body, and those of an object for what the body lacks."""
        unsent = values.unsent if isinstance(values, Decoded) else ()
        found = dict(values)
        for child in self.children:
            key, group = child.key, child.model_group
            below = look_up(source, child.attribute, key)
            if key not in found or key in unsent:
                value = child.initial() if below is NOTHING else below
                found[key] = child.initial_from(value)
            elif group and group is child and isinstance(found[key], dict):
                below = None if below is NOTHING else below
                found[key] = group.completed(found[key], below)
        return found

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

    def merged(self, body: cabc.Mapping[str, t.Any], source: t.Any) -> dict[str, t.Any]:
        """A JSON body, and an object's values for what it does not name (RFC 7396)."""
        found = dict(body)
        for child, current in self._current(source):
            key = child.key
            if key in body:
                found[key] = child.patched(body[key], current)
            else:
                found[key] = child.initial_from(current)
        return found

    def patched(self, sent: t.Any, current: t.Any) -> t.Any:
        if self.model_group is None or not isinstance(sent, dict):
            return sent
        return self.merged(t.cast("dict[str, t.Any]", sent), current)

    def forget_merged(
        self, data: pydantic.BaseModel, body: cabc.Mapping[str, t.Any]
    ) -> None:
        """Take what a body does not name from the fields that count as set."""
        for child in self.children:
            group, value = child.model_group, getattr(data, child.attribute, None)
            if child.key not in body:
                data.model_fields_set.discard(child.attribute)
            elif group and group is child and isinstance(value, pydantic.BaseModel):
                group.forget_merged(value, fields_in(body[child.key]))

    def _current(self, source: t.Any) -> cabc.Iterator[tuple[Node, t.Any]]:
        for child in self.children:
            current = look_up(source, child.attribute, child.key)
            if current is not NOTHING:
                yield child, current

    def shown(self, value: t.Any) -> t.Any:
        values = self.fields_of(value)
        return {c.key: c.shown(values.get(c.key)) for c in self.children}

    def build_fields(
        self, names: ControlNames, context: RenderContext
    ) -> dict[str, Builder[t.Any]]:
        """Make the markup of each field, by key."""
        return {c.key: c.build(names.child(c.key), context) for c in self.children}

    def relaxed(self) -> Node:
        return dc.replace(self, make=lambda: tuple(c.relaxed() for c in self.children))

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
        self._entries: dict[tuple[int, bool, bool], Row] = {}
        self.make_presence(f"{self.names.name}.{SHOWN}")

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        node = self.node
        values = node.rows_of(value)
        numbered = node.is_numbered(values)
        # An empty row that nobody asked for needs no button to remove it.
        filled = len(items_of(value))
        rows = "".join(
            self._entry(index, numbered, index < filled)(item, errors)
            for index, item in enumerate(values)
        )
        rows = self.presence_for(value) + rows
        if node.max_length is not None and len(values) >= node.max_length:
            return rows
        add = self.context.say("Add")
        return rows + self.button("add", self.names, add, self.plain_text)

    def _entry(self, index: int, numbered: bool, removable: bool) -> Row:
        row = self._entries.get((index, numbered, removable))
        if row is None:
            row = self._make_entry(index, numbered, removable)
            if index < _KEPT_ENTRIES:
                self._entries[index, numbered, removable] = row
        return row

    def _make_entry(self, index: int, numbered: bool, removable: bool) -> Row:
        names = self.names.entry(index)
        label = f"{self.plain_text} {index + 1}"
        remove = self.context.say("Remove")
        button = self.button("remove", names, remove, label) if removable else ""
        if not numbered:
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
            if self.has_default:
                return ABSENT
            return None if self.nullable else Rows() if keep else []
        keep = keep and not self.one_control
        entries = self.item.decode_entries(tree, keep)
        if keep:
            rows = Rows(entries)
            rows.exists = tree.shown == EXISTS
            return rows
        no_list = self.nullable and not entries and tree.shown != EXISTS
        return None if no_list else entries

    def strays(self, tree: FormTree, path: Path) -> cabc.Iterator[Path]:
        if self.item.nested and any(tree.values):
            yield path
        for step, below in tree.children.items():
            if is_index(step):
                yield from self.item.strays(below, (*path, int(step)))
            else:
                yield (*path, step)

    def texts(self, name: str, value: t.Any) -> Texts:
        rows = self.rows_of(value)
        numbered = self.is_numbered(rows)
        yield f"{name}.{SHOWN}", self.existence(value)
        for index, row in enumerate(rows):
            below = f"{name}-{index}" if numbered else name
            yield from self.item.texts(below, row)
            if self.item.nested:
                says = self.item.row_marks(row)
                yield from ((f"{below}.{SHOWN}", text) for text in says)
            elif row is not None and not text_of(row):
                yield f"{below}.{SHOWN}", EXISTS

    def existence(self, value: t.Any) -> str:
        """The value of the hidden input beside the rows, which an empty list needs."""
        value = self.listed(value)
        if value is None or any(row is not None for row in items_of(value)):
            return ""
        return EXISTS if not isinstance(value, Rows) or value.exists else ""

    def listed(self, value: t.Any) -> t.Any:
        """The list that stands for a value of its type."""
        return value

    def rows_of(self, value: t.Any) -> list[t.Any]:
        """The rows that a page shows for a value; ``None`` for an empty row."""
        value = self.listed(value)
        values = items_of(value)
        if isinstance(value, Rows):
            return values
        if not self.item.nested:
            values = [BLANK if item is None else item for item in values]
        # A model inside of itself has no empty rows, or there would be no end.
        count = len(values) + (0 if self.item.holds_itself else self.blank_rows)
        if self.max_length is not None:
            count = max(len(values), min(count, self.max_length))
        return values + [None] * (count - len(values))

    def is_numbered(self, rows: cabc.Iterable[t.Any]) -> bool:
        """True if each row has a name of its own, and not all of them one name."""
        # Under one name a blank entry and an empty row are the same.
        return self.item.nested or any(
            self.item.is_marked(row) or (row is not None and not text_of(row))
            for row in rows
        )

    def leaves(self, times: int = 1) -> Leaves:
        yield from self.item.leaves(times * (self.max_length or _USUAL_ENTRIES))

    def guarded(self, sent: t.Any, source: object, *, for_page: bool = False) -> t.Any:  # noqa: ARG002
        if not isinstance(sent, list):
            return sent
        # A row has no object that is known here, so its locked fields have defaults.
        rows = t.cast("list[t.Any]", sent)
        kind = type(rows)
        return kind(self.item.guarded(row, None, for_page=for_page) for row in rows)

    def unoffered(self, value: t.Any, path: Path) -> Unoffered:
        for index, item in enumerate(value or ()):
            yield from self.item.unoffered(item, (*path, index))

    def initial_from(self, value: t.Any) -> t.Any:
        if value is None and self.nullable:
            return None
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
        if not is_index(step) or len(step) > 9:
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
        rows = _rows(self.listed(value))
        if len(rows) >= max_entries:
            return None
        if self.max_length is None or len(rows) < self.max_length:
            rows.append(None)
        return rows

    def without(self, value: t.Any, index: int) -> t.Any:
        rows = _rows(self.listed(value))
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
            template = self.context.template("case", "option", "control", text=label)
            found.append((case, start, end, template))
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
        others = self.node.initial_cases(chosen)
        sent = fields_in(value)
        state = self.input_state(errors)
        parts: list[str] = []
        for case, start, end, template in self._frames:
            here = case is chosen
            fields = ""
            values = sent if here else others.get(case.step)
            if values is not None:
                fields = "".join(
                    builder.row(values.get(key), errors if here else {})
                    for key, builder in self._fields_of(case).items()
                )
            ticked = " checked" if here else ""
            option = f"{start}{ticked}{state}>{end}"
            parts.append(template.format(option=option, control=fields))
        if self.node.nullable:
            none = self.context.say("None of these")
            start, end = self.option(len(self.node.cases), self._tag, "", none)
            ticked = "" if chosen is not None else " checked"
            parts.append(f"{start}{ticked}{state}>{end}")
        if self.is_entry:
            name = f"{self.names.name}.{SHOWN}"
            parts.extend(hidden(name, text) for text in self.node.row_marks(value))
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
        known = {self.tag, *(each.step for each in self.cases)}
        data = case.group.decode_fields(tree, keep, known)
        return {self.tag: case.choice.value, **data}

    def strays(self, tree: FormTree, path: Path) -> cabc.Iterator[Path]:
        if any(tree.values):
            yield path
        steps = {case.step: case.group for case in self.cases}
        for step, below in tree.children.items():
            if step in steps:
                yield from steps[step].strays(below, path)
                continue
            found = [case.group for case in self.cases if step in case.group.by_key]
            if found:
                yield from found[0].by_key[step].strays(below, (*path, step))
            elif (step != self.tag or below.children) and not any(
                case.group.is_extra(step, below) for case in self.cases
            ):
                yield (*path, step)

    def row_marks(self, value: t.Any) -> cabc.Iterator[str]:
        return iter(()) if value is not None else _emptiness(self.texts("", None))

    def initial_cases(self, chosen: Case | None) -> dict[str, dict[str, t.Any]]:
        """The values of the models that are not chosen, by step."""
        return {
            case.step: case.group.initial_fields(None)
            for case in self.cases
            if case is not chosen and not case.group.recursive
        }

    def texts(self, name: str, value: t.Any) -> Texts:
        chosen = self.chosen(value)
        values, others = fields_in(value), self.initial_cases(chosen)
        start = f"{name}." if name else ""
        if chosen is not None or self.nullable:
            yield f"{start}{self.tag}", chosen.choice.text if chosen else ""
        for case in self.cases:
            found = values if case is chosen else others.get(case.step)
            if found is not None:
                yield from case.group.fields_texts(f"{start}{case.step}", found)

    def guarded(self, sent: t.Any, source: object, *, for_page: bool = False) -> t.Any:
        case = self.chosen(sent)
        if case is None:
            return sent
        own = case.group.guarded(sent, source, for_page=for_page)
        return {self.tag: fields_in(sent)[self.tag], **own}

    def unoffered(self, value: t.Any, path: Path) -> Unoffered:
        case = self.case_of(getattr(value, self.tag_attribute, None))
        if case is not None:
            yield from case.group.unoffered(value, path)

    def initial_from(self, value: t.Any) -> t.Any:
        case = self.case_of(look_up(value, self.tag_attribute, self.tag))
        if case is None:
            return None
        return {self.tag: case.choice.value, **case.group.initial_fields(value)}

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
