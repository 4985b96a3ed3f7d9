"""The sentence for each error, in the language of the request.

Pydantic's own messages are for programmers. These are for people, one for every type
of error. Their translations are in ``translations/``.
"""

from __future__ import annotations

import collections.abc as cabc
import functools
import gettext
import typing as t
from pathlib import Path

_N: t.TypeAlias = tuple[str, str, str]
"""Singular, plural, and the name of the count."""

# The codes of each sentence: those of Pydantic, and our own.
_SENTENCES: dict[str | _N, str] = {
    "Fill in this field.": (
        "missing missing_argument missing_keyword_only_argument "
        "missing_positional_only_argument default_factory_not_called"
    ),
    "Leave this out.": "missing_sentinel_error",
    "Leave this empty.": "none_required",
    "Write text.": "string_type string_sub_type string_unicode bytes_type",
    "Write plain letters, digits and signs only, without accents.": "string_not_ascii",
    ("Write at least {min_length} character.",
     "Write at least {min_length} characters.", "min_length"): "string_too_short",
    ("Write at most {max_length} character.",
     "Write at most {max_length} characters.", "max_length"):
        "string_too_long url_too_long",
    "This is not in the expected form.":
        "string_pattern_mismatch bytes_invalid_encoding",
    ("Write at least {min_length} byte.",
     "Write at least {min_length} bytes.", "min_length"): "bytes_too_short",
    ("Write at most {max_length} byte.",
     "Write at most {max_length} bytes.", "max_length"): "bytes_too_long",
    "Write a whole number.": "int_type int_parsing int_from_float",
    "Write a smaller number.": "int_parsing_size",
    "Write a number, such as {example}.": "number_format",
    "Write a number.": (
        "float_type float_parsing finite_number decimal_type decimal_parsing "
        "fraction_type fraction_parsing complex_type complex_str_parsing"
    ),
    ("Write at most {max_digits} digit.",
     "Write at most {max_digits} digits.", "max_digits"): "decimal_max_digits",
    ("Write at most {decimal_places} decimal place.",
     "Write at most {decimal_places} decimal places.", "decimal_places"):
        "decimal_max_places",
    ("Write at most {whole_digits} digit before the point.",
     "Write at most {whole_digits} digits before the point.", "whole_digits"):
        "decimal_whole_digits",
    "Write a value greater than {gt}.": "greater_than",
    "Write {ge} or more.": "greater_than_equal",
    "Write a value less than {lt}.": "less_than",
    "Write {le} or less.": "less_than_equal",
    "Write a multiple of {multiple_of}.": "multiple_of",
    "Answer yes or no.": "bool_type bool_parsing",
    "Write a date, such as 2030-12-31.":
        "date_type date_parsing date_from_datetime_parsing date_from_datetime_inexact",
    "The clocks go forward at this time, so no clock shows it. Write an earlier or a"
    " later time.": "time_skipped",
    "Write a date in the past.": "date_past",
    "Write a date in the future.": "date_future",
    "Write a date and a time, such as 2030-12-31T23:59.": (
        "datetime_type datetime_parsing datetime_object_invalid "
        "datetime_from_date_parsing"
    ),
    "Write a moment in the past.": "datetime_past",
    "Write a moment in the future.": "datetime_future",
    "Leave out the time zone.": "timezone_naive",
    "Add the time zone, such as 2030-12-31T23:59+01:00.": "timezone_aware",
    "Write the time in the expected time zone.": "timezone_offset",
    "Write a time, such as 23:59.": "time_type time_parsing",
    "Write a length of time, such as P1DT2H.": "time_delta_type time_delta_parsing",
    "Choose one of the offered values.": "enum literal_error union_tag_invalid choice",
    "Choose one.": "union_tag_not_found",
    ("Give at least {min_length}.",
     "Give at least {min_length}.", "min_length"): "too_short",
    ("Give at most {max_length}.",
     "Give at most {max_length}.", "max_length"): "too_long",
    "Write a full address, such as https://example.com.":
        "url_type url_parsing url_syntax_violation url_scheme",
    "Write a UUID.": "uuid_type uuid_parsing",
    "Write a UUID of version {expected_version}.": "uuid_version",
    "This field is not known.": (
        "extra_forbidden invalid_key no_such_attribute "
        "unexpected_keyword_argument unexpected_positional_argument "
        "multiple_argument_values"
    ),
    "Give an object with the fields of the form.": (
        "model_type model_attributes_type dataclass_type dataclass_exact_type "
        "named_tuple_type arguments_type"
    ),
    "Give a list.": (
        "list_type set_type frozen_set_type tuple_type deque_type iterable_type "
        "iteration_error"
    ),
    "This is not valid here.": (
        "set_item_not_hashable needs_python_object get_attribute_error "
        "is_instance_of is_subclass_of callable_type ellipsis_error value_error "
        "assertion_error"
    ),
    "Give an object of names and values.":
        "dict_type frozen_dict_type ordered_dict_type counter_type mapping_type",
    "Write valid JSON.": "json_invalid json_type",
    "This is nested too deeply.": "recursion_loop recursion_depth_exceeded",
    "This cannot be changed.": "frozen_field frozen_instance",
    "Tick this box to go on.": "consent",
    "Write an email address, such as ann@example.com.": "email",
    "This page was open for too long. Nothing was saved; please send it again.":
        "csrf_expired",
    "This form came without its token. Nothing was saved; please send it again.":
        "csrf_missing",
    "This page is not from your current session. Nothing was saved; please send it"
    " again.": "csrf_invalid",
    "Your browser did not say which page this comes from. Nothing was saved; please"
    " use a current browser, over https.": "csrf_unproven",
    "Choose a file.": "upload_type",
    "Choose a file of at most {limit}.": "upload_too_large",
    "Choose a file of the kind {kinds}.": "upload_kind",
    "Choose a picture in the format {formats}.": "image_unreadable",
    "Choose a picture of at most {pixels} megapixels.": "image_too_large",
    "This picture takes too much to open. Choose another.": "image_costly",
    "This is taken already.": "taken",
    "This cannot be saved as it is.": "constraint",
    "Somebody else changed this meanwhile; it is now {current}.": "conflict",
    "Somebody else changed this meanwhile. Nothing was saved; please look at both"
    " and send it again.": "conflict_form",
    "Another row has the same key. Write each key once.": "repeated_key",
    "This entry is not known.": "unknown_child",
    "This is more than can be kept until the last step.": "state_too_large",
}  # fmt: skip

MESSAGES: dict[str, str | _N] = {
    code: text for text, codes in _SENTENCES.items() for code in codes.split()
}
"""The sentence for each code of an error."""

WORDS = (
    "Add", "Remove", "Key", "Value", "Send", "Back", "Next", "None of these", "Yes",
    "No", "optional", "required", "There is a problem", "Error",
    "Nothing was saved yet. Please check:",
)  # fmt: skip
"""The words of the markup itself."""

_FOLDER = Path(__file__).parents[1] / "translations"


class Language:
    """The sentences of one language; English where there is no translation."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self._catalogue = gettext.translation(
            "flaskware_forms", _FOLDER, [tag.replace("-", "_")], fallback=True
        )

    def say(self, text: str) -> str:
        """Translate a word of the markup."""
        return self._catalogue.gettext(text)

    def message(
        self, code: str, context: cabc.Mapping[str, t.Any] | None = None
    ) -> str | None:
        """Return the sentence for an error; ``None`` for an unknown code."""
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
    """Return the sentences of a language, read once."""
    return Language(tag)


def languages() -> frozenset[str]:
    """The languages with a translation, and English."""
    return frozenset({"en", *(folder.name for folder in _FOLDER.glob("*"))})
