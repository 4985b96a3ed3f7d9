"""Addresses: from the name of a control, or a path, to a field and its value."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

from flaskware_forms._body.decoder import is_index
from flaskware_forms._body.decoder import split
from flaskware_forms._errors.problem import BadBody
from flaskware_forms._markup.names import ControlNames

from .node import Node
from .structures import Group


@dc.dataclass(frozen=True, slots=True)
class Place:
    """A field in one place of one form, and its value there."""

    node: Node
    names: ControlNames
    value: t.Any
    # The dictionary or the list that has the value, and its key or index there.
    holder: t.Any = None
    key: str | int = ""

    def below(
        self, node: Node, names: ControlNames, value: t.Any, key: str | int
    ) -> Place:
        """The place of a field whose value is inside of this value."""
        return Place(node, names, value, self.value, key)

    def put(self, value: t.Any) -> bool:
        """Replace the value; ``False`` if nothing holds it."""
        holder: t.Any = self.holder
        rows = len(t.cast("list[t.Any]", holder)) if isinstance(holder, list) else 0
        if isinstance(holder, dict) or self.key in range(rows):
            t.cast("dict[t.Any, t.Any]", holder)[self.key] = value
            return True
        return False


def steps_of(schema: Group, name: str) -> list[str]:
    """Split the name of a control, unless a field of the form has all of it."""
    return [name] if name in schema.by_key else split(name)


def follow(
    schema: Group, root: ControlNames, steps: cabc.Iterable[str], values: t.Any
) -> Place | None:
    """Return the place that a control's name leads to; ``None`` for no field."""
    place = Place(schema, root, values)
    for step in steps:
        below = place.node.enter(place, step)
        if below is None:
            return None
        place = below
    return None if place.node is schema else place


def rearrange(
    data: dict[str, t.Any],
    schema: Group,
    root: ControlNames,
    asked: str,
    *,
    max_entries: int,
) -> str:
    """Add or remove a row of decoded data, as a button asks for it.

    :param root: The names of the form on its page.
    :param asked: The value of the button: ``"add:places"`` or ``"remove:places-1"``.
    :return: The id of the control that gets the focus.
    :raises BadBody: if there is no such list, or no such row.
    """
    kind, _, name = asked.partition(":")
    steps = steps_of(schema, name)
    index = steps.pop() if kind == "remove" and steps else ""
    place = follow(schema, root, steps, data)
    value: t.Any = None
    if place is not None and kind == "add":
        value = place.node.grown(place.value, max_entries)
    elif place is not None and is_index(index):
        value = place.node.without(place.value, int(index))
    if place is None or value is None or not place.put(value):
        raise BadBody("There is no such row to add or to remove.")
    if kind != "add":
        return f"{place.names.id}--add"
    if isinstance(value, list):
        last = place.node.enter(place, str(len(t.cast("list[t.Any]", value)) - 1))
        place = last or place
    return _first_control(place.node, place.names)


def _first_control(node: Node, names: ControlNames) -> str:
    """The id of the first control of a field that is shown."""
    if isinstance(node, Group) and not node.recursive:
        for child in node.children:
            if not getattr(child, "is_hidden", False):
                return _first_control(child, names.child(child.key))
    return names.id
