"""What is said for each error, in the language of the request.

Pydantic's own sentences speak to programmers. Those for people are here by the type
of the error, all of them, and their translations in ``translations/``.
"""

from __future__ import annotations

import collections.abc as cabc
import functools
import gettext
import typing as t
from pathlib import Path

_N: t.TypeAlias = tuple[str, str, str]
"""For one, for more, and what counts them."""

_NUMBER = "Write a number."
_WHOLE = "Write a whole number."
_DATE = "Write a date, such as 2030-12-31."
_MOMENT = "Write a date and a time, such as 2030-12-31T23:59."
_TIME = "Write a time, such as 23:59."
_SPAN = "Write a length of time, such as P1DT2H."
_ADDRESS = "Write a full address, such as https://example.com."
_CHOICE = "Choose one of the offered values."
_OBJECT = "Give an object with the fields of the form."
_LIST = "Give a list."
_PAIRS = "Give an object of names and values."
_TEXT = "Write text."
_OTHER = "This is not valid here."
_UNKNOWN = "This field is not known."
_DEEP = "This is nested too deeply."
_NEEDED = "Fill in this field."

MESSAGES: dict[str, str | _N] = {
    "missing": _NEEDED,
    "missing_argument": _NEEDED,
    "missing_keyword_only_argument": _NEEDED,
    "missing_positional_only_argument": _NEEDED,
    "default_factory_not_called": _NEEDED,
    "missing_sentinel_error": "Leave this out.",
    "none_required": "Leave this empty.",
    "string_type": _TEXT,
    "string_sub_type": _TEXT,
    "string_unicode": _TEXT,
    "string_not_ascii": "Write plain letters, digits and signs only, without accents.",
    "string_too_short": (
        "Write at least {min_length} character.",
        "Write at least {min_length} characters.",
        "min_length",
    ),
    "string_too_long": (
        "Write at most {max_length} character.",
        "Write at most {max_length} characters.",
        "max_length",
    ),
    "string_pattern_mismatch": "This is not in the expected form.",
    "bytes_type": _TEXT,
    "bytes_too_short": (
        "Write at least {min_length} byte.",
        "Write at least {min_length} bytes.",
        "min_length",
    ),
    "bytes_too_long": (
        "Write at most {max_length} byte.",
        "Write at most {max_length} bytes.",
        "max_length",
    ),
    "bytes_invalid_encoding": "This is not in the expected form.",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": "Write a smaller number.",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "fraction_type": _NUMBER,
    "fraction_parsing": _NUMBER,
    "complex_type": _NUMBER,
    "complex_str_parsing": _NUMBER,
    "decimal_max_digits": (
        "Write at most {max_digits} digit.",
        "Write at most {max_digits} digits.",
        "max_digits",
    ),
    "decimal_max_places": (
        "Write at most {decimal_places} decimal place.",
        "Write at most {decimal_places} decimal places.",
        "decimal_places",
    ),
    "decimal_whole_digits": (
        "Write at most {whole_digits} digit before the point.",
        "Write at most {whole_digits} digits before the point.",
        "whole_digits",
    ),
    "greater_than": "Write a value greater than {gt}.",
    "greater_than_equal": "Write {ge} or more.",
    "less_than": "Write a value less than {lt}.",
    "less_than_equal": "Write {le} or less.",
    "multiple_of": "Write a multiple of {multiple_of}.",
    "bool_type": "Answer yes or no.",
    "bool_parsing": "Answer yes or no.",
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
    "date_past": "Write a date in the past.",
    "date_future": "Write a date in the future.",
    "datetime_type": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_object_invalid": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "datetime_past": "Write a moment in the past.",
    "datetime_future": "Write a moment in the future.",
    "timezone_naive": "Leave out the time zone.",
    "timezone_aware": "Add the time zone, such as 2030-12-31T23:59+01:00.",
    "timezone_offset": "Write the time in the expected time zone.",
    "time_type": _TIME,
    "time_parsing": _TIME,
    "time_delta_type": _SPAN,
    "time_delta_parsing": _SPAN,
    "enum": _CHOICE,
    "literal_error": _CHOICE,
    "union_tag_invalid": _CHOICE,
    "union_tag_not_found": "Choose one.",
    "too_short": (
        "Give at least {min_length}.",
        "Give at least {min_length}.",
        "min_length",
    ),
    "too_long": (
        "Give at most {max_length}.",
        "Give at most {max_length}.",
        "max_length",
    ),
    "url_type": _ADDRESS,
    "url_parsing": _ADDRESS,
    "url_syntax_violation": _ADDRESS,
    "url_scheme": _ADDRESS,
    "url_too_long": (
        "Write at most {max_length} character.",
        "Write at most {max_length} characters.",
        "max_length",
    ),
    "uuid_type": "Write a UUID.",
    "uuid_parsing": "Write a UUID.",
    "uuid_version": "Write a UUID of version {expected_version}.",
    "extra_forbidden": _UNKNOWN,
    "invalid_key": _UNKNOWN,
    "no_such_attribute": _UNKNOWN,
    "unexpected_keyword_argument": _UNKNOWN,
    "unexpected_positional_argument": _UNKNOWN,
    "multiple_argument_values": _UNKNOWN,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "dataclass_type": _OBJECT,
    "dataclass_exact_type": _OBJECT,
    "named_tuple_type": _OBJECT,
    "arguments_type": _OBJECT,
    "list_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "tuple_type": _LIST,
    "deque_type": _LIST,
    "iterable_type": _LIST,
    "iteration_error": _LIST,
    "set_item_not_hashable": _OTHER,
    "dict_type": _PAIRS,
    "frozen_dict_type": _PAIRS,
    "ordered_dict_type": _PAIRS,
    "counter_type": _PAIRS,
    "mapping_type": _PAIRS,
    "json_invalid": "Write valid JSON.",
    "json_type": "Write valid JSON.",
    "recursion_loop": _DEEP,
    "recursion_depth_exceeded": _DEEP,
    "frozen_field": "This cannot be changed.",
    "frozen_instance": "This cannot be changed.",
    "needs_python_object": _OTHER,
    "get_attribute_error": _OTHER,
    "is_instance_of": _OTHER,
    "is_subclass_of": _OTHER,
    "callable_type": _OTHER,
    "ellipsis_error": _OTHER,
    # Those of an app's own validator: its sentence is taken, this where it has none.
    "value_error": _OTHER,
    "assertion_error": _OTHER,
    # Ours.
    "consent": "Tick this box to go on.",
    "email": "Write an email address, such as ann@example.com.",
    "choice": _CHOICE,
    "csrf": (
        "This page was open for too long. Nothing was saved; please send it again."
    ),
    "upload_type": "Choose a file.",
    "upload_too_large": "Choose a file of at most {limit}.",
    "upload_kind": "Choose a file of the kind {kinds}.",
    "image_unreadable": "Choose a picture in the format {formats}.",
    "image_too_large": "Choose a picture of at most {pixels} megapixels.",
    "taken": "This is taken already.",
    "constraint": "This cannot be saved as it is.",
    "conflict": "Somebody else changed this meanwhile; it is now {current}.",
    "conflict_form": (
        "Somebody else changed this meanwhile. Nothing was saved; please look at both"
        " and send it again."
    ),
    "unknown_child": "This entry is not known.",
    "state_too_large": "This is more than can be kept until the last step.",
}
WORDS = (
    "Add",
    "Remove",
    "Send",
    "Back",
    "Next",
    "None of these",
    "Nothing was saved yet. Please check:",
)
"""What the markup itself says."""

_FOLDER = Path(__file__).parents[1] / "translations"


class Language:
    """The sentences of one language; English where there is no translation."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self._catalogue = gettext.translation(
            "flaskware_forms", _FOLDER, [tag.replace("-", "_")], fallback=True
        )

    def say(self, text: str) -> str:
        """A word of the markup."""
        return self._catalogue.gettext(text)

    def message(
        self, code: str, context: cabc.Mapping[str, t.Any] | None = None
    ) -> str | None:
        """The sentence for an error; ``None`` for a code that is not ours."""
        found = MESSAGES.get(code)
        if found is None:
            return None
        values = context or {}
        if isinstance(found, str):
            template = self._catalogue.gettext(found)
        else:
            one, more, counted = found
            count = values.get(counted)
            number = count if isinstance(count, int) else 2
            template = self._catalogue.ngettext(one, more, number)
        return template.format_map(values)


@functools.cache
def language(tag: str) -> Language:
    """The sentences of a language, read once."""
    return Language(tag)


def languages() -> frozenset[str]:
    """The languages that there are translations for, and English."""
    return frozenset({"en", *(folder.name for folder in _FOLDER.glob("*"))})
