from __future__ import annotations

import collections.abc as cabc
import difflib
import functools
import inspect
import re
import typing as t

import pydantic
from flask.typing import ResponseReturnValue

from ._bound import Bound
from ._bound import current_state
from ._csrf import FORM_MARK
from ._decoder import Decoder
from ._errors import FormError
from ._errors import Path
from ._markup import FieldMarkup
from ._schema import compile_model
from ._schema import Group
from ._schema import Leaf
from ._schema import Node
from ._schema import Series

if t.TYPE_CHECKING:
    from ._settings import FormsSettings

M = t.TypeVar("M", bound=pydantic.BaseModel)
P = t.ParamSpec("P")
FieldCheck = t.TypeVar("FieldCheck", bound=cabc.Callable[[t.Any], str | None])
Check: t.TypeAlias = cabc.Callable[[M], str | None]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
# What a list of files without a length of its own is reckoned with.
_USUAL_FILES = 10


class FormSpec(t.Generic[M]):
    """A form, compiled once from a Pydantic model.

    :param model: The declaration.
    :param name: Starts every id in the markup: letters, digits, hyphens.
    :raises TypeError: if the model has a field that no form can have.
    """

    def __init__(self, model: type[M], *, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"The name of a form is letters, digits and hyphens, as it starts ids"
                f" in the markup; given {name!r}."
            )
        for method in ("__bool__", "__len__"):
            if hasattr(model, method):
                raise TypeError(
                    f"{model.__name__} has {method}, so `if data := form.submit():`"
                    " could mistake a right one for a wrong one. Remove it."
                )
        # One with names that were not defined yet is not complete; here they must be.
        model.model_rebuild()
        self.model = model
        self.name = name
        self._schema: Group = compile_model(model)
        self._decoder = Decoder(self._schema)
        self._markup = {
            child.key: FieldMarkup(name, child, (child.key,))
            for child in self._schema.children
        }
        self._uploads = tuple(_upload_sizes(self._schema))
        self._checks: list[tuple[Path | None, cabc.Callable[[t.Any], str | None]]] = []

    def __repr__(self) -> str:
        return f"<FormSpec {self.name!r} of {self.model.__name__}>"

    @t.overload
    def check(self, field: None = None, /) -> cabc.Callable[[Check[M]], Check[M]]: ...

    @t.overload
    def check(self, field: str, /) -> cabc.Callable[[FieldCheck], FieldCheck]: ...

    def check(self, field: str | None = None, /) -> t.Any:
        """Add a check that runs when all types have passed.

        The decorated function gets the value of the field, or the whole model, and
        returns what is wrong with it as a sentence, or ``None``.

        :param field: The name of the field, ``"address.city"`` for a nested one; left
            out for a check of the whole form.
        :raises ValueError: if there is no such field.
        :raises TypeError: if the function is a coroutine function: not supported yet.
        """
        path = None if field is None else self._attribute_path(field)

        def register(function: cabc.Callable[[t.Any], str | None]) -> t.Any:
            if inspect.iscoroutinefunction(function):
                raise TypeError(
                    f"The check {function.__name__} is async, which is not supported"
                    " yet. Write a plain function, or check in the async view and call"
                    " form.add_error()."
                )
            self._checks.append((path, function))
            return function

        return register

    @t.overload
    def handles(
        self,
        view: cabc.Callable[
            t.Concatenate[Bound[M], P], cabc.Awaitable[ResponseReturnValue]
        ],
        /,
    ) -> cabc.Callable[P, cabc.Awaitable[ResponseReturnValue]]: ...

    @t.overload
    def handles(
        self, view: cabc.Callable[t.Concatenate[Bound[M], P], ResponseReturnValue], /
    ) -> cabc.Callable[P, ResponseReturnValue]: ...

    def handles(self, view: t.Any, /) -> t.Any:
        """Decorate a view that gets the form of the request as its first argument.

        The arguments of the route follow it. Put this below the route's decorator.
        """
        if inspect.iscoroutinefunction(view):

            @functools.wraps(view)
            async def handle_async(*args: t.Any, **kwargs: t.Any) -> t.Any:
                form = self.bind()
                return form._guard(await view(form, *args, **kwargs))

            handle: t.Any = handle_async
        else:

            @functools.wraps(view)
            def handle_sync(*args: t.Any, **kwargs: t.Any) -> t.Any:
                form = self.bind()
                return form._guard(view(form, *args, **kwargs))

            handle = handle_sync
        setattr(handle, FORM_MARK, self)
        return handle

    def bind(self, obj: object = None) -> Bound[M]:
        """The form of the current request.

        :param obj: What it shows before anybody typed: an object with the attributes
            of the model, or a mapping.
        :raises NotInitialised: if the app has no :class:`Forms`.
        """
        return Bound(self, current_state(), obj)

    def _max_body_size(self, settings: FormsSettings) -> int:
        """How many bytes a body of this form may have, its files included."""
        return settings.max_body_size + sum(
            count * (size or settings.max_upload_size) for count, size in self._uploads
        )

    def _run_checks(self, data: M) -> cabc.Iterator[FormError]:
        """What the checks of this form say to data whose types have passed."""
        for path, function in self._checks:
            value: t.Any = data
            for attribute in path or ():
                value = None if value is None else getattr(value, str(attribute))
            # A field of an optional group that is not there.
            if path and len(path) > 1 and value is None:
                continue
            message = function(value)
            if message is not None:
                yield FormError(self._key_path(path or ()), "check", message)

    def _key_path(self, attributes: Path) -> Path:
        """The path of a field by the names that a body uses."""
        node: Node = self._schema
        path: list[str | int] = []
        for attribute in attributes:
            if isinstance(node, Group):
                node = next(c for c in node.children if c.attribute == attribute)
                path.append(node.key)
        return tuple(path)

    def _attribute_path(self, field: str) -> Path:
        """Split the dotted name of a field.

        :raises ValueError: if there is no such field.
        """
        node: Node = self._schema
        for attribute in field.split("."):
            children = node.children if isinstance(node, Group) else ()
            found = next((c for c in children if c.attribute == attribute), None)
            if found is None:
                raise ValueError(_unknown(self.model, field, children))
            node = found
        return tuple(field.split("."))


def _unknown(
    model: type[pydantic.BaseModel], field: str, children: cabc.Iterable[Node]
) -> str:
    names = [child.attribute for child in children]
    close = difflib.get_close_matches(field.rpartition(".")[2], names, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"It has: {', '.join(names)}."
    return f"{model.__name__} has no field {field!r}. {hint}"


def _upload_sizes(
    group: Group, times: int = 1
) -> cabc.Iterator[tuple[int, int | None]]:
    """How many files each field may bring, and how large each, if it says."""
    for child in group.children:
        node, count = child, times
        if isinstance(node, Series):
            count *= node.max_length or _USUAL_FILES
            node = node.item
        if isinstance(node, Group):
            yield from _upload_sizes(node, count)
        elif isinstance(node, Leaf) and node.control == "file":
            yield count, node.max_bytes
