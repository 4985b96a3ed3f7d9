"""Fields of entries by key and by position: dictionaries, and tuples of one length."""
# ruff: noqa: ARG002 - the base of all kinds decides the arguments

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import typing as t

import pydantic

from flaskware_forms._body.decoder import FormTree
from flaskware_forms._body.decoder import is_index
from flaskware_forms._errors.error import Path
from flaskware_forms._markup.names import ControlNames
from flaskware_forms._markup.theme import RenderContext
from flaskware_forms._schema.values import items_of
from flaskware_forms._schema.values import KEY
from flaskware_forms._schema.values import NOTHING
from flaskware_forms._schema.values import Pairs
from flaskware_forms._schema.values import VALUE

from .builder import Builder
from .builder import ErrorsAt
from .input import Leaf
from .node import Node
from .node import Unoffered
from .structures import Group
from .structures import Series
from .structures import SeriesBuilder

if t.TYPE_CHECKING:
    from .flat_schema import FlatName
    from .flat_schema import Schema
    from .place import Place


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Pair(Group):
    """A row of a dictionary: a key and a value."""

    @property
    def holds_itself(self) -> bool:
        value = self.by_key[VALUE]
        shown = not (isinstance(value, Group) and value.on_request)
        return shown and value.holds_itself


class MappingBuilder(SeriesBuilder):
    """A row for each key, with its value."""

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        return super().control(self.node.listed(value), errors)


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Mapping(Series):
    """A dictionary: in JSON an object, on a page rows of a key and a value.

    :param adapter: Validates a key, as keys that differ may be the same for their type.
    """

    builder: t.ClassVar[type[Builder[t.Any]]] = MappingBuilder
    adapter: pydantic.TypeAdapter[t.Any]

    @property
    def keys(self) -> Leaf:
        return t.cast("Leaf", self._row.by_key[KEY])

    @property
    def values(self) -> Node:
        """The field of each value."""
        return self._row.by_key[VALUE]

    @property
    def _row(self) -> Group:
        return t.cast("Group", self.item)

    def decode(self, tree: FormTree | None, keep: bool) -> t.Any:
        found = super().decode(tree, keep)
        if not isinstance(found, list):
            return found
        rows = t.cast("list[t.Any]", found)
        return Pairs(rows, [*self._repeated(rows)])

    def _repeated(self, rows: list[t.Any]) -> cabc.Iterator[int]:
        seen: list[t.Any] = []
        for index, row in enumerate(rows):
            if row is None:
                continue
            key = row.get(KEY, "")
            with contextlib.suppress(pydantic.ValidationError):
                key = self.adapter.validate_python(key)
            if key in seen:
                yield index
            seen.append(key)

    def listed(self, value: t.Any) -> t.Any:
        if isinstance(value, Pairs):
            return value.rows
        if isinstance(value, cabc.Mapping):
            pairs = t.cast("cabc.Mapping[t.Any, t.Any]", value).items()
            return [{KEY: key, VALUE: each} for key, each in pairs]
        return value

    def initial_from(self, value: t.Any) -> t.Any:
        if isinstance(value, cabc.Mapping):
            return Pairs(super().initial_from(self.listed(value)), [])
        return None if value is None and self.nullable else Pairs([], [])

    def patched(self, sent: t.Any, current: t.Any) -> t.Any:
        if not isinstance(sent, dict) or not isinstance(current, cabc.Mapping):
            return t.cast("t.Any", sent)
        before = t.cast("cabc.Mapping[t.Any, t.Any]", current)
        found: dict[str, t.Any] = {
            self.keys.shown(key): self.values.initial_from(value)
            for key, value in before.items()
        }
        for key, value in t.cast("dict[str, t.Any]", sent).items():
            if value is None:
                found.pop(key, None)
            else:
                found[key] = self.values.patched(value, before.get(key))
        return found

    def guarded(self, sent: t.Any, source: object, *, for_page: bool = False) -> t.Any:
        if isinstance(sent, Pairs):
            rows = super().guarded(sent.rows, None, for_page=for_page)
            return Pairs(rows, sent.repeated)
        if isinstance(sent, dict):
            pairs = t.cast("dict[str, t.Any]", sent).items()
            guard = self.values.guarded
            return {k: guard(each, None, for_page=for_page) for k, each in pairs}
        return sent

    def unoffered(self, value: t.Any, path: Path) -> Unoffered:
        for key, each in t.cast("dict[t.Any, t.Any]", value or {}).items():
            at = (*path, self.keys.shown(key))
            yield from self.keys.unoffered(key, (*at, "[key]"))
            yield from self.values.unoffered(each, at)

    def describe(self, at: FlatName, schema: Schema) -> None:
        # A bound of the keys has the values under a pattern.
        patterns: Schema = schema.get("patternProperties", {})
        value = next(iter(patterns.values()), schema.get("additionalProperties", {}))
        row: Schema = {
            "properties": {KEY: self.adapter.json_schema(), VALUE: value},
            "required": [KEY, VALUE],
        }
        super().describe(at, {"items": row, "minItems": schema.get("minProperties")})

    def child(self, step: str | int) -> Node | None:
        return self.values

    @property
    def model_group(self) -> Group | None:
        return None


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Positions(Group):
    """A tuple of one length: a field for each position, with its index as key."""

    def fields_of(self, value: t.Any) -> dict[str, t.Any]:
        return {str(index): each for index, each in enumerate(items_of(value))}

    def step_of(self, key: str) -> str | int:
        return int(key) if is_index(key) else key

    def decode(self, tree: FormTree | None, keep: bool) -> t.Any:
        found = super().decode(tree, keep)
        if not isinstance(found, dict):
            return found
        fields = t.cast("dict[str, t.Any]", found)
        # Positions that a form does not have at the end are missing for Pydantic too.
        length = max((int(key) + 1 for key in fields), default=0)
        return [fields.get(str(index)) for index in range(length)]

    def _zipped(self, value: t.Any) -> list[tuple[Node, t.Any]]:
        entries = items_of(value)
        entries += [NOTHING] * (len(self.children) - len(entries))
        return [*zip(self.children, entries, strict=False)]

    def initial_fields(self, source: t.Any) -> dict[str, t.Any]:
        return {
            child.key: child.initial_from(child.initial() if each is NOTHING else each)
            for child, each in self._zipped(source)
        }

    def initial_from(self, value: t.Any) -> t.Any:
        found = super().initial_from(value)
        return None if found is None else [*found.values()]

    def guarded(self, sent: t.Any, source: object, *, for_page: bool = False) -> t.Any:
        if not isinstance(sent, list):
            return sent
        rest = t.cast("list[t.Any]", sent)
        return [
            child.guarded(each, None, for_page=for_page)
            for child, each in zip(self.children, rest, strict=False)
        ] + rest[len(self.children) :]

    def unoffered(self, value: t.Any, path: Path) -> Unoffered:
        for index, (child, each) in enumerate(self._zipped(value)):
            if each is not NOTHING:
                yield from child.unoffered(each, (*path, index))

    def build_fields(
        self, names: ControlNames, context: RenderContext
    ) -> dict[str, Builder[t.Any]]:
        return {
            child.key: child.build(names.entry(index), context)
            for index, child in enumerate(self.children)
        }

    def describe(self, at: FlatName, schema: Schema) -> None:
        inner = at.optional() if self.nullable or not at.needed else at
        for index, each in enumerate(schema.get("prefixItems", ())):
            inner.entry(index).add(self.children[index], each)

    def child(self, step: str | int) -> Node | None:
        return self.by_key.get(str(step))

    def enter(self, place: Place, step: str) -> Place | None:
        child = self.by_key.get(step)
        if child is None:
            return None
        index = int(step)
        value = self.fields_of(place.value).get(step)
        return place.below(child, place.names.entry(index), value, index)

    @property
    def model_group(self) -> Group | None:
        return None
