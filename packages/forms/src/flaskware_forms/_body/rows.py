"""Rows of a list that are added and removed by a button, without a script."""

from __future__ import annotations

import re
import typing as t

from flaskware_forms._errors.problem import BadBody
from flaskware_forms._schema.nodes import Group
from flaskware_forms._schema.nodes import Leaf
from flaskware_forms._schema.nodes import Node
from flaskware_forms._schema.nodes import Series
from flaskware_forms._schema.nodes import Variants

from .decoder import Rows

_STEPS = re.compile(r"[.\-]")


def rearrange(
    data: dict[str, t.Any], schema: Group, asked: str, *, max_entries: int
) -> None:
    """Add or remove a row of decoded data.

    :param asked: What the button sends: ``"add:places"`` or ``"remove:places-1"``.
    :raises BadBody: if there is no such list, or no such row.
    """
    kind, _, name = asked.partition(":")
    steps = _STEPS.split(name)
    if kind == "add":
        node, found, parent = _walk(data, schema, steps)
        if isinstance(node, Series) and len(items := _rows(found)) < max_entries:
            limit = node.max_length
            if limit is None or len(items) < limit:
                items.append(None)
            _put(parent, steps[-1], items)
            return
        if isinstance(node, Group):
            _put(parent, steps[-1], {})
            return
    elif kind == "remove" and len(steps) > 1:
        node, found, parent = _walk(data, schema, steps[:-1])
        items = _rows(found)
        index = steps[-1]
        if isinstance(node, Series) and index.isdecimal() and int(index) < len(items):
            del items[int(index)]
            _put(parent, steps[-2], items)
            return
    raise BadBody("There is no such row to add or to remove.")


def _rows(found: t.Any) -> Rows:
    return found if isinstance(found, Rows) else Rows(found or [])


def _walk(data: t.Any, schema: Group, steps: list[str]) -> tuple[Node, t.Any, t.Any]:
    """What a name leads to: its node, its value, and what holds the value."""
    node: Node = schema
    value: t.Any = data
    parent: t.Any = data
    for step in steps:
        if isinstance(node, Variants):
            case = next((case for case in node.cases if case.step == step), None)
            if case is None:
                break
            node = case.group
            continue
        parent = value
        if isinstance(node, Group) and step in node.by_key:
            node = node.by_key[step]
            held = t.cast("dict[str, t.Any]", parent if parent is not None else {})
            value = held.get(step)
        elif isinstance(node, Series) and not isinstance(node.item, Leaf):
            rows = _rows(parent)
            if not step.isdecimal() or int(step) >= len(rows):
                break
            node, value = node.item, rows[int(step)]
        else:
            break
    else:
        return node, value, parent
    raise BadBody("There is no such row to add or to remove.")


def _put(parent: t.Any, step: str, value: t.Any) -> None:
    if isinstance(parent, list):
        t.cast("list[t.Any]", parent)[int(step)] = value
    elif isinstance(parent, dict):
        t.cast("dict[str, t.Any]", parent)[step] = value
    else:
        raise BadBody("There is no such row to add or to remove.")
