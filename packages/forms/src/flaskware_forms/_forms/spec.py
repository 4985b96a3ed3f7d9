from __future__ import annotations

import collections.abc as cabc
import functools
import re
import typing as t

import pydantic

from flaskware_core import DeclarationError
from flaskware_forms._interop.wtforms import form_class
from flaskware_forms._interop.wtforms import WTForm
from flaskware_forms._orm.edit import VERSION
from flaskware_forms._schema.facets import Text

from .bound import Bound
from .bound import open_form
from .checks import Check
from .checks import CheckContext
from .checks import takes_context
from .compiled import Button
from .compiled import CompiledForm
from .compiled import Method
from .view import handle

M = t.TypeVar("M", bound=pydantic.BaseModel)
N = t.TypeVar("N", bound=pydantic.BaseModel)
P = t.ParamSpec("P")
R = t.TypeVar("R")
V = t.TypeVar("V", bound="ViewClass")
Said: t.TypeAlias = "str | cabc.Awaitable[str | None] | None"
FieldCheck = t.TypeVar("FieldCheck", bound=cabc.Callable[..., Said])
S_co = t.TypeVar("S_co", bound=Said, covariant=True)

_PREFIX = re.compile(r"[A-Za-z0-9_]+")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


class ViewClass(t.Protocol):
    """A view that is a class, in Flask or in Quart."""

    def dispatch_request(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        """Answer the request."""
        ...


class Registers(t.Protocol[M]):
    """A decorator of a check of the whole form."""

    @t.overload
    def __call__(
        self, function: cabc.Callable[[M], S_co], /
    ) -> cabc.Callable[[M], S_co]: ...

    @t.overload
    def __call__(
        self, function: cabc.Callable[[M, CheckContext[M]], S_co], /
    ) -> cabc.Callable[[M, CheckContext[M]], S_co]: ...


class FormSpec(t.Generic[M]):
    """A form, compiled once from a Pydantic model.

    :param model: The declaration.
    :param name: Starts every id in the markup: letters, digits, hyphens.
    :param method: ``"get"`` for a search, whose values are in the query string.
    :param buttons: The buttons that send the form, by name: a text, or a
        :class:`Button`. The Enter key presses the first. :attr:`Bound.pressed` gives
        the name.
    :raises DeclarationError: if the model has a field that no form can have.
    """

    def __init__(
        self,
        model: type[M],
        *,
        name: str,
        method: Method = "post",
        buttons: cabc.Mapping[str, Text | Button] | None = None,
    ) -> None:
        if method not in t.get_args(Method):
            raise DeclarationError(f"method is {method!r}. Write 'post' or 'get'.")
        if not _NAME.fullmatch(name):
            raise DeclarationError(
                "The name of a form starts ids in the markup, so it takes letters,"
                f" digits and hyphens; given {name!r}."
            )
        for name_of in ("__bool__", "__len__"):
            if hasattr(model, name_of):
                raise DeclarationError(
                    f"{model.__name__} has {name_of}, so valid data could be false in"
                    f" `if data := form.submit():`. Remove {name_of}."
                )
        self.model = model
        self.name = name
        self.compiled: CompiledForm[M] = CompiledForm(
            model,
            name,
            method,
            {
                key: each if isinstance(each, Button) else Button(each)
                for key, each in (buttons or {}).items()
            },
        )
        """The form as the package itself sees it."""

    @staticmethod
    def for_model(
        entity: type[t.Any],
        model: type[N],
        *,
        name: str,
        view_writes: cabc.Collection[str] = (),
        buttons: cabc.Mapping[str, Text | Button] | None = None,
    ) -> FormSpec[N]:
        """A form that edits objects of a class that SQLAlchemy maps.

        :param entity: The mapped class; each field of the model is an attribute of it.
        :param model: The declaration; models inside of it stand for relationships.
        :param name: See :class:`FormSpec`, as for ``buttons``.
        :param view_writes: Fields that :meth:`Bound.apply` leaves to the view.
        :raises DeclarationError: listing every mismatch, such as a missing attribute,
            or a text that its column cannot hold.
        """
        from flaskware_forms._orm.target import Target

        spec = FormSpec(model, name=name, buttons=buttons)
        compiled = spec.compiled
        compiled.target = Target(entity, model, compiled.schema, frozenset(view_writes))
        compiled.refuse_fields(VERSION)
        return spec

    def json_schema(self) -> dict[str, t.Any]:
        """Return the JSON schema (2020-12) of the form's JSON body."""
        return self.model.model_json_schema(by_alias=True, mode="validation")

    def openapi_body(self) -> dict[str, t.Any]:
        """The request body (OpenAPI 3.1) of the form: JSON, urlencoded, multipart.

        A form with files has multipart only, with the kinds of its files.
        """
        from flaskware_forms._interop.openapi import body_of

        return body_of(self.compiled)

    def constraint(self, name: str, field: str | None, message: str) -> None:
        """Show a violated constraint of the database as the error of a field.

        :param name: The name of the constraint in the database.
        :param field: The field, as in :meth:`check`; ``None`` for the form as a whole.
        :param message: The error when the constraint is violated.
        """
        _, path = self.compiled.locate(field)
        self.compiled.constraints[name] = path, message

    def __repr__(self) -> str:
        return f"<FormSpec {self.name!r} of {self.model.__name__}>"

    @t.overload
    def check(self, field: None = None, /) -> Registers[M]: ...

    @t.overload
    def check(self, field: str, /) -> cabc.Callable[[FieldCheck], FieldCheck]: ...

    def check(self, field: str | None = None, /) -> t.Any:
        """Add a check that runs on validated data.

        The decorated function gets the value of the field, or the whole model. It
        returns an error as a sentence, or ``None``. It may be async; in an async view,
        await :meth:`Bound.async_submit` then, which runs a plain function in the event
        loop. A function with a second argument gets a
        :class:`CheckContext`: the whole model, and the object that the form edits.

        :param field: The name of the field, such as ``"email"`` or ``"address.city"``;
            left out for a check of the whole form. ``"lines.text"`` is that field in
            each row of a list, ``"lines.*"`` each row.
        :raises DeclarationError: if there is no such field.
        """
        attributes, keys = self.compiled.locate(field, rows="each")

        def register(function: cabc.Callable[..., t.Any]) -> t.Any:
            check = Check(attributes, keys, function, takes_context(function))
            self.compiled.checks.append(check)
            return function

        return register

    @t.overload
    def handles(
        self,
        view: cabc.Callable[t.Concatenate[Bound[M], P], cabc.Awaitable[R]],
        /,
    ) -> cabc.Callable[P, cabc.Awaitable[R]]: ...

    @t.overload
    def handles(
        self, view: cabc.Callable[t.Concatenate[Bound[M], P], R], /
    ) -> cabc.Callable[P, R]: ...

    @t.overload
    def handles(
        self,
        view: cabc.Callable[t.Concatenate[V, Bound[M], P], cabc.Awaitable[R]],
        /,
    ) -> cabc.Callable[t.Concatenate[V, P], cabc.Awaitable[R]]: ...

    @t.overload
    def handles(
        self, view: cabc.Callable[t.Concatenate[V, Bound[M], P], R], /
    ) -> cabc.Callable[t.Concatenate[V, P], R]: ...

    def handles(self, view: t.Any, /) -> t.Any:
        """Decorate a view that gets the form of the request as its first argument.

        The arguments of the route follow. Put this below the route's decorator, or on a
        method of a :class:`flask.views.MethodView`. A route that names no methods takes
        GET and POST, or GET if the form has ``method="get"``.
        """
        return handle(view, self.compiled, functools.partial(open_form, self))

    def bind(self, obj: object = None, *, prefix: str = "") -> Bound[M]:
        """Return the form of the current request.

        A page may have several forms; bind all of them before you submit one. The
        request says which of them it sends.

        :param obj: The object or mapping that the form shows until it is sent.
        :param prefix: Starts the ids and the names of the controls, so that a page can
            hold the same form twice: letters, digits and underscores.
        :raises NotInitialised: if the app has no :class:`Forms`.
        """
        if prefix and not _PREFIX.fullmatch(prefix):
            raise DeclarationError(
                "A prefix starts the names of controls, so it takes letters, digits and"
                f" underscores; given {prefix!r}."
            )
        return open_form(self, obj=obj, prefix=prefix)[0]


def to_wtforms(spec: FormSpec[t.Any]) -> WTForm:
    """A class of WTForms with the fields and the constraints of a typed form.

    For macros and code that take such a form. The model still validates.

    :raises DeclarationError: for a union, or a model inside of itself, which WTForms
        lacks.
    """
    return form_class(spec.compiled.schema, spec.model.__name__)
