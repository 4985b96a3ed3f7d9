"""Validates only the fields that a page asks for, while somebody types."""

from __future__ import annotations

import collections.abc as cabc
import re
import types
import typing as t

import flask
import pydantic
from pydantic_core import core_schema
from pydantic_core import SchemaValidator

from flaskware_forms._errors.error import child_of
from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.error import Path
from flaskware_forms._errors.problem import BadBody
from flaskware_forms._markup.groups import build
from flaskware_forms._markup.names import ControlNames
from flaskware_forms._markup.theme import VALIDATE_HEADER
from flaskware_forms._schema.nodes import Group
from flaskware_forms._schema.nodes import Node
from flaskware_forms._schema.nodes import Variants

from .checks import async_failures
from .checks import Check
from .checks import choice_errors
from .checks import due
from .checks import failures
from .response import problem_response
from .submission import Submission

PARTIAL_HEADER = "HTTP_" + VALIDATE_HEADER.upper().replace("-", "_")
"""The key of the header in a WSGI environment."""

_SEPARATORS = re.compile(r"[.\-\[\]]+")

# No honest page asks for more at once.
_MOST = 50


def asked_heads(names: str, known: cabc.Container[str]) -> dict[str, str]:
    """The fields of the form itself that a header names, by each name in it.

    :raises BadBody: if one is not of the form.
    """
    found: dict[str, str] = {}
    for name in names.split(",")[: _MOST + 1]:
        stripped = name.strip()
        head = stripped if stripped in known else _SEPARATORS.split(stripped)[0]
        if head not in known or len(found) == _MOST:
            raise BadBody("The form has no such field to validate.")
        found[stripped] = head
    return found


def valid_fields(
    model: type[pydantic.BaseModel],
    sent: t.Any,
    wrong: cabc.Container[str | int],
    context: t.Any,
    *,
    strict: bool | None,
) -> dict[str, t.Any]:
    """The validated values of the fields of a model that are right by themselves.

    What the model says of all fields together is not asked, as most are not filled in
    yet.

    :param wrong: The names, in the body, of the fields that are known to be wrong.
    """
    schema, definitions = fields_schema(model)
    if not isinstance(sent, dict):
        return {}
    fields: dict[str, t.Any] = {
        name: field
        for name, field in schema["fields"].items()
        if _key(name, field) not in wrong
    }
    part: t.Any = core_schema.model_fields_schema(
        fields, model_name=model.__name__, extra_behavior="ignore"
    )
    if definitions:
        part = core_schema.definitions_schema(part, definitions)
    try:
        values, *_ = SchemaValidator(part).validate_python(
            sent, context=context, strict=strict
        )
    except pydantic.ValidationError:
        return {}
    return t.cast("dict[str, t.Any]", values)


def _key(name: str, field: t.Any) -> t.Any:
    return field.get("validation_alias", name)


def fields_schema(model: type[pydantic.BaseModel]) -> tuple[t.Any, list[t.Any]]:
    """The part of a model's schema that is its fields, out of what is around it."""
    schema: t.Any = t.cast("t.Any", model).__pydantic_core_schema__
    definitions: list[t.Any] = []
    while schema["type"] != "model-fields":
        if schema["type"] == "definitions":
            definitions = schema["definitions"]
        if schema["type"] == "definition-ref":
            ref = schema["schema_ref"]
            schema = next(d for d in definitions if d.get("ref") == ref)
        else:
            schema = schema["schema"]
    return schema, definitions


class PartialValidation:
    """A request to validate some fields of a form, and do nothing else."""

    def __init__(self, submission: Submission[t.Any]) -> None:
        self._submission = submission
        form = submission.compiled
        header = flask.request.headers[VALIDATE_HEADER]
        self._heads = asked_heads(header, form.schema.by_key)
        # Where a row is asked for by its number, no other may be left out.
        numbered = any(step.isdecimal() for n in self._heads for step in _split(n))
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
            for child in form.schema.children:
                found = self._values.get(child.attribute)
                self._errors.extend(
                    choice_errors(child, found, (child.key,), submission.language)
                )

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
        places = [field_for(form.schema, form.name, name) for name in self._heads]
        found = tuple(
            error
            for error in (*self._errors, *errors)
            if any(error.path[: len(n.path)] == n.path for _, n in places)
        )
        submission.fail(self._sent, found)
        if "HX-Request" in flask.request.headers:
            context, _ = submission.markup(live=True)
            rows = [
                build(node, names, context).row(
                    _value_at(submission.values, names.path), submission.errors_by_path
                )
                for node, names in places
            ]
            response = flask.Response("".join(rows), mimetype="text/html")
        elif found:
            response = problem_response(found, 422)
        else:
            response = flask.Response(status=204)
        response.vary.update(("HX-Request", VALIDATE_HEADER))
        response.cache_control.no_store = True
        return response


def answer(submission: Submission[t.Any]) -> flask.Response:
    """Answer a request that asks for some fields of a form."""
    partial = PartialValidation(submission)
    return partial.answer(failures(partial.checks()))


async def async_answer(submission: Submission[t.Any]) -> flask.Response:
    """Same as :func:`answer`, for async views."""
    partial = PartialValidation(submission)
    return partial.answer(await async_failures(partial.checks()))


def field_for(schema: Group, form: str, name: str) -> tuple[Node, ControlNames]:
    """Return the field that a control's name leads to.

    :raises BadBody: if there is none.
    """
    node: Node = schema
    names: ControlNames | None = None
    for step in [name] if name in schema.by_key else _split(name):
        case = (
            next((case for case in node.cases if case.step == step), None)
            if isinstance(node, Variants)
            else None
        )
        if case is not None and names is not None:
            node, names = case.group, names.case(step)
            continue
        index = int(step) if step.isdecimal() and len(step) < 6 else step
        below = child_of(node, index)
        if below is None:
            raise BadBody("The form has no such field to validate.")
        if names is None:
            names = ControlNames.top(form, step)
        else:
            names = names.entry(index) if isinstance(index, int) else names.child(step)
        node = below
    return node, t.cast("ControlNames", names)


def _split(name: str) -> list[str]:
    return [step for step in _SEPARATORS.split(name) if step]


def _value_at(values: t.Any, path: Path) -> t.Any:
    for step in path:
        if isinstance(values, dict):
            values = t.cast("dict[str | int, t.Any]", values).get(step)
        elif isinstance(values, list) and isinstance(step, int):
            rows = t.cast("list[t.Any]", values)
            values = rows[step] if step < len(rows) else None
        else:
            return None
    return values
