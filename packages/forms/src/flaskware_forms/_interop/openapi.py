"""Descriptions of forms, as JSON Schema and as OpenAPI 3.1."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

import flask
from pydantic.json_schema import models_json_schema
from werkzeug.routing import BaseConverter
from werkzeug.routing import FloatConverter
from werkzeug.routing import IntegerConverter
from werkzeug.routing import Rule
from werkzeug.routing import UUIDConverter

from flaskware_forms._csrf.layered import form_of
from flaskware_forms._errors.problem import MIMETYPE
from flaskware_forms._fields.flat_schema import FlatSchema
from flaskware_forms._fields.flat_schema import Schema
from flaskware_forms._fields.structures import Group

_REF = "#/components/schemas/{model}"
# An argument of a rule: the converter, with or without arguments of its own, and the
# name.
_ARGUMENT = re.compile(r"<(?:(\w+)(?:\([^<>]*\))?:)?(\w+)>")
_CONVERTERS: dict[type[BaseConverter], Schema] = {
    IntegerConverter: {"type": "integer"},
    FloatConverter: {"type": "number"},
    UUIDConverter: {"type": "string", "format": "uuid"},
}
_TEXT: Schema = {"type": "string"}
_POINTER = {**_TEXT, "description": "A JSON pointer as a URI fragment (RFC 6901)."}
_ERROR: Schema = {
    "type": "object",
    "required": ["pointer", "code", "detail"],
    "properties": {"pointer": _POINTER, "code": _TEXT, "detail": _TEXT},
}
PROBLEM: Schema = {
    "type": "object",
    "description": "A problem document (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "errors": {"type": "array", "items": _ERROR},
    },
}


class Described(t.Protocol):
    """The part of a compiled form that its description needs."""

    model: t.Any
    schema: Group
    upload_sizes: tuple[t.Any, ...]


def request_body(
    form: Described, schema: Schema, definitions: cabc.Mapping[str, Schema]
) -> Schema:
    """The request body of a form: JSON, urlencoded and multipart.

    :param schema: The JSON schema of the model, which may be a reference.
    :param definitions: The schemas that references name.
    """
    collected = FlatSchema(definitions)
    flat = collected.of(form.schema, schema)
    multipart: Schema = {"schema": flat}
    if collected.encoding:
        multipart["encoding"] = collected.encoding
    content: Schema = {"multipart/form-data": multipart}
    if not form.upload_sizes:
        content = {
            "application/json": {"schema": schema},
            "application/x-www-form-urlencoded": {"schema": flat},
            **content,
        }
    return {"required": True, "content": content}


def document(app: flask.Flask, *, title: str, version: str) -> Schema:
    """Return the OpenAPI document of an app's typed forms.

    :param title: The title of the document.
    :param version: The version of the app.
    """
    views: list[tuple[Rule, Described]] = [
        (rule, form)
        for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)
        if (form := form_of(app.view_functions.get(rule.endpoint)))
    ]
    models = list(dict.fromkeys(form.model for _, form in views))
    references, whole = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REF
    )
    definitions: dict[str, Schema] = whole.get("$defs", {})
    paths: Schema = {}
    for rule, form in views:
        path = paths.setdefault(_ARGUMENT.sub(r"{\2}", rule.rule), {})
        schema = references[form.model, "validation"]
        body = request_body(form, schema, definitions)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path[method.lower()] = _operation(rule, method, body)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": {**definitions, "Problem": PROBLEM}},
    }


def _schema_of(rule: Rule, converter: str) -> Schema:
    # An app may give a converter another name, or make a subclass of it.
    kind = rule.map.converters[converter or "default"]
    found = (schema for base, schema in _CONVERTERS.items() if issubclass(kind, base))
    return next(found, _TEXT)


def _operation(rule: Rule, method: str, body: Schema) -> Schema:
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _schema_of(rule, converter),
        }
        for converter, name in sorted(_ARGUMENT.findall(rule.rule), key=lambda a: a[1])
    ]
    operation: Schema = {
        "operationId": f"{rule.endpoint}.{method.lower()}",
        "responses": {"200": {"description": "The page with the form."}},
    }
    if parameters:
        operation["parameters"] = parameters
    if method not in {"POST", "PUT", "PATCH", "DELETE"}:
        return operation
    wrong: Schema = {
        MIMETYPE: {"schema": {"$ref": "#/components/schemas/Problem"}},
        "text/html": {"schema": {"type": "string"}},
    }
    operation["requestBody"] = body
    operation["responses"] = {
        "201": {"description": "Accepted, for a client of JSON."},
        "303": {"description": "Accepted, for a browser."},
        **{
            status: {"description": text, "content": wrong}
            for status, text in (
                ("400", "Not a form, or no valid token."),
                ("403", "From another site."),
                ("413", "Larger than the form allows."),
                ("415", "Neither a form nor JSON."),
                ("422", "Some fields have errors."),
            )
        },
    }
    return operation


def body_of(form: Described) -> Schema:
    """Return the request body of a form, without references."""
    schema = form.model.model_json_schema(by_alias=True, mode="validation")
    definitions: dict[str, Schema] = schema.get("$defs", {})
    return request_body(form, schema, definitions)
