"""Fields of any number of values."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

from flaskware_forms._body.decoder import ABSENT
from flaskware_forms._body.decoder import FormTree
from flaskware_forms._errors.error import Path
from flaskware_forms._schema.values import items_of
from flaskware_forms._schema.values import Rows

from .builder import Builder
from .builder import ErrorsAt
from .builder import FieldsetBuilder
from .builder import Row
from .node import Leaves
from .node import Node
from .node import Unoffered

if t.TYPE_CHECKING:
    from .flat_schema import FlatName
    from .flat_schema import Schema
    from .group import Group
    from .place import Place

# Rows beyond are made again each time, so that no request fills the memory.
_KEPT_ENTRIES = 50
# The number of entries that a list without a length of its own is assumed to have.
_USUAL_ENTRIES = 10


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
    """A list, shown as rows."""

    many = True
    builder: t.ClassVar[type[Builder[t.Any]]] = SeriesBuilder

    item: Node
    """The field that each entry is."""

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
        self.item.describe_entries(at, schema.get("items", {}))

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
