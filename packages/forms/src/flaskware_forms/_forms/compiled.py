from __future__ import annotations

import collections.abc as cabc
import typing as t

import pydantic

from flaskware_core import closest
from flaskware_forms._body.decoder import Decoder
from flaskware_forms._errors.error import Path
from flaskware_forms._markup.groups import ROW_BUTTON
from flaskware_forms._schema.compile import compile_model
from flaskware_forms._schema.nodes import Group
from flaskware_forms._schema.nodes import Leaf
from flaskware_forms._schema.nodes import Node
from flaskware_forms._schema.nodes import Series
from flaskware_forms._schema.nodes import Variants

from .checks import Check
from .checks import has_asked_choices

if t.TYPE_CHECKING:
    from flaskware_forms._orm.target import Target
    from flaskware_forms._settings import FormsSettings

M = t.TypeVar("M", bound=pydantic.BaseModel)

# The number of files that a list without a length of its own is assumed to bring.
_USUAL_FILES = 10


class CompiledForm(t.Generic[M]):
    """Everything that a form is compiled to, for the package itself.

    :raises TypeError: if the model has a field that no form can have.
    """

    def __init__(self, model: type[M], name: str) -> None:
        # A model with names that were not defined yet is not complete; here it must be.
        model.model_rebuild()
        self.model = model
        self.name = name
        self.schema: Group = compile_model(model)
        self.refuse_fields(ROW_BUTTON)
        self.decoder = Decoder(self.schema)
        self.upload_sizes = tuple(_upload_sizes(self.schema))
        """For each field with files: their number, and the size of each if declared."""
        self.has_rows = _has_rows(self.schema)
        """True if a button in the form adds something."""
        self.asks_choices = has_asked_choices(self.schema)
        """True if some field asks for its choices when it is shown."""
        self.checks: list[Check] = []
        self.validate: cabc.Callable[..., M] = model.model_validate
        self.target: Target | None = None
        """The mapped class that the form writes to, if any."""
        self.constraints: dict[str, tuple[Path, str]] = {}
        """The path and the message for each constraint of the database."""

    def refuse_fields(self, *reserved: str) -> None:
        """Refuse a model with a field of a reserved name.

        :raises TypeError: if there is one.
        """
        taken = set(reserved) & set(self.schema.by_key)
        if taken:
            raise TypeError(f"{self.model.__name__} has a field named {taken.pop()!r}.")

    def max_body_size(self, settings: FormsSettings) -> int:
        """The number of bytes that a body may have, its files included."""
        return settings.max_body_size + sum(
            count * (size or settings.max_upload_size)
            for count, size in self.upload_sizes
        )

    def locate(self, field: str | None) -> tuple[tuple[str, ...], Path]:
        """Return the attributes and the path that the dotted name of a field names.

        :param field: ``None`` for the form as a whole.
        :raises ValueError: if there is no such field.
        """
        node: Node = self.schema
        path: list[str | int] = []
        attributes = () if field is None else tuple(field.split("."))
        for attribute in attributes:
            children = node.children if isinstance(node, Group) else ()
            found = next((c for c in children if c.attribute == attribute), None)
            if found is None:
                raise ValueError(_unknown(self.model, str(field), children))
            node = found
            path.append(node.key)
        return attributes, tuple(path)


def _unknown(
    model: type[pydantic.BaseModel], field: str, children: cabc.Iterable[Node]
) -> str:
    names = [child.attribute for child in children]
    close = closest(field.rpartition(".")[2], names)
    hint = f"Did you mean {close!r}?" if close else f"It has: {', '.join(names)}."
    return f"{model.__name__} has no field {field!r}. {hint}"


def _upload_sizes(
    group: Group, times: int = 1
) -> cabc.Iterator[tuple[int, int | None]]:
    """How many files each field may bring, and how large each, if it says."""
    for child in group.children:
        yield from _sizes_of(child, times)


def _sizes_of(node: Node, times: int) -> cabc.Iterator[tuple[int, int | None]]:
    if isinstance(node, Series):
        yield from _sizes_of(node.item, times * (node.max_length or _USUAL_FILES))
    elif isinstance(node, Group):
        # What is inside of itself is reckoned with once.
        if not node.recursive:
            yield from _upload_sizes(node, times)
    elif isinstance(node, Variants):
        for case in node.cases:
            yield from _sizes_of(case.group, times)
    elif isinstance(node, Leaf) and node.control == "file":
        yield times, node.max_bytes


def _has_rows(group: Group) -> bool:
    """Whether there is a button in the form that adds something."""
    return any(map(_can_grow, group.children))


def _can_grow(node: Node) -> bool:
    if isinstance(node, Series):
        return not node.is_one_control
    if isinstance(node, Group):
        return node.recursive or _has_rows(node)
    if isinstance(node, Variants):
        return any(_can_grow(case.group) for case in node.cases)
    return False
