"""The markup of a submission: the form, its rows, its hidden inputs, its errors."""

from __future__ import annotations

import typing as t

from markupsafe import escape
from markupsafe import Markup

from flaskware_forms._csrf.layered import hidden_input
from flaskware_forms._markup.theme import safe
from flaskware_forms._orm.edit import version_input

from .summary import summary as summary_of

if t.TYPE_CHECKING:
    from .submission import Submission


def form(
    submission: Submission[t.Any], *, action: str, submit: str | None, live: bool
) -> Markup:
    """The whole form: token, errors, every field and a button."""
    compiled = submission.compiled
    context, _ = submission.markup(live=live)
    kind = ' enctype="multipart/form-data"' if compiled.upload_sizes else ""
    if live:
        target = f' hx-post="{escape(action)}" hx-target="this" hx-swap="outerHTML"'
        kind += f"{target} data-live" + (
            ' hx-encoding="multipart/form-data"' if kind else ""
        )
    where = f' action="{escape(action)}"' if action else ""
    text = context.say("Send") if submit is None else submit
    button = context.theme.button(kind="submit", text=text)
    return safe(
        f'<form method="post" id="{compiled.name}" class="form"{where}{kind}>\n'
        f"{hidden(submission)}\n{summary(submission)}{rows(submission, live=live)}"
        f"{button}\n</form>"
    )


def rows(submission: Submission[t.Any], *, live: bool) -> Markup:
    """Every field, without the form element around them."""
    values, errors = submission.values, submission.errors_by_path
    _, fields = submission.markup(live=live)
    # The Enter key presses the first button of a form, so none that removes a row may
    # come first.
    has_rows = submission.compiled.has_rows
    first = '<button type="submit" hidden></button>' if has_rows else ""
    parts = [field.row(values.get(key), errors) for key, field in fields.items()]
    return safe(first + "".join(parts))


def hidden(submission: Submission[t.Any]) -> str:
    """The hidden inputs: the token, and the version of the object that is shown."""
    return hidden_input() + version_input(submission, submission.compiled.target)


def summary(submission: Submission[t.Any]) -> str:
    """All errors, each a link to its control; empty where there are none."""
    if not submission.errors:
        return ""
    compiled = submission.compiled
    return summary_of(
        compiled.name,
        submission.errors,
        compiled.schema,
        submission.values,
        submission.markup()[0],
    )
