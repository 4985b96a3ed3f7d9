"""Validation of some fields of a form, while somebody fills it in."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import types
import typing as t

import flask
import pydantic

from flaskware_forms._body.body import JsonBody
from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.problem import BadBody
from flaskware_forms._errors.problem import make_response
from flaskware_forms._errors.problem import problem_response
from flaskware_forms._exchanges.exchange import Exchange
from flaskware_forms._fields.place import follow
from flaskware_forms._fields.place import Place
from flaskware_forms._fields.place import steps_of
from flaskware_forms._fields.validation import fields_validator
from flaskware_forms._markup.theme import VALIDATE_HEADER

from .checks import async_failures
from .checks import choice_errors
from .checks import Due
from .checks import due
from .checks import failures
from .submission import data_of
from .submission import Submission

# No honest page asks for more at once.
_MOST = 50
_UNKNOWN = "The form has no such field to validate."


def is_partial(exchange: Exchange) -> bool:
    """Return true if a request asks for some fields of a form only."""
    return VALIDATE_HEADER in exchange.request.headers


class PartialValidation:
    """A request to validate some fields of a form, and do nothing else."""

    def __init__(self, submission: Submission[t.Any]) -> None:
        self._submission = submission
        form = submission.compiled
        header = submission.exchange.request.headers[VALIDATE_HEADER]
        names = list(dict.fromkeys(name.strip() for name in header.split(",")))
        if len(names) > _MOST:
            raise BadBody(_UNKNOWN)
        self._names = names
        self._paths = [field_for(submission, name).names.path for name in self._names]
        # Where a row is asked for by its number, no other may be left out.
        numbered = any(isinstance(step, int) for p in self._paths for step in p)
        body = submission.read(keep_blank=numbered)
        self._sent = sent = data_of(body)
        self._errors: list[FormError] = [*submission.repeated(body)]
        try:
            submission.validate(body)
        except pydantic.ValidationError as error:
            self._errors.extend(submission.explain(error, body))
        wrong = {error.path[0] for error in self._errors if error.path}
        # The fields that are valid by themselves. Validators of the whole model do not
        # run, as most fields are not filled in yet.
        self._values: dict[str, t.Any] = {}
        if isinstance(sent, dict):
            sent = form.guarded(t.cast("dict[str, t.Any]", sent), submission.initial)
            part = fields_validator(form.model, lambda key: key not in wrong)
            with contextlib.suppress(pydantic.ValidationError):
                context = submission.context
                if isinstance(body, JsonBody):
                    found = part.validate_json(body.text, context=context)
                else:
                    found = part.validate_python(sent, context=context, strict=False)
                self._values, *_ = found
        if form.asked_choices:
            values = types.SimpleNamespace(**self._values)
            language = submission.language
            self._errors.extend(choice_errors(form.schema, values, language, sent))

    def checks(self) -> Due:
        """The checks of the fields that are asked for, where their types passed."""
        heads = {path[0] for path in self._paths}
        checks = (
            check
            for check in self._submission.compiled.checks
            if check.attributes
            and check.keys[0] in heads
            # All of the data is not known yet, nor is the object.
            and not check.takes_context
            and check.attributes[0] in self._values
        )
        return due(checks, types.SimpleNamespace(**self._values))

    def answer(self, errors: cabc.Iterable[FormError]) -> flask.Response:
        """Answer with the errors of the fields that are asked for."""
        submission = self._submission
        found = tuple(
            error
            for error in (*self._errors, *errors)
            if any(error.path[: len(path)] == path for path in self._paths)
        )
        submission.fail(self._sent, found)
        app, headers = submission.exchange.app, submission.exchange.request.headers
        if "HX-Request" in headers:
            context, _ = submission.markup(live=True)
            at = submission.errors_by_path
            places = [field_for(submission, name, self._sent) for name in self._names]
            rows = [p.node.build(p.names, context).row(p.value, at) for p in places]
            response = make_response(app, "".join(rows), mimetype="text/html")
        elif found:
            response = problem_response(app, found, 422)
        else:
            response = make_response(app, status=204)
        response.vary.update(("HX-Request", VALIDATE_HEADER))
        response.cache_control.no_store = True
        return response


def answer(submission: Submission[t.Any]) -> flask.Response:
    """Answer a request that asks for some fields of a form."""
    partial = PartialValidation(submission)
    return partial.answer(failures(submission.exchange, partial.checks()))


async def async_answer(submission: Submission[t.Any]) -> flask.Response:
    """Same as :func:`answer`, for async views."""
    await submission.load()
    partial = await submission.exchange.aside(PartialValidation, submission)
    return partial.answer(await async_failures(partial.checks()))


def field_for(submission: Submission[t.Any], name: str, values: t.Any = None) -> Place:
    """Return the field that a control's name leads to.

    :raises BadBody: if there is none.
    """
    schema, root = submission.compiled.schema, submission.root
    start = f"{root.name}." if root.name else ""
    place = None
    if name.startswith(start):
        steps = steps_of(schema, name.removeprefix(start))
        place = follow(schema, root, steps, values)
    if place is None:
        raise BadBody(_UNKNOWN)
    return place
