"""All errors of a form in one place, each a link to its control."""

from __future__ import annotations

import typing as t

from markupsafe import escape

from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.error import Path
from flaskware_forms._fields.place import Place
from flaskware_forms._markup.theme import RenderContext
from flaskware_forms._markup.theme import safe

if t.TYPE_CHECKING:
    from .submission import Submission


def summary(submission: Submission[t.Any]) -> str:
    """All errors, each a link to its control."""
    form = submission.compiled
    context, _ = submission.markup()
    # The values name the chosen models of unions.
    root = Place(form.schema, submission.root, submission.values)
    errors = submission.errors
    items = "".join(f"<li>{_item(error, root, context)}</li>" for error in errors)
    return context.text(
        "summary",
        id=submission.root.id,
        text=context.say("Nothing was saved yet. Please check:"),
        items=safe(items),
    )


def _item(error: FormError, root: Place, context: RenderContext) -> str:
    label, id = _target(root, error.path)
    text = f"{label}: {error.message}" if label else error.message
    if id is None:
        return str(escape(text))
    return context.text("link", id=id, text=text)


def _target(place: Place, path: Path) -> tuple[str, str | None]:
    """The label of a path, and the id that it leads to."""
    labels: list[str] = []
    for step in path:
        number = f" {step + 1}" if isinstance(step, int) else f" {step}"
        chosen = place.node.choose(place)
        if chosen is None:
            break
        place = chosen
        if place.node.one_control:
            labels[-1] += number
            break
        below = place.node.enter(place, str(step))
        if below is None:
            return ", ".join([*labels, str(step)]), None
        if isinstance(step, int):
            labels[-1] += number
        else:
            labels.append(str(below.node.label))
        place = below
    if not place.names.path:
        return "", None
    return ", ".join(labels), place.node.anchor(place.names.id)
