"""All errors of a form in one place, each a link to its control."""

from __future__ import annotations

import collections.abc as cabc

from markupsafe import escape

from ._errors import FormError
from ._errors import Path
from ._markup import Names
from ._schema import Group
from ._schema import Node
from ._schema import Series


def summary(form: str, errors: cabc.Sequence[FormError], schema: Group) -> str:
    """All errors, each a link to its control."""
    if not errors:
        return ""
    items = "".join(
        f"<li>{_summary_item(form, error, schema)}</li>" for error in errors
    )
    id = f"{escape(form)}--errors"
    return (
        f'<div class="form-errors" role="alert" tabindex="-1" id="{id}">'
        f"<p>Nothing was saved yet. Please check:</p><ul>{items}</ul></div>\n"
    )


def _summary_item(form: str, error: FormError, schema: Group) -> str:
    label, node = _label_at(schema, error.path)
    if node is None or not error.path:
        text = f"{label}: {error.message}" if label else error.message
        return str(escape(text))
    path = error.path
    above = _label_at(schema, path[:-1])[1]
    if isinstance(above, Series) and above.is_one_control:
        path = path[:-1]
    if isinstance(node, Group) or (
        isinstance(node, Series) and isinstance(node.item, Group)
    ):
        id = f"{Names(form, path).id}--group"
    else:
        # The first entry of a list has the list's own id.
        id = Names(form, path[:-1] if path[-1] == 0 else path).id
    return f'<a href="#{escape(id)}">{escape(label)}: {escape(error.message)}</a>'


def _label_at(schema: Group, path: Path) -> tuple[str, Node | None]:
    node: Node | None = schema
    labels: list[str] = []
    for step in path:
        if isinstance(node, Series) and isinstance(step, int):
            node = node.item
            labels[-1] += f" {step + 1}"
            continue
        node = node.by_key.get(str(step)) if isinstance(node, Group) else None
        labels.append(str(step) if node is None else node.label)
    return ", ".join(labels), node
