"""Pydantic's validation: its errors at the fields of a form, and parts of a model."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pydantic
import pydantic_core
from pydantic_core import core_schema
from pydantic_core import SchemaValidator

from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.error import Path
from flaskware_forms._errors.messages import Language
from flaskware_forms._schema.numbers import current_locale
from flaskware_forms._schema.numbers import shown_number
from flaskware_forms._schema.values import fields_in
from flaskware_forms._schema.values import items_of
from flaskware_forms._schema.values import KEY
from flaskware_forms._schema.values import Pairs
from flaskware_forms._schema.values import Refused
from flaskware_forms._schema.values import VALUE

from .node import Node
from .structures import Group

# The last step of the location of an error in a key of a dictionary.
_IN_KEY = "[key]"


def from_validation(
    error: pydantic.ValidationError, schema: Group, language: Language, sent: t.Any
) -> tuple[FormError, ...]:
    """Return every error that Pydantic found, in words for people.

    :param sent: The decoded body, whose dictionaries may come from rows of a form.
    """
    return tuple(
        _form_error(item, schema, language, sent)
        for item in error.errors(include_url=False, include_input=True)
    )


def _form_error(
    item: pydantic_core.ErrorDetails, schema: Group, language: Language, sent: t.Any
) -> FormError:
    path, node = _locate(item["loc"], schema)
    path = at_rows(path, sent)
    code = says = item["type"]
    if node is not None:
        code, says = node.error_codes(code, item["input"])
    context = t.cast("cabc.Mapping[str, t.Any]", item.get("ctx", {}))
    tag = current_locale() if node is not None and node.takes_locale else None
    if tag is not None:
        context = {key: shown_number(value, tag) for key, value in context.items()}
    typed = item["input"]
    if isinstance(typed, Refused) and typed.says:
        code = says = typed.says
        context = {**context, **typed.context}
    if code in {"too_short", "too_long"} and isinstance(item["input"], str):
        # Pydantic counts the items of a secret; people write characters.
        says = f"string_{code}"
    own = node.messages.get(code) if node is not None else None
    if own is not None:
        return FormError(path, code, str(own).format_map(context))
    message = _own_words(says, item) or language.message(says, context)
    return FormError(path, code, message or item["msg"])


def _own_words(code: str, item: pydantic_core.ErrorDetails) -> str | None:
    """The sentence of an app's own validator."""
    for kind, start in (
        ("value_error", "Value error, "),
        ("assertion_error", "Assertion failed, "),
    ):
        if code == kind:
            return item["msg"].removeprefix(start)
    return None


def _locate(loc: tuple[str | int, ...], schema: Group) -> tuple[Path, Node | None]:
    """The part of a location that names fields; the rest is internal to Pydantic."""
    node: Node | None = schema
    keys: Node | None = None
    path: list[str | int] = []
    for step in loc:
        # Pydantic puts the chosen model into the location; a body does not.
        case = node.case_of(step) if node is not None else None
        if case is not None:
            node = case.group
            continue
        if step == _IN_KEY and keys is not None:
            return (*path, step), keys
        if node is not None and not node.nested:
            break
        keys = node.keys if node is not None else None
        node = node.child(step) if node is not None else None
        path.append(step)
    return tuple(path), node


def at_rows(path: Path, sent: t.Any) -> Path:
    """A path into JSON as a path of a form, where dictionaries are rows.

    :param sent: The decoded body; that of a form knows its rows.
    """
    found: list[str | int] = []
    value = sent
    for index, step in enumerate(path):
        rest = path[index + 1 :]
        if isinstance(value, Pairs) and (row := value.row_of(step)) is not None:
            part = KEY if rest == (_IN_KEY,) else VALUE
            found += [row, part]
            value = value.rows[row].get(part)
        elif step != _IN_KEY or rest:
            found.append(step)
            value = _below(value, step)
    return tuple(found)


def _below(value: t.Any, step: str | int) -> t.Any:
    if isinstance(step, str):
        return fields_in(value).get(step)
    rows = items_of(value)
    return rows[step] if step < len(rows) else None


def repeated_keys(sent: t.Any, path: Path = ()) -> cabc.Iterator[Path]:
    """Yield the path of each key that another row of the same form has too."""
    if isinstance(sent, Pairs):
        yield from ((*path, index, KEY) for index in sent.repeated)
    below = items_of(sent)
    for step, value in enumerate(below) if below else fields_in(sent).items():
        yield from repeated_keys(value, (*path, step))


def fields_validator(
    model: type[pydantic.BaseModel], chosen: cabc.Callable[[str], bool]
) -> SchemaValidator:
    """Return a validator of some fields of a model, by their names in a body."""
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
    fields = {
        name: field
        for name, field in schema["fields"].items()
        if chosen(field.get("validation_alias", name))
    }
    part: t.Any = {**schema, "fields": fields, "extra_behavior": "ignore"}
    if definitions:
        part = core_schema.definitions_schema(part, definitions)
    return SchemaValidator(part)
