"""Descriptions of forms, as JSON Schema and as OpenAPI 3.1."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import inspect
import re
import typing as t

from flask.sansio.app import App
from pydantic.json_schema import GenerateJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic.json_schema import models_json_schema
from pydantic_core import core_schema
from werkzeug.routing import AnyConverter
from werkzeug.routing import IntegerConverter
from werkzeug.routing import Rule
from werkzeug.routing import UUIDConverter
from werkzeug.routing.converters import NumberConverter
from werkzeug.routing.rules import parse_converter_args

from flaskware_forms._csrf.layered import form_of
from flaskware_forms._csrf.layered import LayeredCSRF
from flaskware_forms._csrf.layered import PAGES_MARK
from flaskware_forms._errors.problem import MIMETYPE
from flaskware_forms._fields.flat_schema import FlatSchema
from flaskware_forms._fields.flat_schema import Schema
from flaskware_forms._fields.structures import Group
from flaskware_forms._markup.names import BUTTON

_REF = "#/components/schemas/{model}"
# An argument of a rule: the converter, with or without arguments of its own, and the
# name.
_ARGUMENT = re.compile(r"<(?:(\w+)(?:\(([^<>]*)\))?:)?(\w+)>")
_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
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


_PAGE: Schema = {"text/html": {"schema": _TEXT}}
_REFUSED: Schema = {
    **_PAGE,
    MIMETYPE: {"schema": {"$ref": _REF.format(model="Problem")}},
}
_LOCATION: Schema = {
    "Location": {
        "description": "The page to go on to.",
        "schema": {"type": "string", "format": "uri-reference"},
    }
}
_RESPONSES: dict[str, Schema] = {
    "Accepted": {
        "description": "Accepted, for a client that reads JSON.",
        "headers": _LOCATION,
        "content": {"application/json": {"schema": {}}},
    },
    "Moved": {
        "description": "Accepted, for a browser.",
        "headers": _LOCATION,
        "content": _PAGE,
    },
    "Nothing": {
        "description": "For htmx: accepted, with HX-Redirect; or no errors in the"
        " fields of the header Form-Validate-Only.",
    },
    "NotFound": {
        "description": "Nothing has this address.",
        "content": _REFUSED,
    },
    "BadRequest": {
        "description": "The body is not a form; or nothing shows that the app's own"
        " page sent it.",
        "content": _REFUSED,
    },
    "Forbidden": {
        "description": "A page of another site caused the request.",
        "content": _REFUSED,
    },
    "Conflict": {
        "description": "Somebody else changed the object since it was shown.",
        "content": _REFUSED,
    },
    "TooLarge": {
        "description": "The body is larger than the form allows.",
        "content": _REFUSED,
    },
    "Unsupported": {
        "description": "The body is neither a form nor JSON.",
        "content": _REFUSED,
    },
    "Invalid": {"description": "Some fields have errors.", "content": _REFUSED},
}
_RULE = (
    "Protection against CSRF: an unsafe request passes if Sec-Fetch-Site or Origin"
    " shows that it comes from this app, or from an origin that it trusts; if it has an"
    " Authorization header with a token; or if it is JSON and has no cookie. A request"
    " from another origin is refused with 403."
)
_OTHERWISE = (
    " Any other request needs the token of a page, in the form as {field} or in the"
    " header {header}; without it, it is refused with 400."
)
_ABSENCE = (
    "A field that is absent has its default. Without a default, a box that is absent is"
    " false, and a list that is absent is empty."
)


class Described(t.Protocol):
    """The part of a compiled form that its description needs."""

    model: t.Any
    schema: Group
    upload_sizes: tuple[t.Any, ...]
    has_rows: bool
    target: t.Any

    @property
    def method(self) -> str: ...

    @property
    def buttons(self) -> cabc.Mapping[str, object]: ...


def request_body(
    form: Described,
    schema: Schema,
    definitions: cabc.Mapping[str, Schema],
    hidden: cabc.Mapping[str, Schema] | None = None,
) -> Schema:
    """The request body of a form: JSON, urlencoded and multipart.

    :param schema: The JSON schema of the model, which may be a reference.
    :param definitions: The schemas that references name.
    :param hidden: The schemas of controls that stand in no model.
    """
    collected = FlatSchema(definitions)
    flat = collected.of(form.schema, schema)
    flat["description"] = f"{_ABSENCE} {flat.get('description', '')}".strip()
    flat["properties"].update(hidden or {})
    flat["propertyNames"] = {"minLength": 1}
    # A backslash at the end of a name takes its closing quotation mark with it.
    multipart: Schema = {"schema": {**flat, "propertyNames": {"pattern": r"[^\\]$"}}}
    if collected.encoding:
        multipart["encoding"] = collected.encoding
    content: Schema = {"multipart/form-data": multipart}
    if not form.upload_sizes:
        content = {
            "application/json": {"schema": schema},
            "application/x-www-form-urlencoded": {"schema": flat},
            **content,
        }
    # No body at all is a form in which nothing is filled in.
    return {
        "required": bool(flat.get("required")),
        "content": content,
    }


@dc.dataclass(frozen=True)
class _Operation:
    """A method of a route that handles a form, or a page of it."""

    rule: Rule
    method: str
    form: Described
    view: t.Any
    page: str | None = None

    @property
    def path(self) -> str:
        def written(found: re.Match[str]) -> str:
            own = self.page is not None and found[3] == "step"
            return str(self.page) if own else f"{{{found[3]}}}"

        return _ARGUMENT.sub(written, self.rule.rule)


class _Document:
    """The description of an app's forms."""

    def __init__(self, app: App, operations: list[_Operation]) -> None:
        self._app = app
        config = t.cast("dict[str, t.Any]", app.config)
        self._csrf: LayeredCSRF = app.extensions["forms"].state_of(app).csrf
        self._guards = bool(config["WTF_CSRF_ENABLED"])
        self._sends_tokens = self._guards and bool(self._csrf.sends_tokens)
        self._field: str = config["WTF_CSRF_FIELD_NAME"]
        self._header: str = config["WTF_CSRF_HEADERS"][0]
        models = list(dict.fromkeys(each.form.model for each in operations))
        self._references, whole = models_json_schema(
            [(model, "validation") for model in models],
            ref_template=_REF,
            schema_generator=FormJsonSchema,
        )
        self.definitions: dict[str, Schema] = whole.get("$defs", {})

    @property
    def rule(self) -> str:
        """The rule of CSRF protection; empty if it is off."""
        if not self._guards:
            return ""
        more = _OTHERWISE.format(field=self._field, header=self._header)
        return _RULE + (more if self._sends_tokens else "")

    def operation(self, at: _Operation) -> Schema:
        """Describe one method of a route."""
        arguments = sorted(_ARGUMENT.findall(at.rule.rule), key=lambda found: found[2])
        parameters: list[Schema] = [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": _argument_schema(at.rule, converter, options),
            }
            for converter, options, name in arguments
            if at.page is None or name != "step"
        ]
        page = f".{at.page}" if at.page else ""
        found: Schema = {"operationId": f"{at.rule.endpoint}{page}.{at.method.lower()}"}
        text = inspect.getdoc(at.view) if at.view.__doc__ else None
        if text:
            summary, _, rest = text.partition("\n")
            found["summary"] = summary
            if rest.strip():
                found["description"] = rest.strip()
        if at.method in _UNSAFE:
            responses = self._answers(at, bool(parameters))
            parameters.extend(self._token(at))
            found["requestBody"] = self._body(at)
        else:
            responses = {"200": {"description": "The page.", "content": _PAGE}}
            if at.page is not None:
                responses["303"] = _response("Moved")
            if at.form.method == "get":
                parameters.extend(self._query(at))
                responses |= {
                    "400": _response("BadRequest"),
                    "422": _response("Invalid"),
                }
            if parameters and arguments:
                responses["404"] = _response("NotFound")
        if parameters:
            found["parameters"] = parameters
        # A view may answer in ways of its own, which only its author can describe.
        found["responses"] = responses
        return found

    def _answers(self, at: _Operation, has_arguments: bool) -> Schema:
        names = {"303": "Moved", "204": "Nothing"}
        accepts = at.method != "POST"
        if not accepts:
            names["201"] = "Accepted"
        content: Schema = {}
        says: list[str] = []
        if at.form.has_rows or at.form.buttons or at.page is not None:
            content |= _PAGE
            says.append("The page again, such as with one more row; or the next page.")
        if accepts:
            says.append("Accepted, for a client that reads JSON.")
        if accepts or at.page is not None:
            content["application/json"] = {}
        found: Schema = {}
        if content:
            found["200"] = {"description": " ".join(says), "content": content}
        if has_arguments:
            names["404"] = "NotFound"
        if self._guards:
            names["403"] = "Forbidden"
        if getattr(at.form.target, "version", None) is not None:
            names["409"] = "Conflict"
        names |= {"400": "BadRequest", "413": "TooLarge"}
        names |= {"415": "Unsupported", "422": "Invalid"}
        found.update((status, _response(name)) for status, name in names.items())
        return dict(sorted(found.items()))

    def _takes_token(self, at: _Operation) -> bool:
        exempted = self._csrf.is_exempted(self._app, at.rule.endpoint)
        return self._sends_tokens and not exempted

    def _token(self, at: _Operation) -> cabc.Iterator[Schema]:
        if self._takes_token(at):
            yield {
                "name": self._header,
                "in": "header",
                "description": "The token, if nothing else shows where a request is"
                " from.",
                "schema": _TEXT,
            }

    def _body(self, at: _Operation) -> Schema:
        schema = self._references[at.form.model, "validation"]
        hidden: dict[str, Schema] = {}
        if self._takes_token(at):
            hidden[self._field] = {**_TEXT, "description": "The token."}
        if at.form.buttons:
            hidden[BUTTON] = {
                "enum": list(at.form.buttons),
                "description": "The button that was pressed; the first by default.",
            }
        return request_body(at.form, schema, self.definitions, hidden)

    def _query(self, at: _Operation) -> cabc.Iterator[Schema]:
        schema = self._references[at.form.model, "validation"]
        flat = FlatSchema(self.definitions).of(at.form.schema, schema)
        for name, each in flat["properties"].items():
            yield {"name": name, "in": "query", "schema": each}


def document(app: App, *, title: str, version: str) -> Schema:
    """Return the OpenAPI document of an app's typed forms.

    :param title: The title of the document.
    :param version: The version of the app.
    """
    operations = list(_operations(app))
    found = _Document(app, operations)
    paths: Schema = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = found.operation(each)
    info: Schema = {"title": title, "version": version}
    if found.rule:
        info["description"] = found.rule
    return {
        "openapi": "3.1.0",
        "info": info,
        "paths": paths,
        "components": {
            "schemas": {**found.definitions, "Problem": PROBLEM},
            "responses": _RESPONSES,
        },
    }


def _operations(app: App) -> cabc.Iterator[_Operation]:
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        view = app.view_functions.get(rule.endpoint)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            form = form_of(view, method)
            if form is None:
                continue
            pages: cabc.Mapping[str, Described] = getattr(view, PAGES_MARK, {})
            for page, part in pages.items():
                yield _Operation(rule, method, part, view, page)
            if not pages:
                yield _Operation(rule, method, form, view)


def _response(name: str) -> Schema:
    return {"$ref": f"#/components/responses/{name}"}


def _argument_schema(rule: Rule, converter: str, options: str) -> Schema:
    # An app may give a converter another name, or make a subclass of it.
    kind = rule.map.converters[converter or "default"]
    values, named = parse_converter_args(options) if options else ((), {})
    if issubclass(kind, NumberConverter):
        whole = issubclass(kind, IntegerConverter)
        found: Schema = {"type": "integer" if whole else "number"}
        low = named.get("min")
        if low is None and not named.get("signed"):
            low = 0
        bounds = {"minimum": low, "maximum": named.get("max")}
        return {**found, **{k: v for k, v in bounds.items() if v is not None}}
    if issubclass(kind, AnyConverter):
        return {**_TEXT, "enum": list(values)}
    if issubclass(kind, UUIDConverter):
        return {**_TEXT, "format": "uuid"}
    exact = named.get("length")
    lengths = {
        "minLength": exact or named.get("minlength", 1),
        "maxLength": exact or named.get("maxlength"),
    }
    return {**_TEXT, **{k: v for k, v in lengths.items() if v is not None}}


def body_of(form: Described) -> Schema:
    """Return the request body of a form, without references."""
    schema = form.model.model_json_schema(
        by_alias=True, mode="validation", schema_generator=FormJsonSchema
    )
    definitions: dict[str, Schema] = schema.get("$defs", {})
    return request_body(form, schema, definitions)


class FormJsonSchema(GenerateJsonSchema):
    """Pydantic's JSON schemas, without a text in which a bound is lost."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        found = super().decimal_schema(schema)
        numbers = (o for o in found.get("anyOf", ()) if o.get("type") == "number")
        return next(numbers, found)
