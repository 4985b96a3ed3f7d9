"""What is wrong with a form: one list, however it is shown."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

import pydantic
import pydantic_core

from flaskware_forms._schema.nodes import Group
from flaskware_forms._schema.nodes import Leaf
from flaskware_forms._schema.nodes import Node
from flaskware_forms._schema.nodes import Series
from flaskware_forms._schema.nodes import Variants

from .messages import Language

Path: t.TypeAlias = tuple[str | int, ...]


@dc.dataclass(frozen=True)
class FormError:
    """One thing that is wrong with a form.

    :param path: Where, as keys and indexes from the top; empty for the form itself.
    :param code: Stable, for programs: Pydantic's error type, ``"check"`` for a check
        of the application, ``"csrf"``.
    :param message: One sentence, for people.
    """

    path: Path
    code: str
    message: str
    extra: cabc.Mapping[str, t.Any] = dc.field(
        default_factory=dict[str, t.Any], compare=False
    )
    """What a program gets beside the message: both values of a conflict."""

    @property
    def pointer(self) -> str:
        """The path as a JSON pointer in a URI fragment (RFC 6901, section 6)."""
        steps = (str(step).replace("~", "~0").replace("/", "~1") for step in self.path)
        return "#" + "".join(f"/{step}" for step in steps)


def from_validation(
    error: pydantic.ValidationError, schema: Group, language: Language
) -> tuple[FormError, ...]:
    """Every error that Pydantic found, in words for people."""
    return tuple(
        _form_error(item, schema, language)
        for item in error.errors(include_url=False, include_input=True)
    )


def _form_error(
    item: pydantic_core.ErrorDetails, schema: Group, language: Language
) -> FormError:
    path, node = _locate(item["loc"], schema)
    code = item["type"]
    says = code
    if item["input"] == "" and isinstance(node, Leaf) and _is_missing(code, node):
        code = says = "missing"
    elif code == "literal_error" and isinstance(node, Leaf) and not node.choices:
        says = "consent"
    elif code == "value_error" and isinstance(node, Leaf) and node.control == "email":
        code = says = "email"
    context = t.cast("cabc.Mapping[str, t.Any]", item.get("ctx", {}))
    if code in {"too_short", "too_long"} and isinstance(item["input"], str):
        # Pydantic counts the items of a secret; people write characters.
        says = f"string_{code}"
    own = node.messages.get(code) if node is not None else None
    if own is not None:
        return FormError(path, code, str(own).format_map(context))
    message = _own_words(says, item) or language.message(says, context)
    return FormError(path, code, message or item["msg"])


def _own_words(code: str, item: pydantic_core.ErrorDetails) -> str | None:
    """What an app's own validator says."""
    for kind, start in (
        ("value_error", "Value error, "),
        ("assertion_error", "Assertion failed, "),
    ):
        if code == kind:
            return item["msg"].removeprefix(start)
    return None


def _is_missing(code: str, leaf: Leaf) -> bool:
    # A validator of the application may have its own words for an empty text.
    own = code in {"value_error", "assertion_error"} and leaf.control != "email"
    return leaf.required and leaf.control != "file" and not own


def _locate(loc: tuple[str | int, ...], schema: Group) -> tuple[Path, Node | None]:
    """The part of a location that names fields; what follows is Pydantic's inside."""
    node: Node | None = schema
    path: list[str | int] = []
    for step in loc:
        if isinstance(node, Variants):
            # Pydantic puts the chosen model into the location; a body does not.
            case = node.case_of(step)
            if case is not None:
                node = case.group
                continue
        if isinstance(node, Leaf):
            break
        node = child_of(node, step)
        path.append(step)
    return tuple(path), node


def child_of(node: Node | None, step: str | int) -> Node | None:
    """What one step of a path leads to; ``None`` for what is not known."""
    if isinstance(node, Group) and isinstance(step, str):
        return node.by_key.get(step)
    if isinstance(node, Series) and isinstance(step, int):
        return node.item
    return None
