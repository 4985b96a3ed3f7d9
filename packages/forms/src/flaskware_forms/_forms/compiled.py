from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

import pydantic

from flaskware_core import closest
from flaskware_core import DeclarationError
from flaskware_forms._errors.error import Path
from flaskware_forms._fields.builder import ROW_BUTTON
from flaskware_forms._fields.choice import Choice
from flaskware_forms._fields.compile import compile_model
from flaskware_forms._fields.node import Node
from flaskware_forms._fields.scalars import FileInput
from flaskware_forms._fields.structures import Group
from flaskware_forms._fields.structures import Series
from flaskware_forms._fields.structures import Variants
from flaskware_forms._markup.names import BUTTON
from flaskware_forms._markup.names import FORM
from flaskware_forms._schema.facets import Text
from flaskware_forms._schema.values import look_up
from flaskware_forms._schema.values import NOTHING

from .checks import Check
from .checks import EACH

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

    :raises DeclarationError: if the model has a field that no form can have.
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
        if method == "post":
            # The usual name of the token (WTF_CSRF_FIELD_NAME).
            self.refuse_fields("csrf_token")
        if method == "get":
            for leaf, _ in leaves:
                if leaf.is_file or leaf.is_secret:
                    raise DeclarationError(
                        f"{model.__name__}.{leaf.attribute} is a file or a secret,"
                        " which does not belong in a URL. Leave out method='get'."
                    )
        # True if a button in the form adds something.
        self.has_rows = self.schema.grows
        self.has_locked = _locks(self.schema)
        self.has_keys = _has_keys(self.schema)
        self.asked_choices = tuple(
            leaf for leaf, _ in leaves if isinstance(leaf, Choice) and leaf.asks_choices
        )
        self.checks: list[Check] = []
        self.validate: cabc.Callable[..., M] = model.model_validate
        self.validate_json: cabc.Callable[..., M] = model.model_validate_json
        # The mapped class that the form writes to, and the error of each constraint.
        self.target: Target | None = None
        self.constraints: dict[str, tuple[Path, str]] = {}

    def refuse_fields(self, *reserved: str) -> None:
        """Raise :exc:`DeclarationError` if a field has a reserved name."""
        taken = set(reserved) & set(self.schema.by_key)
        if taken:
            raise DeclarationError(
                f"{self.model.__name__} has a field named {taken.pop()!r}, which is a"
                " name of the form itself. Write another name, or an alias."
            )

    def max_body_size(self, settings: FormsSettings) -> int:
        """The number of bytes that a body may have, its files included."""
        return settings.max_body_size + sum(
            count * (size or settings.max_upload_size)
            for count, size in self.upload_sizes
        )

    def locate(
        self, field: str | None, *, rows: t.Literal["no", "each", "number"] = "no"
    ) -> tuple[tuple[str, ...], Path]:
        """Return the attributes and the path that the dotted name of a field names.

        :param field: ``None`` for the form as a whole.
        :param rows: Whether the name may lead into rows: into each of them, or into
            that of a number.
        :raises DeclarationError: if there is no such field.
        """
        node: Node = self.schema
        attributes: list[str] = []
        path: list[str | int] = []
        for part in () if field is None else field.split("."):
            if node.keys is not None and rows == "each":
                raise DeclarationError(
                    f"{field!r} leads into the dictionary {node.attribute!r}. Check it"
                    f" as a whole, as {node.attribute!r}."
                )
            if isinstance(node, Series) and rows != "no":
                if rows == "number" and not (part.isdecimal() and len(part) < 10):
                    raise DeclarationError(
                        f"{field!r} leads into the rows of {node.attribute!r} without"
                        f" saying which. Write {'.'.join((*attributes, '0', part))!r}"
                        " for the first."
                    )
                is_step = rows == "number" or part == EACH
                attributes.append(part if rows == "number" else EACH)
                path.append(int(part) if rows == "number" else EACH)
                node = node.item
                if is_step:
                    continue
            children = () if node.many else _fields_of(node)
            found = next((c for c in children if c.attribute == part), None)
            if found is None:
                names = [child.attribute for child in children]
                close = closest(part, names)
                known = f"It has: {', '.join(names)}." if names else ""
                if isinstance(node, Series):
                    known = (
                        f"{node.attribute} is a list, whose rows are not named here."
                    )
                hint = f"Did you mean {close!r}?" if close else known
                raise DeclarationError(
                    f"{self.model.__name__} has no field {field!r}. {hint}".rstrip()
                )
            node = found
            attributes.append(part)
            path.append(node.key)
        return tuple(attributes), tuple(path)

    def guarded(self, sent: t.Any, source: object) -> t.Any:
        """The data to validate: nobody sends a field that cannot be changed.

        :param source: The object that the form shows.
        :raises RuntimeError: if such a field has no value at all.
        """
        if not self.has_locked or not isinstance(sent, dict):
            return sent
        for child in self.schema.children:
            known = look_up(source, child.attribute, child.key) is not NOTHING
            if child.locked and not child.has_default and not known:
                raise RuntimeError(
                    f"{self.model.__name__}.{child.attribute} cannot be changed and has"
                    " no default. Call form.fill(obj) before form.submit()."
                )
        return self.schema.guarded(t.cast("dict[str, t.Any]", sent), source)


def _fields_of(node: Node) -> tuple[Node, ...]:
    """The fields of a model, or of the models of a union."""
    if isinstance(node, Variants):
        return tuple(c for case in node.cases for c in case.group.children)
    return () if node.model_group is None else node.model_group.children


def _has_keys(node: Node) -> bool:
    return node.keys is not None or any(map(_has_keys, node.inner))


def _locks(node: Node) -> bool:
    return node.locked or any(map(_locks, node.inner))
