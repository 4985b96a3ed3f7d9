from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import json
import typing as t

import flask
import pydantic
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from markupsafe import escape
from markupsafe import Markup

from flaskware_core import NotInitialised

from ._body import read_body
from ._csrf import hidden_input
from ._csrf import LayeredCSRF
from ._errors import FormError
from ._errors import from_validation
from ._errors import Path
from ._markup import FieldMarkup
from ._problem import count_errors
from ._problem import MIMETYPE
from ._problem import problem
from ._problem import wants_json
from ._settings import FormsSettings
from ._summary import summary
from ._values import initial_values

if t.TYPE_CHECKING:
    from ._spec import FormSpec

M = t.TypeVar("M", bound=pydantic.BaseModel)

_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_TOO_OLD = "This page was open for too long. Nothing was saved; please send it again."


@dc.dataclass(frozen=True)
class FormsState:
    """What the forms of one app share."""

    settings: FormsSettings
    csrf: LayeredCSRF


def current_state() -> FormsState:
    """What the current app's forms share.

    :raises NotInitialised: if the app has no :class:`Forms`.
    """
    forms = flask.current_app.extensions.get("forms")
    if forms is None:
        raise NotInitialised(
            f"The app {flask.current_app.name!r} has no Forms, which guards and bounds"
            " its typed forms. Call `Forms(app)` in the app factory."
        )
    return t.cast("FormsState", forms.state)


class Bound(t.Generic[M]):
    """A form of one request: what came in, what is wrong with it, how it looks."""

    __slots__ = (
        "_by_path",
        "_data",
        "_done",
        "_errors",
        "_initial",
        "_shown",
        "_state",
        "_status",
        "spec",
        "submitted",
    )

    def __init__(self, spec: FormSpec[M], state: FormsState, initial: object) -> None:
        self.spec = spec
        self.submitted: bool = flask.request.method in _UNSAFE
        """Whether the request sends the form, rather than asks for it."""
        if self.submitted and flask.request.max_content_length is None:
            # Before anything reads the body, and be it for the token.
            limit = spec._max_body_size(state.settings)
            flask.request.max_content_length = limit
        self._state = state
        self._initial = initial
        self._shown: dict[str, t.Any] | None = None
        self._done = False
        self._data: M | None = None
        self._errors: tuple[FormError, ...] = ()
        self._by_path: dict[Path, list[FormError]] | None = None
        self._status = 422

    @property
    def is_multipart(self) -> bool:
        """Whether it takes files, and so is sent as ``multipart/form-data``."""
        return bool(self.spec._uploads)

    @property
    def errors(self) -> tuple[FormError, ...]:
        """What is wrong; empty before :meth:`submit`."""
        return self._errors

    def submit(self) -> M | None:
        """The validated data if the request sends the form and all of it is right.

        Checks CSRF, decodes the body, validates, then runs the checks. What is wrong
        is in :attr:`errors`, and :meth:`respond` shows it.

        :raises HTTPException: for a body that is no form at all (400, 413, 415), and
            for a request from another site (403).
        """
        if self._done or not self.submitted:
            return self._data
        self._done = True
        spec = self.spec
        settings = self._state.settings
        # First, so that a request of another site has no body read.
        refusal = self._state.csrf.refusal()
        sent = read_body(
            flask.request,
            spec._decoder,
            settings,
            with_files=self.is_multipart,
        )
        if refusal is not None:
            self._status = 400
            self._fail(sent, (FormError((), "csrf", _TOO_OLD),))
            return None
        try:
            data = spec.model.model_validate(
                sent,
                # Text of a form is never of the right type, however strict the model.
                strict=None if flask.request.is_json else False,
                context={"max_upload_size": settings.max_upload_size},
            )
        except pydantic.ValidationError as error:
            self._fail(sent, from_validation(error, spec._schema))
            return None
        errors = tuple(spec._run_checks(data)) if spec._checks else ()
        if errors:
            self._fail(sent, errors)
            return None
        self._data = data
        self._shown = t.cast("dict[str, t.Any]", sent)
        return data

    def add_error(
        self, message: str, field: str | None = None, *, code: str = "check"
    ) -> None:
        """Say that something is wrong that only the view found out.

        Afterwards :meth:`submit` gives ``None``, and :meth:`respond` shows the error.

        :param field: The name of the field, dotted for a nested one; left out for the
            form as a whole.
        """
        path: Path = ()
        if field is not None:
            path = self.spec._key_path(self.spec._attribute_path(field))
        self._done = True
        self._data = None
        self._errors = (*self._errors, FormError(path, code, message))
        self._by_path = None

    def fill(self, obj: object) -> None:
        """Show the values of an object or a mapping, where nothing was typed yet."""
        self._initial = obj

    def done(self, url: str, obj: object = None) -> flask.Response:
        """Answer that the form was accepted.

        A page goes on to ``url`` (303), also where htmx sent it. A JSON client gets
        201, ``url`` as Location, and ``obj``.

        :param obj: A Pydantic model, a dataclass, a mapping, or what else the app's
            JSON provider can write.
        """
        request = flask.request
        if wants_json(request):
            body = (
                obj.model_dump(mode="json", by_alias=True)
                if isinstance(obj, pydantic.BaseModel)
                else {}
                if obj is None
                else obj
            )
            response = flask.jsonify(body)
            response.status_code = 201
            response.headers["Location"] = url
        elif _is_fragment(request):
            response = flask.Response(status=204, headers={"HX-Redirect": url})
        else:
            response = t.cast("flask.Response", flask.redirect(url, 303))
        return _varied(response)

    def respond(
        self, template: str, *, block: str = "form", **context: t.Any
    ) -> flask.Response:
        """Show the form, or what is wrong with it.

        A page is 200, or 422 where something is wrong. htmx gets the block of the
        template only, or the form where there is no such block. A JSON client gets a
        problem document (RFC 9457).

        :param template: The template of the page; it gets the form as ``form``.
        :param block: The name of the block around the form in the template.
        :param context: What else the template gets.
        """
        request = flask.request
        status = self._status if self._errors else 200
        if self._errors and wants_json(request):
            document = problem(status, count_errors(self._errors), self._errors)
            text, mimetype = json.dumps(document), MIMETYPE
        elif _is_fragment(request):
            text, mimetype = self._fragment(template, block, context), "text/html"
        else:
            text = flask.render_template(template, form=self, **context)
            mimetype = "text/html"
        return _varied(flask.Response(text, status, mimetype=mimetype))

    def _guard(self, response: ResponseReturnValue) -> ResponseReturnValue:
        """Refuse what a view answers if it acted without looking at the form.

        :raises CSRFError: if the request has no valid token and the view never called
            :meth:`submit`.
        """
        if self.submitted and not self._done:
            refusal = self._state.csrf.refusal()
            if refusal is not None:
                raise CSRFError(refusal)
        return response

    def __getitem__(self, field: str) -> BoundField:
        try:
            return BoundField(self, self.spec._markup[field])
        except KeyError:
            known = ", ".join(self.spec._markup)
            raise KeyError(
                f"The form {self.spec.name!r} has no field {field!r}, but: {known}"
            ) from None

    def __iter__(self) -> cabc.Iterator[BoundField]:
        return (BoundField(self, field) for field in self.spec._markup.values())

    def render(self, *, action: str = "", submit: str = "Send") -> Markup:
        """The whole form: token, what is wrong, every field and a button.

        :param action: Where it is sent; to the page's own address by default.
        :param submit: What the button says.
        """
        kind = ' enctype="multipart/form-data"' if self.is_multipart else ""
        where = f' action="{escape(action)}"' if action else ""
        return _safe(
            f'<form method="post" id="{self.spec.name}" class="form"{where}{kind}>\n'
            f"{hidden_input()}\n{self.errors_summary()}{self.rows()}"
            f'<button type="submit">{escape(submit)}</button>\n</form>'
        )

    def rows(self) -> Markup:
        """Every field, without the form element around them."""
        values, errors = self._values, self._errors_by_path
        return _safe(
            "".join(
                [
                    field.row(values.get(key), errors)
                    for key, field in self.spec._markup.items()
                ]
            )
        )

    def csrf(self) -> Markup:
        """The token, as a hidden input; empty where CSRF protection is off."""
        return _safe(hidden_input())

    def errors_summary(self) -> Markup:
        """All errors, each a link to its control; empty where there are none."""
        return _safe(summary(self.spec.name, self._errors, self.spec._schema))

    @property
    def _values(self) -> dict[str, t.Any]:
        """What the controls show: what was sent, or else the initial values."""
        if self._shown is None:
            self._shown = initial_values(self.spec._schema, self._initial)
        return self._shown

    @property
    def _errors_by_path(self) -> dict[Path, list[FormError]]:
        """The errors, by the field that they belong to."""
        if self._by_path is None:
            self._by_path = {}
            for error in self._errors:
                self._by_path.setdefault(error.path, []).append(error)
        return self._by_path

    def _fail(self, sent: t.Any, errors: tuple[FormError, ...]) -> None:
        self._errors = errors
        self._shown = t.cast("dict[str, t.Any]", sent) if isinstance(sent, dict) else {}

    def _fragment(self, template: str, block: str, context: dict[str, t.Any]) -> str:
        app = flask.current_app
        found = app.jinja_env.get_or_select_template(template)
        if block not in found.blocks:
            return str(self.render())
        values = {**context, "form": self}
        app.update_template_context(values)
        return "".join(found.blocks[block](found.new_context(values)))


class BoundField:
    """One field of a form of a request."""

    __slots__ = ("_form", "_markup")

    def __init__(self, form: Bound[t.Any], markup: FieldMarkup) -> None:
        self._form = form
        self._markup = markup

    @property
    def name(self) -> str:
        """The name that its control has."""
        return self._markup.names.name

    @property
    def id(self) -> str:
        """The id that its control has."""
        return self._markup.names.id

    @property
    def value(self) -> t.Any:
        """What its control shows: text as it was typed, or the initial value."""
        return self._form._values.get(self.name)

    @property
    def errors(self) -> tuple[FormError, ...]:
        """What is wrong with it, or with what is inside of it."""
        name = self.name
        return tuple(e for e in self._form.errors if e.path[:1] == (name,))

    def row(self) -> Markup:
        """Label, hint, control and errors."""
        return _safe(self._markup.row(self.value, self._form._errors_by_path))

    def control(self) -> Markup:
        """The control alone; what it points to is in :meth:`row`."""
        return _safe(self._markup.control(self.value, self._form._errors_by_path))

    def label(self) -> Markup:
        """The label, or the legend of a group."""
        return _safe(self._markup.label)

    def error(self) -> Markup:
        """The errors, in the element that the control points to."""
        return _safe(self._markup.errors(self._form._errors_by_path))


def _is_fragment(request: flask.Request) -> bool:
    headers = request.headers
    # A boosted link or form, and the way back to it, want the page.
    return (
        "HX-Request" in headers
        and "HX-Boosted" not in headers
        and "HX-History-Restore-Request" not in headers
    )


def _varied(response: flask.Response) -> flask.Response:
    response.vary.update(("Accept", "HX-Request"))
    return response


def _safe(text: str) -> Markup:
    # Each part was escaped where it was put in, in _markup.py.
    return Markup(text)  # noqa: S704
