from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

import pydantic

from flaskware_core import closest
from flaskware_forms._errors.error import Path
from flaskware_forms._fields.builder import ROW_BUTTON
from flaskware_forms._fields.compile import compile_model
from flaskware_forms._fields.node import Node
from flaskware_forms._fields.scalars import FileInput
from flaskware_forms._fields.structures import Group
from flaskware_forms._markup.names import BUTTON
from flaskware_forms._markup.names import FORM
from flaskware_forms._schema.facets import Text

from .checks import Check

if t.TYPE_CHECKING:
    from flaskware_forms._orm.target import Target
    from flaskware_forms._settings import FormsSettings

M = t.TypeVar("M", bound=pydantic.BaseModel)
Method: t.TypeAlias = t.Literal["post", "get"]


@dc.dataclass(frozen=True)
class Button:
    """A button that sends a form.

    :param text: Its text.
    :param validates: Whether the form is validated. If not, :meth:`Bound.submit` gives
        ``None`` without errors, such as for a button that deletes what is shown.
    """

    text: Text
    validates: bool = True


class CompiledForm(t.Generic[M]):
    """Everything that a form is compiled to, for the package itself.

    :raises TypeError: if the model has a field that no form can have.
    """

    def __init__(
        self,
        model: type[M],
        name: str,
        method: Method = "post",
        buttons: cabc.Mapping[str, Button] | None = None,
    ) -> None:
        # A model with names that were not defined yet is not complete; here it must be.
        model.model_rebuild()
        self.model = model
        self.name = name
        self.method: Method = method
        self.buttons = dict(buttons or {})
        self.schema: Group = compile_model(model)
        self.refuse_fields(ROW_BUTTON, FORM, BUTTON)
        self.decoder = self.schema.decoder
        leaves = tuple(self.schema.leaves())
        # The number of files of each field with files, and their size if declared.
        self.upload_sizes = tuple(
            (n, leaf.max_bytes) for leaf, n in leaves if isinstance(leaf, FileInput)
        )
        if method == "get":
            for leaf, _ in leaves:
                if leaf.is_file or leaf.is_secret:
                    raise TypeError(
                        f"{model.__name__}.{leaf.attribute} is a file or a secret,"
                        " which does not belong in a URL. Leave out method='get'."
                    )
        # True if a button in the form adds something.
        self.has_rows = self.schema.grows
        self.asks_choices = any(leaf.asks_choices for leaf, _ in leaves)
        self.checks: list[Check] = []
        self.validate: cabc.Callable[..., M] = model.model_validate
        self.validate_json: cabc.Callable[..., M] = model.model_validate_json
        # The mapped class that the form writes to, and the error of each constraint.
        self.target: Target | None = None
        self.constraints: dict[str, tuple[Path, str]] = {}

    def refuse_fields(self, *reserved: str) -> None:
        """Raise :exc:`TypeError` if a field has a reserved name."""
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
            group = node.model_group
            children = group.children if group is not None and not node.many else ()
            found = next((c for c in children if c.attribute == attribute), None)
            if found is None:
                names = [child.attribute for child in children]
                close = closest(attribute, names)
                known = f"It has: {', '.join(names)}."
                hint = f"Did you mean {close!r}?" if close else known
                raise ValueError(
                    f"{self.model.__name__} has no field {field!r}. {hint}"
                )
            node = found
            path.append(node.key)
        return attributes, tuple(path)
