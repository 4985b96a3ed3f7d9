"""All errors of a form in one place, each a link to its control."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from markupsafe import escape

from flaskware_forms._errors.error import child_of
from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.error import Path
from flaskware_forms._schema.nodes import Group
from flaskware_forms._schema.nodes import Leaf
from flaskware_forms._schema.nodes import Node
from flaskware_forms._schema.nodes import Series
from flaskware_forms._schema.nodes import Variants
from flaskware_forms._schema.values import chosen_case

from .names import ControlNames
from .theme import RenderContext
from .theme import safe


def error_list(
    form: str,
    errors: cabc.Sequence[FormError],
    schema: Group,
    values: cabc.Mapping[str, t.Any],
    look: RenderContext,
) -> str:
    """All errors, each a link to its control.

    :param values: What the form shows, which tells the chosen models of unions.
    """
    items = "".join(
        f"<li>{_item(form, error, schema, values, look)}</li>" for error in errors
    )
    return look.theme.text(
        "summary",
        id=form,
        text=look.say("Nothing was saved yet. Please check:"),
        items=safe(items),
    )


def _item(
    form: str,
    error: FormError,
    schema: Group,
    values: cabc.Mapping[str, t.Any],
    look: RenderContext,
) -> str:
    label, id = _target(form, error.path, schema, values)
    text = f"{label}: {error.message}" if label else error.message
    return (
        str(escape(text)) if id is None else look.theme.text("link", id=id, text=text)
    )


def _target(
    form: str, path: Path, schema: Group, values: t.Any
) -> tuple[str, str | None]:
    """What a path is called, and the id of what it leads to."""
    node: Node | None = schema
    labels: list[str] = []
    names: ControlNames | None = None
    for step in path:
        if isinstance(node, Variants):
            case = chosen_case(node, values)
            if case is None or names is None:
                break
            node, names = case.group, names.case(case.step)
        if isinstance(node, Series) and node.is_one_control:
            labels[-1] += f" {step}" if isinstance(step, str) else f" {step + 1}"
            break
        below = child_of(node, step)
        values = _below(values, step)
        if below is None:
            return ", ".join([*labels, str(step)]), None
        if isinstance(step, int) and names is not None:
            labels[-1] += f" {step + 1}"
            names = names.entry(step)
        else:
            labels.append(below.label)
            name = str(step)
            names = names.child(name) if names else ControlNames.top(form, name)
        node = below
    if names is None:
        return "", None
    plain = isinstance(node, Leaf | Variants) or (
        isinstance(node, Series) and node.is_one_control
    )
    return ", ".join(labels), names.id if plain else f"{names.id}--group"


def _below(values: t.Any, step: str | int) -> t.Any:
    if isinstance(values, dict):
        return t.cast("dict[str | int, t.Any]", values).get(step)
    if isinstance(values, list) and isinstance(step, int):
        rows = t.cast("list[t.Any]", values)
        return rows[step] if step < len(rows) else None
    return None
