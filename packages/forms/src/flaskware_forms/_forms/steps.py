"""One typed form over several pages."""

from __future__ import annotations

import collections.abc as cabc
import json
import re
import typing as t

import flask
import pydantic
from markupsafe import Markup
from werkzeug.exceptions import NotFound

from flaskware_core import DeclarationError
from flaskware_forms._body.body import decode_values
from flaskware_forms._body.body import form_values
from flaskware_forms._csrf.layered import PAGES_MARK
from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.problem import wants_json
from flaskware_forms._exchanges.current import current_exchange
from flaskware_forms._fields.structures import Group
from flaskware_forms._fields.validation import fields_validator
from flaskware_forms._fields.validation import from_validation
from flaskware_forms._markup.theme import safe

from .bound import Bound
from .checks import async_failures
from .checks import choice_errors
from .checks import due
from .checks import failures
from .spec import FieldCheck
from .spec import FormSpec
from .spec import Registers
from .state import forms_state
from .submission import Submission
from .view import handle
from .view import Opened

M = t.TypeVar("M", bound=pydantic.BaseModel)
P = t.ParamSpec("P")
R = t.TypeVar("R")

BACK = "_back"
"""The name of the button that goes back to the page before."""

_HEAD = re.compile(r"[.\-\[]")
_PREFIX = "flaskware_forms."


class Steps(t.Generic[M]):
    """A form whose fields are spread over several pages.

    The input is kept in Flask's session until the last page, so that people can leave
    the form and continue later.

    :param model: The declaration of all of it.
    :param name: See :class:`FormSpec`.
    :param pages: The names of the fields of each page, in order, by the name of the
        page in the URL.
    :raises DeclarationError: if a field is on no page or on two, if it takes files, or
        if a secret is asked for before the last page. Anyone who reads the session
        can read the input.
    """

    def __init__(
        self, model: type[M], *, name: str, pages: cabc.Mapping[str, cabc.Sequence[str]]
    ) -> None:
        self.whole = FormSpec(model, name=name)
        self.name = name
        if self.whole.compiled.schema.takes_extras:
            raise DeclarationError(
                f"{model.__name__} has extra='allow', but pages keep only what has a"
                " field. Leave it out, or write the fields."
            )
        placed = [field for fields in pages.values() for field in fields]
        if sorted(placed) != sorted(model.model_fields):
            odd = {f for f in placed if placed.count(f) > 1}
            odd |= set(placed) ^ set(model.model_fields)
            raise DeclarationError(
                f"Each field of {model.__name__} must be on one page of {name!r}; see:"
                f" {', '.join(sorted(odd))}."
            )
        self.pages: dict[str, FormSpec[t.Any]] = {
            page: _page(self.whole, page, fields) for page, fields in pages.items()
        }
        last = list(pages)[-1]
        for page, spec in self.pages.items():
            _refuse_what_cannot_be_kept(spec.compiled.schema, name, last=page == last)

    @t.overload
    def check(self, field: None = None, /) -> Registers[M]: ...

    @t.overload
    def check(self, field: str, /) -> cabc.Callable[[FieldCheck], FieldCheck]: ...

    def check(self, field: str | None = None, /) -> t.Any:
        """Same as :meth:`FormSpec.check`; the check of a field runs on its page."""
        head = (field or "").partition(".")[0]
        specs = (s for s in self.pages.values() if head in s.model.model_fields)
        spec: t.Any = next(specs, self.whole)
        return spec.check(field)

    @t.overload
    def handles(
        self,
        view: cabc.Callable[t.Concatenate[BoundSteps[M], P], cabc.Awaitable[R]],
        /,
    ) -> cabc.Callable[P, cabc.Awaitable[R]]: ...

    @t.overload
    def handles(
        self, view: cabc.Callable[t.Concatenate[BoundSteps[M], P], R], /
    ) -> cabc.Callable[P, R]: ...

    def handles(self, view: t.Any, /) -> t.Any:
        """Decorate a view that gets the page of the request as its first argument.

        Its route needs the argument ``step``, which the view gets too. A route that
        names no methods takes GET and POST.
        """
        wrapped = handle(view, self.whole.compiled, self._open)
        pages = {name: spec.compiled for name, spec in self.pages.items()}
        setattr(wrapped, PAGES_MARK, pages)
        return wrapped

    def _open(self, arguments: cabc.Mapping[str, t.Any]) -> Opened:
        flow, submission = self._bind(arguments["step"])
        return flow, submission, flow.start

    def _bind(self, step: str) -> tuple[BoundSteps[M], Submission[t.Any]]:
        if step not in self.pages:
            raise NotFound
        exchange = current_exchange()
        state = forms_state(exchange.app)
        submission = Submission(self.pages[step].compiled, exchange, state, None)
        return BoundSteps(self, step, submission), submission

    def bind(self, step: str) -> BoundSteps[M]:
        """Return the page of the current request.

        :raises NotFound: if there is no such page.
        """
        flow, _ = self._bind(step)
        flow.show_kept()
        return flow

    async def async_bind(self, step: str) -> BoundSteps[M]:
        """Same as :meth:`bind`, for coroutines: the body is awaited."""
        flow, submission = self._bind(step)
        await submission.load()
        flow.show_kept()
        return flow


class BoundSteps(t.Generic[M]):
    """A page of a form, and the input of the other pages."""

    def __init__(
        self, steps: Steps[M], step: str, submission: Submission[t.Any]
    ) -> None:
        self.steps = steps
        self.step = step
        """The name of this page."""

        self.names: tuple[str, ...] = tuple(steps.pages)
        """The names of all pages, in order."""

        self.form: Bound[t.Any] = Bound(steps.pages[step], submission)
        """The form of this page."""

        self._submission = submission
        self._whole = steps.whole.compiled
        self._next: str | None = None

    @property
    def number(self) -> int:
        """The number of this page, from 1."""
        return self.names.index(self.step) + 1

    @property
    def is_last(self) -> bool:
        """True if this is the last page."""
        return self.number == len(self.names)

    def submit(self) -> M | None:
        """Return the validated data of all pages, once the last page is valid too.

        :raises HTTPException: see :meth:`Bound.submit`.
        """
        self._submission.exchange.refuse_in_event_loop("submit")
        page = None if self._goes_back() else self._submission.submit()
        data = self._gather(page)
        if data is None:
            return None
        exchange = self._submission.exchange
        return self._accept(data, failures(exchange, due(self._whole.checks, data)))

    async def async_submit(self) -> M | None:
        """Same as :meth:`submit`, for coroutines: the body and checks are awaited."""
        await self._submission.load()
        page = None if self._goes_back() else await self._submission.async_submit()
        data = self._gather(page)
        if data is None:
            return None
        return self._accept(data, await async_failures(due(self._whole.checks, data)))

    def respond(self, template: str, **context: t.Any) -> flask.Response:
        """Show this page, with its errors if any, or redirect to another page."""
        if self._next is not None:
            return self._go(self._next)
        return self.form.respond(template, flow=self, **context)

    async def async_respond(self, template: str, **context: t.Any) -> flask.Response:
        """Same as :meth:`respond`, for coroutines: the template is awaited."""
        if self._next is not None:
            return self._go(self._next)
        return await self.form.async_respond(template, flow=self, **context)

    def done(self, url: str, obj: object = None) -> flask.Response:
        """Answer that the form was accepted, and forget its input."""
        self.clear()
        return self.form.done(url, obj)

    def clear(self) -> None:
        """Forget the input of this form."""
        self._session.pop(_PREFIX + self.steps.name, None)

    def render(self, *, action: str = "", live: bool = False) -> Markup:
        """The form of this page, with buttons to continue and to go back."""
        context, _ = self._submission.markup()
        say, theme = context.say, context.theme
        back = ""
        if self.number > 1:
            attrs = Markup(' name="{}" value="1" formnovalidate').format(BACK)
            back = theme.button(kind="back", text=say("Back"), attrs=attrs)
        text = say("Send") if self.is_last else say("Next")
        whole = self.form.render(action=action, submit=text, live=live)
        # After the other button, which the Enter key presses.
        start, _, end = str(whole).rpartition("\n</form>")
        return safe(f"{start} {back}\n</form>{end}")

    @property
    def _session(self) -> cabc.MutableMapping[str, t.Any]:
        return self._submission.exchange.session

    def _goes_back(self) -> bool:
        submission = self._submission
        if not submission.is_sent or self.number == 1:
            return False
        exchange = submission.exchange
        if exchange.request.is_json or BACK not in exchange.form:
            return False
        if submission.state.csrf.refusal(exchange) is not None:
            return False
        submission.is_read = True
        self._keep()
        self._next = self.names[self.number - 2]
        return True

    def _gather(self, page: object) -> M | None:
        """Return all of the data, if this is the last page and all pages are valid."""
        submission = self._submission
        if submission.sent is not None:
            self._keep()
        if page is None:
            return None
        if not self.is_last:
            if not submission.errors:
                self._next = self.names[self.number]
            return None
        sent = self._whole.guarded(self._sent(), None)
        try:
            return self._whole.validate(sent, strict=False, context=submission.context)
        except pydantic.ValidationError as error:
            schema = self._whole.schema
            self._reject(from_validation(error, schema, submission.language, sent))
            return None

    def _sent(self) -> dict[str, t.Any]:
        """The decoded bodies of all pages, as one."""
        sent: dict[str, t.Any] = {}
        for name in self.names:
            own = name == self.step
            sent.update((self._submission.sent if own else self._kept(name)) or {})
        return sent

    def _accept(self, data: M, errors: list[FormError]) -> M | None:
        language = self._submission.language
        schema = self._whole.schema
        errors.extend(choice_errors(schema, data, language, self._sent()))
        if errors:
            self._reject(tuple(errors))
            return None
        return data

    def _reject(self, errors: tuple[FormError, ...]) -> None:
        """Show the errors on the first page that has one."""
        for name, spec in self.steps.pages.items():
            if name == self.step:
                break
            fields = spec.compiled.schema.by_key
            if any(e.path and e.path[0] in fields for e in errors):
                self._next = name
                return
        self._submission.reject(*errors, status=422)

    def show_kept(self) -> None:
        """Show what was kept of this page, unless it is sent."""
        if not self._submission.is_sent:
            kept = self._kept(self.step)
            if kept is not None:
                self._submission.show(kept)

    def start(self) -> flask.Response | None:
        """Redirect to the first page that is not valid, if it is before this page."""
        if self._submission.is_sent:
            return None
        self.show_kept()
        for name in self.names[: self.number - 1]:
            if not self._is_right(name):
                return self._go(name)
        return None

    def _is_right(self, name: str) -> bool:
        kept = self._kept(name)
        if kept is None:
            return False
        page = self.steps.pages[name].compiled
        kept = page.guarded(kept, None)
        try:
            page.validate(kept, strict=False, context=self._submission.context)
        except pydantic.ValidationError:
            return False
        return True

    def _go(self, name: str) -> flask.Response:
        app, request = self._submission.exchange.app, self._submission.exchange.request
        arguments: dict[str, t.Any] = {**(request.view_args or {}), "step": name}
        any_app: t.Any = app
        url: str = any_app.url_for(str(request.endpoint), **arguments)
        if wants_json(request):
            response: flask.Response = any_app.json.response({"step": name})
            response.headers["Location"] = url
            return response
        return self.form.done(url)

    def _keep(self) -> None:
        """Keep the input of this page, as it came."""
        exchange = self._submission.exchange
        schema = self._submission.compiled.schema
        fields = schema.by_key
        secrets = {leaf.key for leaf in schema.children if leaf.is_secret}
        if exchange.request.is_json:
            kept: dict[str, t.Any] = {"json": self._submission.sent}
        else:
            kept = {
                "form": {
                    name: values
                    for name, values in form_values(exchange).items()
                    if name in fields or _HEAD.split(name)[0] in fields
                    if name not in secrets
                }
            }
        key = _PREFIX + self.steps.name
        state = {**self._session.get(key, {}), self.step: kept}
        submission = self._submission
        if len(json.dumps(state)) > submission.state.settings.max_step_state:
            message = submission.say("state_too_large")
            error = FormError((), "state_too_large", message)
            submission.reject(error, status=422)
            return
        self._session[key] = state

    def _kept(self, name: str) -> dict[str, t.Any] | None:
        kept = self._session.get(_PREFIX + self.steps.name, {}).get(name)
        if kept is None:
            return None
        if "json" in kept:
            return t.cast("dict[str, t.Any]", kept["json"])
        decoder = self.steps.pages[name].compiled.decoder
        return decode_values(kept["form"], decoder, self._submission.state.settings)


def _page(
    whole: FormSpec[t.Any], page: str, fields: cabc.Sequence[str]
) -> FormSpec[t.Any]:
    """Make the form of a page, with the validation of the whole model."""
    infos = whole.model.model_fields
    own: dict[str, t.Any] = {n: (infos[n].annotation, infos[n]) for n in fields}
    config = whole.model.model_config
    model = pydantic.create_model(
        f"{whole.model.__name__}_{page}", __config__=config, **own
    )
    spec: FormSpec[t.Any] = FormSpec(model, name=whole.name)
    keys = spec.compiled.schema.by_key
    validator = fields_validator(whole.model, keys.__contains__)

    def construct(found: t.Any) -> t.Any:
        values, _, seen = found
        return model.model_construct(seen, **values)

    def validate(sent: t.Any, **options: t.Any) -> t.Any:
        return construct(validator.validate_python(sent, **options))

    def validate_json(text: bytes, **options: t.Any) -> t.Any:
        return construct(validator.validate_json(text, **options))

    spec.compiled.validate = validate
    spec.compiled.validate_json = validate_json
    return spec


def _refuse_what_cannot_be_kept(schema: Group, name: str, *, last: bool) -> None:
    for leaf, _ in schema.leaves():
        if leaf.is_file:
            raise DeclarationError(
                f"{leaf.attribute} takes a file, which is not kept between pages."
                f" Ask for it in a form of its own, after {name!r}."
            )
        if leaf.is_secret and not last:
            raise DeclarationError(
                f"{leaf.attribute} is a secret: ask for it on the last page."
            )
