from __future__ import annotations

import collections.abc as cabc
import typing as t

import pydantic
import pydantic_core
from flask_wtf.csrf import CSRFError

from flaskware_forms._body.body import bad_json
from flaskware_forms._body.body import decode_values
from flaskware_forms._body.body import JsonBody
from flaskware_forms._body.body import query_values
from flaskware_forms._body.body import read_body
from flaskware_forms._body.body import without_prefix
from flaskware_forms._body.decoder import Decoded
from flaskware_forms._body.decoder import read_extras
from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.error import Path
from flaskware_forms._errors.messages import Language
from flaskware_forms._errors.problem import BadBody
from flaskware_forms._exchanges.exchange import Exchange
from flaskware_forms._exchanges.exchange import FORM_TYPES
from flaskware_forms._exchanges.exchange import UNSAFE
from flaskware_forms._fields.builder import ROW_BUTTON
from flaskware_forms._fields.place import rearrange
from flaskware_forms._fields.place import steps_of
from flaskware_forms._fields.validation import from_validation
from flaskware_forms._fields.validation import repeated_keys
from flaskware_forms._markup.names import BUTTON
from flaskware_forms._markup.names import ControlNames
from flaskware_forms._markup.names import FORM
from flaskware_forms._markup.theme import RenderContext
from flaskware_forms._schema.values import fields_in
from flaskware_forms._schema.values import items_of

from .checks import async_failures
from .checks import choice_errors
from .checks import due
from .checks import failures
from .compiled import CompiledForm
from .state import Fields
from .state import FormsState

M = t.TypeVar("M", bound=pydantic.BaseModel)
V = t.TypeVar("V")

_SAFE = frozenset({"GET", "HEAD"})


def data_of(body: t.Any) -> t.Any:
    """The data of a body, parsed if it is JSON."""
    return body.data if isinstance(body, JsonBody) else body


class Submission(t.Generic[M]):
    """A form as one request sent it, with its data and its errors.

    :class:`Bound` shows it to a view. The rest of the package uses the
    submission itself.

    :param initial: The object or mapping that the form shows before it is sent.
    """

    __slots__ = (
        "_by_path", "_is_sent", "_sent", "_shown", "_values", "compiled", "data",
        "errors", "exchange", "focus", "initial", "is_read", "root", "state", "status",
    )  # fmt: skip

    def __init__(
        self,
        compiled: CompiledForm[M],
        exchange: Exchange,
        state: FormsState,
        initial: object,
        prefix: str = "",
    ) -> None:
        self.compiled = compiled
        # The names of the form on this page.
        self.root = ControlNames.root(compiled.name, prefix)
        self.state = state
        self.initial = initial
        self.exchange = exchange
        self._is_sent: bool | None = None
        # The id of the control that the page puts the focus on.
        self.focus = ""
        if exchange.request.method in UNSAFE:
            limit = state.settings.max_body_size
            if compiled.upload_sizes:
                limit = compiled.max_body_size(state.settings)
            exchange.bound(limit)
        # True once the body was read, or an error was added.
        self.is_read = False
        # The decoded body, and the validated data until an error is found.
        self._sent: t.Any = None
        self.data: M | None = None
        # The errors, and the status of an answer that shows them.
        self.errors: tuple[FormError, ...] = ()
        self.status = 422
        self._values: dict[str, t.Any] | None = None
        # The decoded body that is shown instead of the initial values.
        self._shown: t.Any = None
        self._by_path: dict[Path, list[FormError]] | None = None

    @property
    def is_sent(self) -> bool:
        """True if the request sends this form, rather than asks for its page."""
        if self._is_sent is None:
            self._is_sent = self._find_out()
        return self._is_sent

    def _find_out(self) -> bool:
        request = self.exchange.request
        if self.compiled.method == "get":
            schema = self.compiled.schema
            names = without_prefix(request.args, self.root.name)
            heads = {next(iter(steps_of(schema, name)), "") for name in names}
            return request.method in _SAFE and not heads.isdisjoint(schema.by_key)
        if request.method not in UNSAFE:
            return False
        # A form that was written by hand may not say which it is, and JSON never does.
        sent: cabc.Sequence[str] = ()
        if request.mimetype in FORM_TYPES:
            sent = self.exchange.form.getlist(FORM)
        return not sent or self.root.id in sent

    def submit(self) -> M | None:
        """Return the data if it is valid and all checks pass."""
        data = self._receive()
        if data is None:
            return None
        checks = self.compiled.checks
        if not checks:
            return self.accept(data, [])
        found = failures(self.exchange, due(checks, data, self.initial))
        return self.accept(data, found)

    async def async_submit(self) -> M | None:
        """Return the data as :meth:`submit` does, with the checks awaited."""
        await self.load()
        if self.compiled.upload_sizes:
            # Files are read, and a picture may be decoded in a process.
            data = await self.exchange.aside(self._receive)
        else:
            data = self._receive()
        if data is None:
            return None
        checks = due(self.compiled.checks, data, self.initial)
        return self.accept(data, await async_failures(checks))

    async def load(self) -> None:
        """Read the body of a request that sends a form, and ask for choices.

        :raises CrossSiteRefused: for a request from another site, unread.
        """
        exchange = self.exchange
        for choice in self.compiled.asked_choices:
            await choice.async_ask(exchange)
        if exchange.request.method in UNSAFE:
            if self.compiled.method == "post":
                self.state.csrf.is_settled(exchange)
            await exchange.load()

    def _receive(self) -> M | None:
        """Decode and validate the body, once; ``None`` if no check is to follow."""
        if self.is_read or not self.is_sent:
            return self.data
        self.is_read = True
        # First, so that no body of another site is read.
        refusal = None
        if self.compiled.method == "post":
            refusal = self.state.csrf.refusal(self.exchange)
        self.exchange.is_read = True
        row = self._row() if refusal is None else None
        sent = self._read_body(row is not None)
        if refusal is not None:
            code = refusal.code
            self.fail(sent, (FormError((), code, self.say(code)),), 400)
            return None
        if row is not None:
            limit = self.state.settings.max_entries
            kind, _, name = row.partition(":")
            start = f"{self.root.name}." if self.root.name else ""
            if name.startswith(start):
                row = f"{kind}:{name.removeprefix(start)}"
                schema, root = self.compiled.schema, self.root
                self.focus = rearrange(sent, schema, root, row, max_entries=limit)
            self.show(sent)
            return None
        self._sent = sent
        pressed = self.pressed
        if pressed is not None and not self.compiled.buttons[pressed].validates:
            self.show(sent)
            return None
        return self._validated(sent)

    def _validated(self, sent: t.Any) -> M | None:
        errors = (*self._unknown_names(sent), *self.repeated(sent))
        try:
            data = self.validate(sent)
        except pydantic.ValidationError as error:
            errors = (*self.explain(error, sent), *errors)
        else:
            if not errors:
                return data
        self.fail(sent, errors)
        return None

    def _unknown_names(self, sent: t.Any) -> tuple[FormError, ...]:
        """An error for each name of a form that is like a field's and names none."""
        if not isinstance(sent, Decoded):
            return ()
        paths = list(sent.unknown)
        if self.compiled.model.model_config.get("extra") == "forbid":
            paths += [(name,) for name in self._not_ours(sent.foreign)]
        return tuple(
            FormError(path, "extra_forbidden", self.say("extra_forbidden"))
            for path in paths
        )

    def read(self, *, keep_blank: bool) -> t.Any:
        """Return the decoded body, neither validated nor kept.

        :raises CSRFError: if the request has no valid token.
        """
        refusal = self.state.csrf.refusal(self.exchange)
        sent = self._read_body(keep_blank)
        if refusal is not None:
            raise CSRFError(self.say(refusal.code))
        return sent

    def _decode_body(self, keep_blank: bool) -> t.Any:
        exchange, settings = self.exchange, self.state.settings
        decoder, prefix = self.compiled.decoder, self.root.name
        if self.compiled.method == "get":
            values = without_prefix(query_values(exchange.request), prefix)
            return decode_values(values, decoder, settings, keep_blank)
        files = bool(self.compiled.upload_sizes)
        return read_body(exchange, decoder, settings, files, keep_blank, prefix)

    def _read_body(self, keep_blank: bool) -> t.Any:
        sent = self._decode_body(keep_blank)
        if self.compiled.schema.takes_extras and isinstance(sent, Decoded):
            sent.update(read_extras(self._not_ours(sent.foreign)))
        return sent

    def _not_ours(self, foreign: cabc.Mapping[str, V]) -> dict[str, V]:
        """The values of a body that are neither of a field nor of the form itself."""
        token = t.cast("str", self.exchange.app.config["WTF_CSRF_FIELD_NAME"])
        # Names of the form's own begin with an underscore, those of fields do not.
        return {n: v for n, v in foreign.items() if n != token and n[:1] != "_"}

    def hidden(self, name: str) -> str | None:
        """A value of the form that is not that of a field; JSON has none."""
        request = self.exchange.request
        if self.compiled.method == "get":
            return request.args.get(name)
        return None if request.is_json else self.exchange.form.get(name)

    def hidden_name(self, name: str) -> str:
        """The name of such a value on a page that has the form several times."""
        return f"{self.root.name}.{name}" if self.root.name else name

    def _row(self) -> str | None:
        """The button that was pressed to add or remove a row."""
        return self.hidden(ROW_BUTTON) if self.compiled.has_rows else None

    @property
    def pressed(self) -> str | None:
        """The button that sent the form; the first after the Enter key.

        ``None`` if the form has no named buttons, is not sent, or was refused.

        :raises BadBody: if there is no such button.
        """
        buttons = self.compiled.buttons
        if not buttons or not self.is_sent or self.exchange.request.is_json:
            return None
        csrf = self.state.csrf
        if self.compiled.method == "post" and csrf.refusal(self.exchange) is not None:
            return None
        if self._row() is not None:
            return None
        name = self.hidden(BUTTON) or next(iter(buttons))
        if name not in buttons:
            raise BadBody("The form has no such button.")
        return name

    @property
    def sent(self) -> t.Any:
        """The decoded body; ``None`` before it was read without a refusal."""
        return data_of(self._sent)

    def validate(self, sent: t.Any) -> M:
        """Return the validated data of a body.

        :raises pydantic.ValidationError: if it is not valid.
        :raises BadBody: if it is not JSON.
        """
        sent = self._guarded(sent)
        if not isinstance(sent, JsonBody):
            # Text is never of the right type, however strict the model.
            return self.compiled.validate(sent, strict=False, context=self.context)
        text, schema = sent.text, self.compiled.schema
        method = self.exchange.request.method
        patch = method == "PATCH" and self.initial is not None
        if patch and isinstance(sent.data, dict):
            whole = schema.merged(fields_in(sent.data), self.initial)
            text = pydantic_core.to_json(whole, fallback=str)
        try:
            data = self.compiled.validate_json(text, context=self.context)
        except pydantic.ValidationError as error:
            if any(
                e["type"] == "json_invalid" and not e["loc"] for e in error.errors()
            ):
                raise bad_json() from None
            raise
        if patch:
            schema.forget_merged(data, fields_in(sent.data))
        return data

    def _guarded(self, sent: t.Any) -> t.Any:
        """The body without what nobody can change."""
        compiled = self.compiled
        if not compiled.has_locked:
            return sent
        if not isinstance(sent, JsonBody):
            return compiled.guarded(sent, self.initial)
        data = compiled.guarded(sent.data, self.initial)
        text = pydantic_core.to_json(data, fallback=str)
        return JsonBody(text, self.state.settings)

    @property
    def context(self) -> dict[str, t.Any]:
        """The context that every validation gets."""
        return {"max_upload_size": self.state.settings.max_upload_size}

    def accept(self, data: M, errors: list[FormError]) -> M | None:
        """Accept validated data, unless a check or a choice failed."""
        if self.data is not None:
            return self.data
        if self.compiled.asked_choices:
            schema = self.compiled.schema
            sent = data_of(self._sent)
            errors.extend(choice_errors(schema, data, self.language, sent))
        if errors:
            self.fail(self._sent, tuple(errors))
            return None
        self.data = data
        self.show(self._sent)
        return data

    def fail(
        self, sent: t.Any, errors: tuple[FormError, ...], status: int = 422
    ) -> None:
        """Show what was sent, with these errors and no others."""
        self.errors = errors
        self.status = status
        self._by_path = None
        self.show(sent)

    def reject(self, *errors: FormError, status: int | None = None) -> None:
        """Add errors, and withdraw the data."""
        self.is_read = True
        self.data = None
        self.errors = (*self.errors, *errors)
        self._by_path = None
        if status is not None:
            self.status = status

    def refuse_unknown_row(self, path: Path, field: str | None) -> None:
        """Raise :exc:`ValueError` if a path names a row that the form does not have."""
        value: t.Any = self.values
        for step in path:
            if isinstance(step, int):
                rows = items_of(value)
                if step >= len(rows):
                    raise ValueError(
                        f"{field!r} names row {step}, but the form was sent with"
                        f" {len(rows)} rows; the first is row 0."
                    )
                value = rows[step]
            else:
                value = fields_in(value).get(step)

    def show(self, sent: t.Any) -> None:
        """Show a decoded body instead of the initial values, where it has any."""
        self._shown = sent
        self._values = None

    def say(self, code: str, **context: t.Any) -> str:
        """Return the sentence for the code of an error."""
        return self.language.message(code, context) or code

    def explain(
        self, error: pydantic.ValidationError, sent: t.Any
    ) -> tuple[FormError, ...]:
        """Return the errors of a validation of a body, in words for people."""
        schema = self.compiled.schema
        return from_validation(error, schema, self.language, data_of(sent))

    def repeated(self, sent: t.Any) -> tuple[FormError, ...]:
        """An error for each key of a dictionary that a form has twice."""
        if not self.compiled.has_keys:
            return ()
        text = self.say("repeated_key")
        paths = repeated_keys(data_of(sent))
        return tuple(FormError(path, "repeated_key", text) for path in paths)

    @property
    def language(self) -> Language:
        """The language of the request."""
        return self.state.markup.language()

    @property
    def values(self) -> dict[str, t.Any]:
        """The values of the controls, as they were sent; else the initial values."""
        if self._values is not None:
            return self._values
        schema = self.compiled.schema
        if self._shown is None:
            values = schema.initial_fields(self.initial)
        else:
            sent = fields_in(data_of(self._shown))
            values = schema.completed(sent, self.initial)
            if self.compiled.has_locked:
                values = schema.guarded(values, self.initial, for_page=True)
        self._values = values
        return values

    @property
    def errors_by_path(self) -> cabc.Mapping[Path, list[FormError]]:
        """The errors, by the field that they belong to."""
        if self._by_path is None:
            self._by_path = {}
            for error in self.errors:
                self._by_path.setdefault(error.path, []).append(error)
        return self._by_path

    def markup(self, *, live: bool = False) -> tuple[RenderContext, Fields]:
        """Return the markup of the form, ready to be filled in."""
        return self.state.markup.of(self.compiled, self.root, live=live)
