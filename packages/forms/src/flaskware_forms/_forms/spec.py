from __future__ import annotations

import collections.abc as cabc
import difflib
import functools
import inspect
import re
import typing as t

import flask
import pydantic
from flask.typing import ResponseReturnValue

from flaskware_forms._body.decoder import Decoder
from flaskware_forms._csrf.layered import FORM_MARK
from flaskware_forms._errors.error import Path
from flaskware_forms._markup.groups import ROW_BUTTON
from flaskware_forms._markup.theme import VALIDATE_HEADER
from flaskware_forms._orm.editing import VERSION
from flaskware_forms._schema.compile import compile_model
from flaskware_forms._schema.nodes import Group
from flaskware_forms._schema.nodes import Leaf
from flaskware_forms._schema.nodes import Node
from flaskware_forms._schema.nodes import Series
from flaskware_forms._schema.nodes import Variants

from .bound import Bound
from .checks import Check
from .checks import has_asked_choices
from .partial import answer
from .partial import async_answer
from .state import current_state

if t.TYPE_CHECKING:
    from flaskware_forms._orm.target import Target
    from flaskware_forms._settings import FormsSettings

M = t.TypeVar("M", bound=pydantic.BaseModel)
N = t.TypeVar("N", bound=pydantic.BaseModel)
P = t.ParamSpec("P")
Said: t.TypeAlias = "str | cabc.Awaitable[str | None] | None"
FieldCheck = t.TypeVar("FieldCheck", bound=cabc.Callable[[t.Any], Said])
Validate: t.TypeAlias = cabc.Callable[[t.Any, "bool | None", t.Any], t.Any]
S_co = t.TypeVar("S_co", bound=Said, covariant=True)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
ASKS = "HTTP_" + VALIDATE_HEADER.upper().replace("-", "_")
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
        reserved = {ROW_BUTTON} & set(self._schema.by_key)
        if reserved:
            raise TypeError(f"{model.__name__} has a field named {reserved.pop()!r}.")
        self._uploads = tuple(_upload_sizes(self._schema))
        self._has_rows = _has_rows(self._schema)
        self._asks_choices = has_asked_choices(self._schema)
        self._checks: list[Check] = []
        self._validate: Validate = self._validate_model
        self._target: Target | None = None
        self._constraints: dict[str, tuple[Path, str]] = {}

    @staticmethod
    def for_model(
        entity: type[t.Any],
        model: type[N],
        *,
        name: str,
        view_writes: cabc.Collection[str] = (),
    ) -> FormSpec[N]:
        """A form that edits objects of a class that SQLAlchemy maps.

        :param entity: The mapped class; each field of the model is an attribute of it.
        :param model: The declaration; models inside of it stand for relationships.
        :param name: See :class:`FormSpec`.
        :param view_writes: Fields that :meth:`Bound.apply` passes over.
        :raises TypeError: listing everything in which the two do not fit, such as an
            attribute that is missing, or a text that its column cannot hold.
        """
        from flaskware_forms._orm.target import Target

        spec = FormSpec(model, name=name)
        spec._target = Target(entity, model, spec._schema, frozenset(view_writes))
        reserved = {VERSION} & set(spec._schema.by_key)
        if reserved:
            raise TypeError(f"{model.__name__} has a field named {reserved.pop()!r}.")
        return spec

    def json_schema(self) -> dict[str, t.Any]:
        """The JSON schema (2020-12) of what the form takes as JSON."""
        from flaskware_forms._interop.openapi import json_schema

        return json_schema(self.model)

    def openapi_body(self) -> dict[str, t.Any]:
        """The request body (OpenAPI 3.1) of the form: JSON, urlencoded, multipart.

        A form with files has multipart only, with the kinds of its files.
        """
        from flaskware_forms._interop.openapi import body_of

        return body_of(self)

    def constraint(self, name: str, field: str | None, message: str) -> None:
        """Say which field a constraint of the database is about, and in which words.

        :param name: The name of the constraint in the database.
        :param field: The field, as in :meth:`check`; ``None`` for the form as a whole.
        :param message: The error of that field when the constraint is violated.
        """
        attributes = () if field is None else self._attribute_path(field)
        self._constraints[name] = self._key_path(attributes), message

    def __repr__(self) -> str:
        return f"<FormSpec {self.name!r} of {self.model.__name__}>"

    @t.overload
    def check(
        self, field: None = None, /
    ) -> cabc.Callable[[cabc.Callable[[M], S_co]], cabc.Callable[[M], S_co]]: ...

    @t.overload
    def check(self, field: str, /) -> cabc.Callable[[FieldCheck], FieldCheck]: ...

    def check(self, field: str | None = None, /) -> t.Any:
        """Add a check that runs when all types have passed.

        The decorated function gets the value of the field, or the whole model, and
        returns what is wrong with it as a sentence, or ``None``. It may be async; in
        an async view, await :meth:`Bound.async_submit` then.

        :param field: The name of the field, ``"address.city"`` for a nested one; left
            out for a check of the whole form.
        :raises ValueError: if there is no such field.
        """
        attributes = () if field is None else self._attribute_path(field)
        path = self._key_path(attributes)

        def register(function: cabc.Callable[[t.Any], t.Any]) -> t.Any:
            self._checks.append(Check(attributes, path, function))
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
                if form.submitted and ASKS in flask.request.environ:
                    return await async_answer(form)
                return form._guard(await view(form, *args, **kwargs))

            handle: t.Any = handle_async
        else:

            @functools.wraps(view)
            def handle_sync(*args: t.Any, **kwargs: t.Any) -> t.Any:
                form = self.bind()
                if form.submitted and ASKS in flask.request.environ:
                    return answer(form)
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

    def _validate_model(self, sent: t.Any, strict: bool | None, context: t.Any) -> M:
        return self.model.model_validate(sent, strict=strict, context=context)

    def _key_path(self, attributes: Path) -> Path:
        """The path of a field by the names that a body uses."""
        node: Node = self._schema
        path: list[str | int] = []
        for attribute in attributes:
            if isinstance(node, Group):
                node = next(c for c in node.children if c.attribute == attribute)
                path.append(node.key)
        return tuple(path)

    def _attribute_path(self, field: str) -> tuple[str, ...]:
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


def explain_missing_form(
    app: flask.Flask, *, exception: BaseException, **_: object
) -> None:
    """Add to the error of a view that was given no form how it gets one."""
    view: t.Any = app.view_functions.get(flask.request.endpoint or "")
    if not isinstance(exception, TypeError) or hasattr(view, FORM_MARK):
        return
    hints: dict[str, object] = getattr(view, "__annotations__", {})
    if any(
        f"{name!r}" in str(exception) and re.search(r"\bBound(Steps)?\[", str(hint))
        for name, hint in hints.items()
    ):
        exception.add_note(
            "A FormSpec hands a form to a view: write @<the spec>.handles between"
            " @app.route(...) and the view."
        )


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
