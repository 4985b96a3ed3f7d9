"""What a form takes, as JSON Schema and as OpenAPI 3.1."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

import flask
import pydantic
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from flaskware_forms._csrf.layered import FORM_MARK
from flaskware_forms._errors.problem import MIMETYPE
from flaskware_forms._schema.nodes import Group
from flaskware_forms._schema.nodes import Leaf
from flaskware_forms._schema.nodes import Node
from flaskware_forms._schema.nodes import Series
from flaskware_forms._schema.nodes import Variants

Schema: t.TypeAlias = dict[str, t.Any]

_REF = "#/components/schemas/{model}"
# An argument of a rule: the converter, with or without arguments of its own, and the
# name.
_ARGUMENT = re.compile(r"<(?:(\w+)(?:\([^<>]*\))?:)?(\w+)>")
_CONVERTERS: dict[str, Schema] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "uuid": {"type": "string", "format": "uuid"},
}
PROBLEM: Schema = {
    "type": "object",
    "description": "A problem document (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "A JSON pointer as a URI fragment (RFC 6901).",
                    },
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
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
    flat, encoding = _Flat(definitions).of(form.schema, schema)
    multipart: Schema = {"schema": flat}
    if encoding:
        multipart["encoding"] = encoding
    content: Schema = {"multipart/form-data": multipart}
    if not form.upload_sizes:
        content = {
            "application/json": {"schema": schema},
            "application/x-www-form-urlencoded": {"schema": flat},
            **content,
        }
    return {"required": True, "content": content}


class _Flat:
    """The controls of a form as one flat object, as a browser sends it."""

    def __init__(self, definitions: cabc.Mapping[str, Schema]) -> None:
        self._definitions = definitions
        self._properties: Schema = {}
        self._patterns: Schema = {}
        self._encoding: Schema = {}

    def of(self, group: Group, schema: Schema) -> tuple[Schema, Schema]:
        """The schema of the fields, and how each is encoded in multipart."""
        found: Schema = {"type": "object", "properties": self._properties}
        required = [
            child.key
            for child in group.children
            if isinstance(child, Leaf) and child.required and not child.has_default
        ]
        self._fields(group, schema, "", pattern=False)
        if required:
            found["required"] = required
        if self._patterns:
            found["patternProperties"] = self._patterns
        return found, self._encoding

    def _fields(
        self, group: Group, schema: Schema, prefix: str, *, pattern: bool
    ) -> None:
        known = self._resolve(schema).get("properties", {})
        for child in group.children:
            key = re.escape(child.key) if pattern else child.key
            self._add(child, known.get(child.key, {}), prefix + key, pattern=pattern)

    def _add(self, node: Node, schema: Schema, name: str, *, pattern: bool) -> None:
        schema = self._resolve(schema)
        if isinstance(node, Leaf):
            self._put(name, schema, pattern=pattern)
            if node.control == "file" and not pattern:
                self._encoding[name] = {"contentType": _accepted(node)}
        elif isinstance(node, Group):
            dot = r"\." if pattern else "."
            if node.recursive:
                self._put(f"{re.escape(name)}\\.", {"type": "string"}, pattern=True)
            else:
                self._fields(node, schema, name + dot, pattern=pattern)
        elif isinstance(node, Series):
            self._add_series(node, schema, name, pattern=pattern)
        else:
            self._add_variants(t.cast("Variants", node), schema, name, pattern=pattern)

    def _add_series(
        self, node: Series, schema: Schema, name: str, *, pattern: bool
    ) -> None:
        item = schema.get("items", {})
        if isinstance(node.item, Leaf):
            several = {"type": "array", "items": self._resolve(item)}
            self._put(name, several, pattern=pattern)
            if not pattern:
                # The default of a form: one part, or one pair, for each entry.
                self._encoding[name] = {"style": "form", "explode": True}
                if node.item.control == "file":
                    self._encoding[name] = {"contentType": _accepted(node.item)}
            return
        start = name if pattern else re.escape(name)
        self._add(node.item, item, rf"{start}-\d+", pattern=True)

    def _add_variants(
        self, node: Variants, schema: Schema, name: str, *, pattern: bool
    ) -> None:
        dot = r"\." if pattern else "."
        tags = [case.choice.text for case in node.cases]
        self._put(f"{name}{dot}{node.tag}", {"enum": tags}, pattern=pattern)
        options = schema.get("oneOf", [])
        mapping = schema.get("discriminator", {}).get("mapping", {})
        for case, option in zip(node.cases, options, strict=False):
            own = mapping.get(case.choice.text)
            found = {"$ref": own} if own else option
            self._fields(case.group, found, name + dot, pattern=pattern)

    def _put(self, name: str, schema: Schema, *, pattern: bool) -> None:
        target = self._patterns if pattern else self._properties
        name = f"^{name}" + ("" if name.endswith("\\.") else "$") if pattern else name
        before = target.get(name)
        if before is not None and before != schema:
            schema = {"anyOf": [before, schema]}
        target[name] = schema

    def _resolve(self, schema: Schema) -> Schema:
        """A schema without the reference, and without the null of an optional one."""
        options = [o for o in schema.get("anyOf", ()) if o != {"type": "null"}]
        if len(options) == 1:
            return self._resolve({**schema, "anyOf": [], **options[0]})
        if "$ref" in schema:
            name = str(schema["$ref"]).rpartition("/")[2]
            return self._resolve(self._definitions[name])
        return {k: v for k, v in schema.items() if not (k == "anyOf" and not v)}


def _accepted(leaf: Leaf) -> str:
    accept = dict(leaf.attributes).get("accept")
    types = [part for part in (accept or "").split(",") if "/" in part]
    return ", ".join(types) or "application/octet-stream"


def document(app: flask.Flask, *, title: str, version: str) -> Schema:
    """The OpenAPI document of an app's typed forms.

    :param title: What the document says of itself.
    :param version: The version of the app.
    """
    views: list[tuple[Rule, Described]] = [
        (rule, form)
        for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)
        if (form := getattr(app.view_functions.get(rule.endpoint), FORM_MARK, None))
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


def _operation(rule: Rule, method: str, body: Schema) -> Schema:
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _CONVERTERS.get(converter, {"type": "string"}),
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
                ("400", "No form at all, or no valid token."),
                ("403", "From another site."),
                ("413", "Larger than the form allows."),
                ("415", "Neither a form nor JSON."),
                ("422", "Something is wrong in the fields."),
            )
        },
    }
    return operation


def json_schema(model: type[pydantic.BaseModel]) -> Schema:
    """The JSON schema of what a form takes as JSON."""
    return model.model_json_schema(by_alias=True, mode="validation")


def body_of(form: Described) -> Schema:
    """The request body of one form, with its definitions in the place of references."""
    schema = json_schema(form.model)
    definitions: dict[str, Schema] = schema.get("$defs", {})
    return request_body(form, schema, definitions)
