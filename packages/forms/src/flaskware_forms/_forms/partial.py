"""Validates only the fields that a page asks for, while somebody types."""

from __future__ import annotations

import collections.abc as cabc
import types
import typing as t

import flask
import pydantic

from flaskware_forms._body.decoder import split
from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.error import Path
from flaskware_forms._errors.problem import BadBody
from flaskware_forms._fields.place import follow
from flaskware_forms._fields.place import Place
from flaskware_forms._fields.place import steps_of
from flaskware_forms._fields.validation import valid_fields
from flaskware_forms._markup.theme import VALIDATE_HEADER

from .checks import async_failures
from .checks import Check
from .checks import choice_errors
from .checks import due
from .checks import failures
from .compiled import CompiledForm
from .response import problem_response
from .submission import Submission

PARTIAL_HEADER = "HTTP_" + VALIDATE_HEADER.upper().replace("-", "_")
"""The key of the header in a WSGI environment."""

# No honest page asks for more at once.
_MOST = 50


def asked_heads(names: str, known: cabc.Container[str]) -> dict[str, str]:
    """The fields of the form itself that a header names, by each name in it.

    :raises BadBody: if one is not of the form.
    """
    found: dict[str, str] = {}
    for name in names.split(",")[: _MOST + 1]:
        stripped = name.strip()
        head = stripped if stripped in known else next(iter(split(stripped)), "")
        if head not in known or len(found) == _MOST:
            raise BadBody("The form has no such field to validate.")
        found[stripped] = head
    return found


class PartialValidation:
    """A request to validate some fields of a form, and do nothing else."""

    def __init__(self, submission: Submission[t.Any]) -> None:
        self._submission = submission
        form = submission.compiled
        header = flask.request.headers[VALIDATE_HEADER]
        self._heads = asked_heads(header, form.schema.by_key)
        # Where a row is asked for by its number, no other may be left out.
        numbered = any(step.isdecimal() for n in self._heads for step in split(n))
        self._sent = sent = submission.read(keep_blank=numbered)
        self._errors: list[FormError] = []
        try:
            submission.validate(sent)
        except pydantic.ValidationError as error:
            self._errors.extend(submission.explain(error))
        wrong = {error.path[0] for error in self._errors if error.path}
        self._values = valid_fields(
            form.model, sent, wrong, submission.context, strict=submission.strict
        )
        if form.asks_choices:
            values = types.SimpleNamespace(**self._values)
            self._errors.extend(choice_errors(form.schema, values, submission.language))

    def checks(self) -> cabc.Iterator[tuple[Check, t.Any]]:
        """The checks of the fields that are asked for, where their types passed."""
        heads = set(self._heads.values())
        checks = (
            check
            for check in self._submission.compiled.checks
            if check.attributes
            and check.path[0] in heads
            and check.attributes[0] in self._values
        )
        return due(checks, types.SimpleNamespace(**self._values))

    def answer(self, errors: cabc.Iterable[FormError]) -> flask.Response:
        """Answer with the errors of the fields that are asked for."""
        submission = self._submission
        form = submission.compiled
        places = [field_for(form, name, self._sent) for name in self._heads]
        found = tuple(
            error
            for error in (*self._errors, *errors)
            if any(_is_below(error.path, place.names.path) for place in places)
        )
        submission.fail(self._sent, found)
        if "HX-Request" in flask.request.headers:
            context, _ = submission.markup(live=True)
            rows = [
                place.node.build(place.names, context).row(
                    place.value, submission.errors_by_path
                )
                for place in places
            ]
            response = flask.Response("".join(rows), mimetype="text/html")
        elif found:
            response = problem_response(found, 422)
        else:
            response = flask.Response(status=204)
        response.vary.update(("HX-Request", VALIDATE_HEADER))
        response.cache_control.no_store = True
        return response


def _is_below(path: Path, start: Path) -> bool:
    return path[: len(start)] == start


def answer(submission: Submission[t.Any]) -> flask.Response:
    """Answer a request that asks for some fields of a form."""
    partial = PartialValidation(submission)
    return partial.answer(failures(partial.checks()))


async def async_answer(submission: Submission[t.Any]) -> flask.Response:
    """Same as :func:`answer`, for async views."""
    partial = PartialValidation(submission)
    return partial.answer(await async_failures(partial.checks()))


def field_for(form: CompiledForm[t.Any], name: str, values: t.Any) -> Place:
    """Return the field that a control's name leads to.

    :raises BadBody: if there is none.
    """
    place = follow(form.schema, form.name, steps_of(form.schema, name), values)
    if place is None:
        raise BadBody("The form has no such field to validate.")
    return place
