"""Dates and times as a control shows them, in the time zone of a person."""

from __future__ import annotations

import datetime as dt
import sys
import typing as t
import zoneinfo

import flask

Moment: t.TypeAlias = dt.datetime | dt.time


def current_zone() -> dt.tzinfo | None:
    """The zone of the person: Flask-Babel's, else ``FORMS_TIMEZONE``."""
    if not flask.has_app_context():
        return None
    extensions = flask.current_app.extensions
    babel = sys.modules.get("flask_babel")
    if babel is not None and "babel" in extensions:
        return t.cast("dt.tzinfo | None", babel.get_timezone())
    forms = extensions.get("forms")
    name = None if forms is None else forms.state.settings.timezone
    return None if name is None else zoneinfo.ZoneInfo(name)


def shown(value: Moment) -> tuple[str, str | None]:
    """Return the text of a control, and the exact value where the text is not exact.

    A control takes no offset from UTC, and at most three digits of a second (HTML,
    "valid normalized local date and time string").
    """
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        value = value.astimezone(current_zone() or value.tzinfo)
    exact = value.tzinfo is None and value.microsecond % 1000 == 0
    # A browser leaves out seconds that are zero, so a page does too.
    digits = "seconds" if value.second else "minutes"
    digits = "milliseconds" if value.microsecond >= 1000 else digits
    text = value.replace(tzinfo=None).isoformat(timespec=digits)
    return text, None if exact else value.isoformat()


def restored(text: str, before: Moment, now: Moment) -> str:
    """Return what somebody means by a text: the value before, if it is the same.

    :param text: The text of the control.
    :param before: The exact value that the control showed.
    :param now: The value of the text.
    """
    cut = before.microsecond // 1000 * 1000
    if now == before.replace(tzinfo=None, microsecond=cut):
        return before.isoformat()
    if before.tzinfo is None or now.tzinfo is not None:
        return text
    zone = current_zone() if isinstance(before, dt.datetime) else None
    return now.replace(tzinfo=zone or before.tzinfo).isoformat()
