from __future__ import annotations

import collections.abc as cabc
import typing as t

import flask
import pydantic
from markupsafe import escape
from markupsafe import Markup
from werkzeug.exceptions import abort

from flaskware_core import DeclarationError
from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.problem import make_response
from flaskware_forms._errors.problem import problem_response
from flaskware_forms._errors.problem import wants_json
from flaskware_forms._exchanges.current import current_exchange
from flaskware_forms._exchanges.exchange import Exchange
from flaskware_forms._fields.builder import Builder
from flaskware_forms._interop.wtforms import to_wtforms_instance
from flaskware_forms._markup.names import BUTTON
from flaskware_forms._markup.names import FORM
from flaskware_forms._markup.theme import Attributes
from flaskware_forms._markup.theme import ChoiceParts
from flaskware_forms._markup.theme import FieldParts
from flaskware_forms._markup.theme import RenderContext
from flaskware_forms._markup.theme import safe
from flaskware_forms._markup.theme import VALIDATE_HEADER
from flaskware_forms._orm.edit import Edit
from flaskware_forms._orm.edit import version_input
from flaskware_forms._schema.values import Refused

from .partial import answer
from .partial import async_answer
from .partial import is_partial
from .state import forms_state
from .submission import Submission
from .summary import summary

if t.TYPE_CHECKING:
    from .spec import FormSpec

_VARY = f"Accept, HX-Request, {VALIDATE_HEADER}"
M = t.TypeVar("M", bound=pydantic.BaseModel)

# The Enter key presses the first submit button of a form (HTML, "implicit submission"),
# so no button that removes a row may come first. It works unseen in a datalist, which
# represents nothing: unlike that of the attribute `hidden`, no style sheet of a site
# shows its content by accident.
_DEFAULT_BUTTON = (
    '<datalist><button type="submit" tabindex="-1" hidden></button></datalist>'
)


class BoundField:
    """One field of a form of a request."""

    __slots__ = ("_markup", "_submission")

    def __init__(self, submission: Submission[t.Any], markup: Builder[t.Any]) -> None:
        self._submission = submission
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
        """The value of its control: text as it was typed, or the initial value."""
        value = self._submission.values.get(self._markup.key)
        return value.typed if isinstance(value, Refused) else value

    @property
    def kind(self) -> str:
        """Its control in themes, such as ``"email"``, ``"radio"`` or ``"list"``."""
        return self._markup.kind

    @property
    def text(self) -> str:
        """The text of its label."""
        return self._markup.plain_text

    @property
    def attributes(self) -> Attributes:
        """The attributes of its control, without its value and its classes."""
        return self._parts.attributes

    @property
    def choices(self) -> tuple[ChoiceParts, ...]:
        """The choices of a select, of radio buttons or of boxes."""
        return self._parts.choices

    @property
    def needed(self) -> bool | None:
        """True if it must be filled in; ``None`` where that says nothing."""
        return t.cast("bool | None", self._markup.node.needed)

    @property
    def _parts(self) -> FieldParts:
        return self._markup.parts(self.value, self._submission.errors_by_path)

    @property
    def errors(self) -> tuple[FormError, ...]:
        """The errors of the field, and of the fields inside of it."""
        path = self._markup.path
        return tuple(e for e in self._submission.errors if e.path[:1] == path)

    def row(self) -> Markup:
        """Label, hint, control and errors."""
        submission = self._submission
        row = self._markup.row(self.value, submission.errors_by_path)
        return safe(_focused(row, submission))

    def control(self) -> Markup:
        """The control alone; the elements it refers to are in :meth:`row`."""
        return safe(self._markup.control(self.value, self._submission.errors_by_path))

    def label(self) -> Markup:
        """The label, or the legend of a group."""
        return safe(self._markup.label)

    def hint(self) -> Markup:
        """The hint, in the element that the control points to."""
        return safe(self._markup.hint)

    def error(self) -> Markup:
        """The errors, in the element that the control points to."""
        return safe(self._markup.errors(self._submission.errors_by_path))


class Bound(t.Generic[M]):
    """A form of one request: its data, its errors and its markup."""

    __slots__ = ("_submission", "spec")

    def __init__(self, spec: FormSpec[M], submission: Submission[M]) -> None:
        self.spec = spec
        self._submission = submission

    @property
    def submitted(self) -> bool:
        """True if the request sends this form, rather than asks for its page."""
        return self._submission.is_sent

    @property
    def id(self) -> str:
        """The id of the form in the page: its name, and its prefix if it has one."""
        return self._submission.root.id

    @property
    def pressed(self) -> str | None:
        """The name of the button that sent the form; the first after the Enter key.

        ``None`` if :class:`FormSpec` has no ``buttons``, if the request does not send
        the form or has no valid token, and for JSON.

        :raises BadBody: if there is no such button.
        """
        return self._submission.pressed

    @property
    def status(self) -> int:
        """The status of an answer that shows the errors of the form."""
        return self._submission.status

    @property
    def is_multipart(self) -> bool:
        """True if the form takes files, and so is sent as ``multipart/form-data``."""
        return bool(self._submission.compiled.upload_sizes)

    @property
    def errors(self) -> tuple[FormError, ...]:
        """The errors that were found; empty before :meth:`submit`."""
        return self._submission.errors

    async def async_load(self) -> None:
        """Read the body, for what asks for it before :meth:`async_submit`.

        In Quart, :attr:`submitted` and :attr:`pressed` are known afterwards. In Flask
        there is nothing to wait for.

        :raises CrossSiteRefused: for a request from another site, unread.
        """
        await self._submission.load()

    def submit(self) -> M | None:
        """Return the validated data, if the request sends the form without errors.

        Verifies CSRF, decodes the body, validates it, then runs the checks. Any errors
        are in :attr:`errors`, and :meth:`respond` shows them.

        :raises HTTPException: for a body that is not a form (400, 413, 415), and for a
            request from another site (403).
        :raises RuntimeError: in an async view, if a check is async: await
            :meth:`async_submit` there.
        :raises WouldBlock: in a coroutine of Quart; see :meth:`async_submit`.
        """
        self._exchange.refuse_in_event_loop("submit")
        if is_partial(self._exchange) and self.submitted:
            # A form beside that of the view, which is asked about its fields.
            abort(answer(self._submission))
        return self._submission.submit()

    async def async_submit(self) -> M | None:
        """Same as :meth:`submit`, for coroutines: the body and checks are awaited."""
        if is_partial(self._exchange):
            await self._submission.load()
            if self.submitted:
                abort(await async_answer(self._submission))
        return await self._submission.async_submit()

    def add_error(
        self, message: str, field: str | None = None, *, code: str = "check"
    ) -> None:
        """Add an error that only the view found.

        Afterwards :meth:`submit` gives ``None``, and :meth:`respond` shows the error.

        :param field: The name of the field, such as ``"email"``, ``"address.city"`` or,
            for the second row of a list, ``"lines.1.text"``; left out for the form as
            a whole.
        :raises DeclarationError: if there is no such field.
        :raises ValueError: if the form was not sent with such a row.
        """
        _, path = self._submission.compiled.locate(field, rows="number")
        self._submission.refuse_unknown_row(path, field)
        self._submission.reject(FormError(path, code, message))

    def apply(self, obj: object) -> frozenset[str]:
        """Write the submitted values that differ to an object.

        A value that was not sent is not written. Rows are matched with the object's
        children by primary key: new rows are added, and missing rows are deleted. If
        the class counts versions and the object changed since it was shown, nothing is
        written, and :meth:`respond` answers 409 with both values.

        :param obj: An object of the class of :meth:`FormSpec.for_model`.
        :return: The names of the attributes that changed.
        :raises DeclarationError: if :meth:`FormSpec.for_model` did not make the form.
        :raises RuntimeError: if nothing was submitted.
        """
        return self._edit().apply(obj)

    def save(self, session: t.Any, obj: object) -> bool:
        """:meth:`apply`, then commit; ``False`` if that is refused.

        A violated constraint of a field becomes its error. An object that somebody else
        saved in the meantime becomes a conflict (409). The session is then rolled back.

        :param session: An ``sqlalchemy.orm.Session``.
        :raises sqlalchemy.exc.IntegrityError: for a constraint that no field has.
        """
        return self._edit().save(session, obj)

    async def async_save(self, session: t.Any, obj: object) -> bool:
        """Same as :meth:`save`, but with an ``AsyncSession``."""

        def save(inner: object) -> bool:
            return self.save(inner, obj)

        return t.cast("bool", await session.run_sync(save))

    def _edit(self) -> Edit:
        compiled = self._submission.compiled
        if compiled.target is None:
            raise DeclarationError(
                f"The form {compiled.name!r} has no mapped class. Declare it as"
                f" FormSpec.for_model(Class, {compiled.model.__name__}, name=...)."
            )
        return Edit(self._submission, compiled.target, compiled.constraints)

    def fill(self, obj: object) -> None:
        """Show the values of an object or a mapping, until the form is sent."""
        self._submission.initial = obj

    def done(self, url: str, obj: object = None) -> flask.Response:
        """Answer that the form was accepted.

        A browser is redirected to ``url`` (303), also after a request of htmx. A JSON
        client gets ``obj``: after POST as 201 with ``url`` as Location, after any other
        method, which changes what exists, as 200.

        :param obj: A Pydantic model, a dataclass, a mapping, or another object that the
            app's JSON provider can write.
        """
        app, request = self._exchange.app, self._exchange.request
        if wants_json(request):
            if isinstance(obj, pydantic.BaseModel):
                obj = obj.model_dump(mode="json", by_alias=True)
            provider: t.Any = t.cast("t.Any", app).json
            response = provider.response({} if obj is None else obj)
            if request.method == "POST":
                response.status_code = 201
                response.headers["Location"] = url
        elif _is_fragment(request):
            response = make_response(app, status=204, headers={"HX-Redirect": url})
        else:
            response = t.cast("flask.Response", app.redirect(url, 303))
        return self._varied(response)

    def respond(
        self,
        template: str,
        *,
        block: str = "form",
        stream: bool = False,
        **context: t.Any,
    ) -> flask.Response:
        """Show the form, with its errors if there are any.

        A page is 200, or 422 with errors; those of another form in ``context`` count
        too. htmx gets the block of the template only, or the form where there is no
        such block. A JSON client gets a problem document (RFC 9457).

        :param template: The template of the page; it gets the form as ``form``.
        :param block: The name of the block around the form in the template.
        :param stream: Whether a page is sent while it is rendered. The token is made
            first, as the cookie of a session that is opened later is lost.
        :param context: Other variables of the template.
        :raises WouldBlock: in a coroutine of Quart; see :meth:`async_respond`.
        """
        exchange = self._exchange
        exchange.refuse_in_event_loop("respond")
        failed = self._failed(context)
        if failed is not None and wants_json(exchange.request):
            return self._problem(failed)
        if exchange.renders_in_loop:
            # Here they may wait, and there they would stop it.
            for form in self._forms(context):
                for choice in form.spec.compiled.asked_choices:
                    choice.offers()
        context["form"] = self
        text: t.Any = None
        if _is_fragment(exchange.request):
            found = exchange.render_block(template, block, context)
            text = self.render() if found is None else found
        elif stream:
            self.csrf()
            text = exchange.stream(template, context)
        else:
            text = exchange.render(template, context)
        return self._page(failed, text)

    async def async_respond(
        self,
        template: str,
        *,
        block: str = "form",
        stream: bool = False,
        **context: t.Any,
    ) -> flask.Response:
        """Same as :meth:`respond`, for coroutines: the template is awaited."""
        exchange = self._exchange
        for form in self._forms(context):
            await form.async_load()
        failed = self._failed(context)
        if failed is not None and wants_json(exchange.request):
            return self._problem(failed)
        context["form"] = self
        text: t.Any = None
        if _is_fragment(exchange.request):
            found = await exchange.async_render_block(template, block, context)
            text = self.render() if found is None else found
        elif stream:
            self.csrf()
            text = await exchange.async_stream(template, context)
        else:
            text = await exchange.async_render(template, context)
        return self._page(failed, text)

    def _failed(self, context: dict[str, t.Any]) -> Bound[t.Any] | None:
        """Return the first form of a page that has errors."""
        return next((form for form in self._forms(context) if form.errors), None)

    def _forms(self, context: dict[str, t.Any]) -> list[Bound[t.Any]]:
        """Return the forms of a page, this one first."""
        others = [
            t.cast("Bound[t.Any]", other)
            for other in context.values()
            if isinstance(other, Bound)
        ]
        return [self, *others]

    def _problem(self, failed: Bound[t.Any]) -> flask.Response:
        app = self._exchange.app
        return self._varied(problem_response(app, failed.errors, failed.status))

    def _page(self, failed: Bound[t.Any] | None, text: t.Any) -> flask.Response:
        status = 200 if failed is None else failed.status
        app = self._exchange.app
        response = make_response(app, text, status, mimetype="text/html")
        if self.errors:
            return self._varied(response)
        # A cache keeps a variant for each value of these headers, so as few as can be.
        response.headers.add("Vary", f"HX-Request{self._spoken()}")
        return response

    def _varied(self, response: flask.Response) -> flask.Response:
        """Name the headers that an answer depends on."""
        # Not by `response.vary`, which reads and writes the header for each name.
        response.headers.add("Vary", f"{_VARY}{self._spoken()}")
        return response

    def _spoken(self) -> str:
        return ", Accept-Language" if self._submission.state.markup.varies else ""

    @property
    def _exchange(self) -> Exchange:
        return self._submission.exchange

    def __getitem__(self, field: str) -> BoundField:
        fields = self._submission.markup()[1]
        try:
            return BoundField(self._submission, fields[field])
        except KeyError:
            known = ", ".join(fields)
            raise KeyError(
                f"The form {self.spec.name!r} has no field {field!r}. It has: {known}."
            ) from None

    def __iter__(self) -> cabc.Iterator[BoundField]:
        fields = self._submission.markup()[1]
        return (BoundField(self._submission, field) for field in fields.values())

    def render(
        self, *, action: str = "", submit: str | None = None, live: bool = False
    ) -> Markup:
        """The whole form: token, errors, every field and a button.

        :param action: The URL that it is sent to; that of the page by default.
        :param submit: The text of the button.
        :param live: Whether htmx sends it, and asks for each field that changes.
        """
        context, _ = self._submission.markup(live=live)
        method = self._submission.compiled.method
        kind = ' enctype="multipart/form-data"' if self.is_multipart else ""
        if live and method == "get":
            raise DeclarationError("A form with method='get' is not validated live.")
        if live:
            target = f' hx-post="{escape(action)}" hx-target="this" hx-swap="outerHTML"'
            kind += f"{target} data-live" + (
                ' hx-encoding="multipart/form-data"' if kind else ""
            )
        where = f' action="{escape(action)}"' if action else ""
        return safe(
            f'<form method="{method}" id="{self.id}" class="form"{where}{kind}>\n'
            f"{self.csrf()}\n{self.errors_summary()}{self.rows(live=live)}"
            f"{self._buttons(context, submit)}\n</form>"
        )

    def buttons(self) -> Markup:
        """The buttons that send the form."""
        return safe(self._buttons(self._submission.markup()[0], None))

    def _buttons(self, context: RenderContext, submit: str | None) -> str:
        make, named = context.theme.button, self._submission.compiled.buttons
        if not named:
            text = context.say("Send") if submit is None else submit
            return make(kind="submit", text=text)
        parts: list[str] = []
        for name, button in named.items():
            attrs = Markup(' name="{}" value="{}"').format(BUTTON, name)
            if not button.validates:
                attrs += Markup(" formnovalidate")
            kind = "other" if parts else "submit"
            parts.append(make(kind=kind, text=str(button.text), attrs=attrs))
        return " ".join(parts)

    def rows(self, *, live: bool = False) -> Markup:
        """Every field, without the form element around them."""
        submission = self._submission
        values, errors = submission.values, submission.errors_by_path
        _, fields = submission.markup(live=live)
        parts = [field.row(values.get(key), errors) for key, field in fields.items()]
        return safe(_focused("".join(parts), submission))

    def as_wtforms(self) -> t.Any:
        """A form of WTForms that shows the same, for macros that take one.

        :raises DeclarationError: for a union, or a model inside of itself.
        """
        submission = self._submission
        return to_wtforms_instance(
            submission.compiled.schema,
            submission.compiled.model.__name__,
            submission.values,
            submission.errors_by_path,
        )

    def csrf(self) -> Markup:
        """The hidden part of the form: put it first.

        It has the token (unless no form needs it), the form's id, and the version of an
        object that counts versions. A form with ``method="get"`` needs none of these.
        If there are rows, it keeps the Enter key from pressing a button that removes
        one.
        """
        submission = self._submission
        compiled = submission.compiled
        found = _DEFAULT_BUTTON if compiled.has_rows else ""
        if compiled.method == "post":
            found = (
                f"{submission.state.csrf.hidden_input(submission.exchange)}"
                f'<input type="hidden" name="{FORM}" value="{self.id}">'
                f"{version_input(submission, compiled.target)}{found}"
            )
        return safe(found)

    def title(self, text: str) -> str:
        """The title of the page, which says first if there is an error.

        A screen reader reads the title of a page before the page.
        """
        if not self.errors:
            return text
        return f"{self._submission.markup()[0].say('Error')}: {text}"

    def errors_summary(self) -> Markup:
        """All errors, each a link to its control; empty where there are none."""
        return safe(summary(self._submission)) if self.errors else Markup()


def _focused(markup: str, submission: Submission[t.Any]) -> str:
    """Markup with the focus on the row that was added, if there is one."""
    if not submission.focus:
        return markup
    at = f' id="{submission.focus}"'
    return markup.replace(at, f"{at} autofocus", 1)


def open_form(
    spec: FormSpec[M],
    _arguments: object = None,
    *,
    obj: object = None,
    prefix: str = "",
) -> tuple[Bound[M], Submission[M], None]:
    """Open the form of the current request, which shows an object until it is sent."""
    exchange = current_exchange()
    state = forms_state(exchange.app)
    submission = Submission(spec.compiled, exchange, state, obj, prefix)
    return Bound(spec, submission), submission, None


def _is_fragment(request: flask.Request) -> bool:
    """True if htmx asks for a part of a page."""
    headers = request.headers
    # A boosted link or form, and the way back to it, want the page.
    return (
        "HX-Request" in headers
        and "HX-Boosted" not in headers
        and "HX-History-Restore-Request" not in headers
    )
