"""Validates only the fields that a page asks for, while somebody types."""

from __future__ import annotations

import collections.abc as cabc
import json
import re
import typing as t

import flask
import pydantic
from flask_wtf.csrf import CSRFError
from pydantic_core import core_schema
from pydantic_core import SchemaValidator

from flaskware_forms._errors.error import child_of
from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.error import from_validation
from flaskware_forms._errors.error import Path
from flaskware_forms._errors.problem import BadBody
from flaskware_forms._errors.problem import count_errors
from flaskware_forms._errors.problem import MIMETYPE
from flaskware_forms._errors.problem import problem
from flaskware_forms._markup.groups import build
from flaskware_forms._markup.names import Names
from flaskware_forms._markup.theme import VALIDATE_HEADER
from flaskware_forms._schema.nodes import Node
from flaskware_forms._schema.nodes import Variants

from .checks import async_run
from .checks import Check
from .checks import choice_errors
from .checks import due
from .checks import run

if t.TYPE_CHECKING:
    from .bound import Bound
    from .spec import FormSpec

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


class Asked:
    """What a request asks of some fields of a form, and nothing else."""

    def __init__(self, form: Bound[t.Any]) -> None:
        self._form = form
        spec = form.spec
        header = flask.request.headers[VALIDATE_HEADER]
        self._heads = asked_heads(header, spec._schema.by_key)
        # Where a row is asked for by its number, no other may be left out.
        numbered = any(step.isdecimal() for n in self._heads for step in _split(n))
        sent, refused = form._read(keep_blank=numbered)
        if refused:
            raise CSRFError(refused[0].message)
        self._sent = sent
        self._errors: list[FormError] = []
        try:
            form._validate(sent)
        except pydantic.ValidationError as error:
            self._errors.extend(from_validation(error, spec._schema, form._language))
        wrong = {error.path[0] for error in self._errors if error.path}
        self._values = valid_fields(
            spec.model, sent, wrong, form._context, strict=form._strict
        )
        if spec._asks_choices:
            for child in spec._schema.children:
                found = self._values.get(child.attribute)
                self._errors.extend(
                    choice_errors(child, found, (child.key,), form._language)
                )

    def checks(self) -> cabc.Iterator[tuple[Check, t.Any]]:
        """The checks of the fields that are asked for, where their types passed."""
        heads = set(self._heads.values())
        checks = (
            check
            for check in self._form.spec._checks
            if check.attributes
            and check.path[0] in heads
            and check.attributes[0] in self._values
        )
        return due(checks, self._values.__getitem__, None)

    def answer(self, errors: cabc.Iterable[FormError]) -> flask.Response:
        """Tell what is wrong with the fields that are asked for."""
        form = self._form
        places = [_place(form.spec, name) for name in self._heads]
        found = tuple(
            error
            for error in (*self._errors, *errors)
            if any(error.path[: len(n.path)] == n.path for _, n in places)
        )
        form._fail(self._sent, found)
        request = flask.request
        if "HX-Request" in request.headers:
            look, _ = form._look(live=True)
            rows = [
                build(node, names, look).row(
                    _value_at(form._values, names.path), form._errors_by_path
                )
                for node, names in places
            ]
            response = flask.Response("".join(rows), mimetype="text/html")
        elif found:
            document = problem(422, count_errors(found), found)
            response = flask.Response(json.dumps(document), 422, mimetype=MIMETYPE)
        else:
            response = flask.Response(status=204)
        response.vary.update(("HX-Request", VALIDATE_HEADER))
        response.cache_control.no_store = True
        return response


def answer(form: Bound[t.Any]) -> flask.Response:
    """Answer a request that asks for some fields of a form."""
    asked = Asked(form)
    said = [(check, run(check, value)) for check, value in asked.checks()]
    return asked.answer(_told(said))


async def async_answer(form: Bound[t.Any]) -> flask.Response:
    """Same as :func:`answer`, for async views."""
    asked = Asked(form)
    said = [(check, await async_run(check, value)) for check, value in asked.checks()]
    return asked.answer(_told(said))


def _told(said: list[tuple[Check, str | None]]) -> cabc.Iterator[FormError]:
    for check, message in said:
        if message is not None:
            yield FormError(check.path, "check", message)


def _place(spec: FormSpec[t.Any], name: str) -> tuple[Node, Names]:
    """The field that a control's name leads to.

    :raises BadBody: if there is none.
    """
    node: Node = spec._schema
    names: Names | None = None
    for step in [name] if name in spec._schema.by_key else _split(name):
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
            names = Names.top(spec.name, step)
        else:
            names = names.entry(index) if isinstance(index, int) else names.child(step)
        node = below
    return node, t.cast("Names", names)


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
