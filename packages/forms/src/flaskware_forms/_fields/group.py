"""Fields of a nested model."""

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
from flaskware_forms._schema.values import look_up
from flaskware_forms._schema.values import NOTHING

from .builder import Builder
from .builder import ErrorsAt
from .builder import FieldsetBuilder
from .node import Node
from .node import Unoffered

if t.TYPE_CHECKING:
    from .flat_schema import FlatName
    from .flat_schema import Schema
    from .place import Place


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
    """A nested model, or the whole form."""

    builder = GroupBuilder

    make: cabc.Callable[[], tuple[Node, ...]]
    """Makes the children when they are first needed, as a model may hold itself."""

    recursive: bool = False
    """True if the model is inside of itself here."""

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
        if self.recursive:
            at.put_below({"type": "string"})
        else:
            at.add_fields(self, schema)

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
