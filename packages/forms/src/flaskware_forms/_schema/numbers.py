"""Numbers as a control shows them, in the locale of a person."""

from __future__ import annotations

import decimal
import re
import typing as t

from .person import choice_of
from .values import Refused
from .values import text_of

_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_EXAMPLE = decimal.Decimal("1234.5")
# The locales that this process showed numbers in. The data of a locale stays in memory,
# so no client chooses which are loaded.
_SHOWN: set[str] = set()


def tag_of(locale: str) -> str:
    """Return the tag of a locale as Babel writes it.

    :raises ValueError: if Babel does not know the locale, or is not installed.
    """
    try:
        from babel import Locale
        from babel import UnknownLocaleError
    except ImportError:
        raise ValueError(
            "Numbers of a locale need Babel. Install flaskware-forms[babel]."
        ) from None
    try:
        return str(Locale.parse(locale.replace("-", "_")))
    except (UnknownLocaleError, ValueError):
        raise ValueError(
            f"There is no locale {locale!r}. Write a tag such as de or de_AT."
        ) from None


def current_locale() -> str | None:
    """The tag of the person's locale: Flask-Babel's, else ``FORMS_LOCALE``.

    :raises ValueError: if the app gives a locale that does not exist.
    """
    tag = choice_of("locale", lambda locale: tag_of(str(locale)))
    if tag is not None:
        _SHOWN.add(tag)
    return tag


def shown_number(value: t.Any, tag: str) -> str:
    """The text of a number in a locale, with each of its digits.

    It has no group separators, so that the whole of it is easy to change. A text that
    is no number stays as it is.
    """
    from babel.numbers import get_decimal_symbol

    text = text_of(value)
    if isinstance(value, Refused) or _NUMBER.fullmatch(text) is None:
        return text
    return text.replace(".", get_decimal_symbol(tag))


def read_number(text: str, tag: str) -> str:
    """Return the number that a text in a locale stands for, as Python writes it."""
    from babel.numbers import format_decimal
    from babel.numbers import NumberFormatError
    from babel.numbers import parse_decimal

    here = tag if tag in _SHOWN else current_locale()
    if here is None:
        return text
    try:
        # A text of another locale could be a thousand times the number.
        if here == tag or text.isdecimal():
            return str(parse_decimal(_as_typed(text, here), locale=here, strict=True))
    except NumberFormatError:
        pass
    example = format_decimal(_EXAMPLE, locale=here)
    return Refused("not a number", text, "number_format", example=example)


def _as_typed(text: str, tag: str) -> str:
    """A text with the signs of its locale for those that keyboards have."""
    from babel.numbers import get_group_symbol
    from babel.numbers import get_minus_sign_symbol

    group, minus = get_group_symbol(tag), get_minus_sign_symbol(tag)
    text = text.strip().replace(minus, "-").replace("\N{MINUS SIGN}", "-")
    if group.isspace():
        return re.sub(r"\s", group, text)
    apostrophe = "\N{RIGHT SINGLE QUOTATION MARK}"
    return text.replace("'", apostrophe) if group == apostrophe else text
