"""What a declaration says about how a field looks."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

Widget: t.TypeAlias = t.Literal[
    "text", "textarea", "password", "hidden", "radio", "select", "search", "tel"
]


@dc.dataclass(frozen=True, kw_only=True)
class Ui:
    """How a field looks in a form; goes into ``Annotated[...]``.

    :param label: What the field is called. By default its name, made readable.
    :param hint: A sentence below the label, tied to the control for screen readers.
    :param autocomplete: A token of the HTML autocomplete attribute, such as
        ``"new-password"``.
    :param widget: Another control than the type's own.
    :param placeholder: An example inside of the empty control.
    :param rows: The height of a textarea, or how many empty inputs a list offers.
    :param labels: The label of each choice, by its value as text.
    :param choices: Called whenever the field is shown or checked, gives what may be
        chosen: values, or pairs of a value and its label, such as the rows of a query.
    :param messages: What is said for an error, by its stable code, instead of the
        usual sentence; ``{limit}``-like names are those of Pydantic's error.
    """

    label: str | None = None
    hint: str | None = None
    autocomplete: str | None = None
    widget: Widget | None = None
    placeholder: str | None = None
    rows: int | None = None
    labels: cabc.Mapping[str, str] = dc.field(
        default_factory=dict[str, str], hash=False
    )
    choices: cabc.Callable[[], cabc.Iterable[t.Any]] | None = None
    messages: cabc.Mapping[str, str] = dc.field(
        default_factory=dict[str, str], hash=False
    )


def humanise(name: str) -> str:
    """Turn ``"given_name"`` or ``"GIVEN_NAME"`` into ``"Given name"``."""
    text = name.replace("_", " ").replace("-", " ").strip()
    if text.isupper():
        text = text.lower()
    return text[:1].upper() + text[1:]
