"""What is wrong with a form: one list, however it is shown."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

import pydantic
import pydantic_core

from ._schema import Group
from ._schema import Leaf
from ._schema import Node
from ._schema import Series

Path: t.TypeAlias = tuple[str | int, ...]


@dc.dataclass(frozen=True)
class FormError:
    """One thing that is wrong with a form.

    :param path: Where, as keys and indexes from the top; empty for the form itself.
    :param code: Stable, for programs: Pydantic's error type, ``"check"`` for a check
        of the application, ``"csrf"``.
    :param message: One sentence, for people.
    """

    path: Path
    code: str
    message: str

    @property
    def pointer(self) -> str:
        """The path as a JSON pointer in a URI fragment (RFC 6901, section 6)."""
        steps = (str(step).replace("~", "~0").replace("/", "~1") for step in self.path)
        return "#" + "".join(f"/{step}" for step in steps)


# Pydantic's own sentences speak to programmers. Those that are not here are taken as
# they are.
_MESSAGES: dict[str, str] = {
    "missing": "Fill in this field.",
    "string_type": "Write text.",
    "string_too_short": "Write at least {min_length} characters.",
    "string_too_long": "Write at most {max_length} characters.",
    "string_pattern_mismatch": "This is not in the expected form.",
    "int_type": "Write a whole number.",
    "int_parsing": "Write a whole number.",
    "int_parsing_size": "Write a smaller number.",
    "int_from_float": "Write a whole number.",
    "float_type": "Write a number.",
    "float_parsing": "Write a number.",
    "finite_number": "Write a number.",
    "decimal_type": "Write a number.",
    "decimal_parsing": "Write a number.",
    "decimal_max_places": "Write at most {decimal_places} decimal places.",
    "decimal_max_digits": "Write at most {max_digits} digits.",
    "greater_than": "Write a value greater than {gt}.",
    "greater_than_equal": "Write {ge} or more.",
    "less_than": "Write a value less than {lt}.",
    "less_than_equal": "Write {le} or less.",
    "multiple_of": "Write a multiple of {multiple_of}.",
    "bool_type": "Answer yes or no.",
    "bool_parsing": "Answer yes or no.",
    "date_type": "Write a date.",
    "date_parsing": "Write a date, such as 2030-12-31.",
    "date_from_datetime_parsing": "Write a date, such as 2030-12-31.",
    "date_from_datetime_inexact": "Write a date, such as 2030-12-31.",
    "date_past": "Write a date in the past.",
    "date_future": "Write a date in the future.",
    "datetime_type": "Write a date and a time.",
    "datetime_parsing": "Write a date and a time, such as 2030-12-31T23:59.",
    "datetime_from_date_parsing": "Write a date and a time, such as 2030-12-31T23:59.",
    "time_type": "Write a time.",
    "time_parsing": "Write a time, such as 23:59.",
    "enum": "Choose one of the offered values.",
    "literal_error": "Choose one of the offered values.",
    "too_short": "Give at least {min_length}.",
    "too_long": "Give at most {max_length}.",
    "url_parsing": "Write a full address, such as https://example.com.",
    "url_scheme": "Write a full address, such as https://example.com.",
    "uuid_parsing": "Write a UUID.",
    "extra_forbidden": "This field is not known.",
    "model_type": "Give an object with the fields of the form.",
    "model_attributes_type": "Give an object with the fields of the form.",
    "list_type": "Give a list.",
    "set_type": "Give a list.",
    "frozen_set_type": "Give a list.",
    "tuple_type": "Give a list.",
    "recursion_loop": "This is nested too deeply.",
}
_SINGULAR = {"characters.": "character.", "places.": "place.", "digits.": "digit."}


def from_validation(
    error: pydantic.ValidationError, schema: Group
) -> tuple[FormError, ...]:
    """Every error that Pydantic found, in words for people."""
    return tuple(
        _form_error(item, schema)
        for item in error.errors(include_url=False, include_input=True)
    )


def _form_error(item: pydantic_core.ErrorDetails, schema: Group) -> FormError:
    path, node = _locate(item["loc"], schema)
    code = item["type"]
    if item["input"] == "" and isinstance(node, Leaf) and _is_missing(code, node):
        code = "missing"
    if code == "literal_error" and isinstance(node, Leaf) and not node.choices:
        return FormError(path, code, "Tick this box to go on.")
    if code == "value_error" and isinstance(node, Leaf) and node.control == "email":
        return FormError(
            path, "email", "Write an email address, such as ann@example.com."
        )
    return FormError(path, code, _message(code, item))


def _is_missing(code: str, leaf: Leaf) -> bool:
    # A validator of the application may have its own words for an empty text.
    own = code in {"value_error", "assertion_error"} and leaf.control != "email"
    return leaf.required and leaf.control != "file" and not own


def _message(code: str, item: pydantic_core.ErrorDetails) -> str:
    template = _MESSAGES.get(code)
    if template is None:
        message = item["msg"]
        for start in ("Value error, ", "Assertion failed, "):
            message = message.removeprefix(start)
        return message
    context: cabc.Mapping[str, t.Any] = item.get("ctx", {})
    message = template.format_map(context)
    if " 1 " in message:
        for plural, singular in _SINGULAR.items():
            message = message.replace(f" 1 {plural}", f" 1 {singular}")
    return message


def _locate(loc: tuple[str | int, ...], schema: Group) -> tuple[Path, Node | None]:
    """The part of a location that names fields; what follows is Pydantic's inside."""
    node: Node | None = schema
    path: list[str | int] = []
    for step in loc:
        if isinstance(node, Group) and isinstance(step, str):
            node = node.by_key.get(step)
        elif isinstance(node, Series) and isinstance(step, int):
            node = node.item
        elif isinstance(node, Leaf):
            break
        else:
            node = None
        path.append(step)
    return tuple(path), node
