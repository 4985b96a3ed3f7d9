from __future__ import annotations

import collections.abc as cabc
import json
import typing as t

import flask
import pydantic
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from markupsafe import escape
from markupsafe import Markup

from flaskware_forms._body.body import read_body
from flaskware_forms._body.input import guard_input
from flaskware_forms._body.rows import rearrange
from flaskware_forms._csrf.layered import hidden_input
from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.error import from_validation
from flaskware_forms._errors.error import Path
from flaskware_forms._errors.problem import count_errors
from flaskware_forms._errors.problem import MIMETYPE
from flaskware_forms._errors.problem import problem
from flaskware_forms._errors.problem import wants_json
from flaskware_forms._interop.wtforms import filled
from flaskware_forms._markup.groups import ROW_BUTTON
from flaskware_forms._markup.summary import summary
from flaskware_forms._markup.theme import Look
from flaskware_forms._orm import editing as _editing
from flaskware_forms._schema.values import initial_values

from .checks import async_run
from .checks import Check
from .checks import choice_errors
from .checks import due
from .checks import run
from .field import BoundField
from .negotiate import is_fragment
from .negotiate import varied
from .state import FormsState

if t.TYPE_CHECKING:
    from flaskware_forms._errors.messages import Language

    from .markup_cache import Fields
    from .spec import FormSpec

M = t.TypeVar("M", bound=pydantic.BaseModel)

_REARRANGED: t.Any = object()
_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Bound(t.Generic[M]):
    """A form of one request: what came in, what is wrong with it, how it looks."""

    __slots__ = (
        "_by_path",
        "_data",
        "_done",
        "_errors",
        "_initial",
        "_sent",
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
        if self.submitted:
            # Before anything reads the body, and be it for the token.
            guard_input(flask.request.environ)
            if flask.request.max_content_length is None:
                limit = spec._max_body_size(state.settings)
                flask.request.max_content_length = limit
        self._state = state
        self._initial = initial
        self._sent: t.Any = None
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
        :raises RuntimeError: in an async view, if a check is async: await
            :meth:`async_submit` there.
        """
        data = self._receive()
        if data is None:
            return None
        errors = [
            FormError(check.path, "check", message)
            for check, value in self._due_checks(data)
            if (message := run(check, value)) is not None
        ]
        return self._accept(data, errors)

    async def async_submit(self) -> M | None:
        """Same as :meth:`submit`, for async views: its checks are awaited."""
        data = self._receive()
        if data is None:
            return None
        errors = [
            FormError(check.path, "check", message)
            for check, value in self._due_checks(data)
            if (message := await async_run(check, value)) is not None
        ]
        return self._accept(data, errors)

    def _due_checks(self, data: M) -> cabc.Iterable[tuple[Check, t.Any]]:
        checks = self.spec._checks
        return due(checks, lambda name: getattr(data, name), data) if checks else ()

    def _receive(self) -> M | None:
        """Decode and validate the body, once; ``None`` if no check is to follow."""
        if self._done or not self.submitted:
            return self._data
        self._done = True
        sent, errors = self._read()
        if errors:
            self._status = 400
            self._fail(sent, errors)
            return None
        if sent is _REARRANGED:
            return None
        self._sent = sent
        spec = self.spec
        try:
            return self._validate(sent)
        except pydantic.ValidationError as error:
            self._fail(sent, from_validation(error, spec._schema, self._language))
            return None

    def _read(self, *, keep_blank: bool = False) -> tuple[t.Any, tuple[FormError, ...]]:
        """What was sent, and why it may not be looked at."""
        spec = self.spec
        request = flask.request
        settings = self._state.settings
        # First, so that a request of another site has no body read.
        refusal = self._state.csrf.refusal()
        row: str | None = None
        if spec._has_rows and not request.is_json and refusal is None:
            row = request.form.get(ROW_BUTTON)
        sent = read_body(
            request,
            spec._decoder,
            settings,
            with_files=self.is_multipart,
            keep_blank=keep_blank or row is not None,
        )
        if refusal is not None:
            message = self._say("csrf")
            return sent, (FormError((), "csrf", message),)
        if row is not None:
            rearrange(sent, spec._schema, row, max_entries=settings.max_entries)
            self._shown = sent
            return _REARRANGED, ()
        return sent, ()

    def _validate(self, sent: t.Any) -> M:
        return t.cast("M", self.spec._validate(sent, self._strict, self._context))

    @property
    def _strict(self) -> bool | None:
        # Text of a form is never of the right type, however strict the model.
        return None if flask.request.is_json else False

    @property
    def _context(self) -> dict[str, t.Any]:
        return {"max_upload_size": self._state.settings.max_upload_size}

    def _accept(self, data: M, errors: list[FormError]) -> M | None:
        if self._data is not None:
            return self._data
        spec = self.spec
        if spec._asks_choices:
            errors.extend(choice_errors(spec._schema, data, (), self._language))
        if errors:
            self._fail(self._sent, tuple(errors))
            return None
        self._data = data
        self._shown = t.cast("dict[str, t.Any]", self._sent)
        return data

    def _say(self, code: str, **context: t.Any) -> str:
        return self._language.message(code, context) or code

    @property
    def _language(self) -> Language:
        return self._state.looks.language()

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

    def apply(self, obj: object) -> frozenset[str]:
        """Write to an object what was submitted and is different.

        What was not sent is not written. Rows are matched with the object's children
        by their primary key: new ones are added, absent ones removed. Where the class
        counts versions and the object is not the one that was shown, nothing is
        written, and :meth:`respond` answers 409 with both values.

        :param obj: An object of the class of :meth:`FormSpec.for_model`.
        :return: The names of the attributes that changed.
        :raises TypeError: if the form is of no mapped class.
        :raises RuntimeError: if nothing was submitted.
        """
        return _editing.apply(self, obj)

    def save(self, session: t.Any, obj: object) -> bool:
        """:meth:`apply`, then commit; ``False`` if that is refused.

        A violated constraint that is about a field becomes its error, an object that
        somebody else saved meanwhile a conflict (409). The session is then rolled back.

        :param session: An ``sqlalchemy.orm.Session``.
        :raises sqlalchemy.exc.IntegrityError: for a constraint of no field of the form.
        """
        return _editing.save(self, session, obj)

    async def async_save(self, session: t.Any, obj: object) -> bool:
        """Same as :meth:`save`, but with an ``AsyncSession``."""

        def save(inner: object) -> bool:
            return self.save(inner, obj)

        return t.cast("bool", await session.run_sync(save))

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
        elif is_fragment(request):
            response = flask.Response(status=204, headers={"HX-Redirect": url})
        else:
            response = t.cast("flask.Response", flask.redirect(url, 303))
        return varied(response)

    def respond(
        self,
        template: str,
        *,
        block: str = "form",
        stream: bool = False,
        **context: t.Any,
    ) -> flask.Response:
        """Show the form, or what is wrong with it.

        A page is 200, or 422 where something is wrong. htmx gets the block of the
        template only, or the form where there is no such block. A JSON client gets a
        problem document (RFC 9457).

        :param template: The template of the page; it gets the form as ``form``.
        :param block: The name of the block around the form in the template.
        :param stream: Whether a page is sent while it is made. The token is then made
            before, since a session that is opened later is not sent any more.
        :param context: What else the template gets.
        """
        request = flask.request
        status = self._status if self._errors else 200
        if self._errors and wants_json(request):
            document = problem(status, count_errors(self._errors), self._errors)
            text: str | cabc.Iterator[str] = json.dumps(document)
            mimetype = MIMETYPE
        elif is_fragment(request):
            text, mimetype = self._fragment(template, block, context), "text/html"
        else:
            mimetype = "text/html"
            context["form"] = self
            if stream:
                hidden_input()
            make = flask.stream_template if stream else flask.render_template
            text = make(template, **context)
        return varied(flask.Response(text, status, mimetype=mimetype))

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
        fields = self._look()[1]
        try:
            return BoundField(self, fields[field])
        except KeyError:
            known = ", ".join(fields)
            raise KeyError(
                f"The form {self.spec.name!r} has no field {field!r}, but: {known}"
            ) from None

    def __iter__(self) -> cabc.Iterator[BoundField]:
        return (BoundField(self, field) for field in self._look()[1].values())

    def render(
        self, *, action: str = "", submit: str | None = None, live: bool = False
    ) -> Markup:
        """The whole form: token, what is wrong, every field and a button.

        :param action: Where it is sent; to the page's own address by default.
        :param submit: What the button says.
        :param live: Whether htmx sends it, and asks for each field that changes.
        """
        look, _ = self._look(live=live)
        kind = ' enctype="multipart/form-data"' if self.is_multipart else ""
        if live:
            target = f' hx-post="{escape(action)}" hx-target="this" hx-swap="outerHTML"'
            kind += f"{target} data-live" + (
                ' hx-encoding="multipart/form-data"' if kind else ""
            )
        where = f' action="{escape(action)}"' if action else ""
        text = look.say("Send") if submit is None else submit
        button = look.theme.button(kind="submit", text=text)
        return _safe(
            f'<form method="post" id="{self.spec.name}" class="form"{where}{kind}>\n'
            f"{_editing.hidden(self)}\n{self.errors_summary()}{self.rows(live=live)}"
            f"{button}\n</form>"
        )

    def rows(self, *, live: bool = False) -> Markup:
        """Every field, without the form element around them."""
        values, errors = self._values, self._errors_by_path
        # The first button of a form is the one that the Enter key presses, and none
        # that removes a row may be it.
        first = '<button type="submit" hidden></button>' if self.spec._has_rows else ""
        return _safe(
            first
            + "".join(
                [
                    field.row(values.get(key), errors)
                    for key, field in self._look(live=live)[1].items()
                ]
            )
        )

    def as_wtforms(self) -> t.Any:
        """A form of WTForms that shows the same, for macros that take one.

        :raises TypeError: for a union, or a model inside of itself.
        """
        return filled(self.spec, self._values, self._errors_by_path)

    def csrf(self) -> Markup:
        """The token, as a hidden input; empty where CSRF protection is off.

        For an object that counts versions, the version that is shown too.
        """
        return _safe(_editing.hidden(self))

    def errors_summary(self) -> Markup:
        """All errors, each a link to its control; empty where there are none."""
        if not self._errors:
            return Markup()
        return _safe(
            summary(
                self.spec.name,
                self._errors,
                self.spec._schema,
                self._values,
                self._look()[0],
            )
        )

    def _look(self, *, live: bool = False) -> tuple[Look, Fields]:
        return self._state.looks.of(self.spec, live=live)

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

    def _reject(self, errors: tuple[FormError, ...], status: int = 422) -> None:
        """Take back that what was sent is right."""
        self._data = None
        self._status = status
        self._errors = (*self._errors, *errors)
        self._by_path = None

    def _fail(self, sent: t.Any, errors: tuple[FormError, ...]) -> None:
        self._errors = errors
        self._by_path = None
        self._shown = t.cast("dict[str, t.Any]", sent) if isinstance(sent, dict) else {}

    def _fragment(self, template: str, block: str, context: dict[str, t.Any]) -> str:
        app = flask.current_app
        found = app.jinja_env.get_or_select_template(template)
        if block not in found.blocks:
            return str(self.render())
        values = {**context, "form": self}
        app.update_template_context(values)
        return "".join(found.blocks[block](found.new_context(values)))


def _safe(text: str) -> Markup:
    # Each part was escaped where it was put in, in _markup.py.
    return Markup(text)  # noqa: S704
