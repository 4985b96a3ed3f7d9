"""Dates and times as a control shows them, in the time zone of a person."""

from __future__ import annotations

import datetime as dt
import typing as t
import zoneinfo

from .person import choice_of
from .values import Refused

Moment: t.TypeAlias = dt.datetime | dt.time
Zone: t.TypeAlias = str | dt.tzinfo

_MINUTE = dt.timedelta(minutes=1)


def zone_of(zone: Zone) -> dt.tzinfo:
    """Return a zone by its name.

    :raises ValueError: if there is none of this name.
    """
    # Flask-Babel has those of pytz, which give a moment the first offset that a place
    # ever had.
    name = zone if isinstance(zone, str) else getattr(zone, "zone", None)
    if name is None:
        return t.cast("dt.tzinfo", zone)
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"There is no time zone {name!r}. Write a name such as Europe/Berlin, or"
            " install the package tzdata if this machine does not know the zone."
        ) from None


def current_zone() -> dt.tzinfo | None:
    """The zone of the person: Flask-Babel's, else ``FORMS_TIMEZONE``.

    :raises ValueError: if the app gives a zone that does not exist.
    """
    return choice_of("timezone", zone_of)


def shown(value: Moment) -> tuple[str, str | None]:
    """Return the text of a control, and the exact value where the text is not exact.

    A control takes no offset from UTC, and at most three digits of a second (HTML,
    "valid normalized local date and time string").
    """
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        value = _in_zone(value, current_zone() or value.tzinfo)
    exact = value.tzinfo is None and value.microsecond % 1000 == 0
    # A browser leaves out seconds that are zero, so a page does too.
    digits = "seconds" if value.second else "minutes"
    digits = "milliseconds" if value.microsecond >= 1000 else digits
    text = value.replace(tzinfo=None).isoformat(timespec=digits)
    return text, None if exact else value.isoformat()


def _in_zone(value: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    try:
        return value.astimezone(zone)
    except OverflowError:
        # Before the year 1, or after the year 9999, in the other zone.
        return value


def restored(text: str, before: Moment, now: Moment) -> str:
    """Return what somebody means by a text: the value before, if it is the same.

    :param text: The text of the control.
    :param before: The exact value that the control showed.
    :param now: The value of the text.
    """
    cut = before.microsecond // 1000 * 1000
    if now == before.replace(tzinfo=None, microsecond=cut):
        return _written(before)
    if before.tzinfo is None or now.tzinfo is not None:
        return text
    if isinstance(now, dt.datetime) and isinstance(before, dt.datetime):
        return in_zone_of_person(text, now, before)
    return now.replace(tzinfo=before.tzinfo).isoformat()


def in_zone_of_person(
    text: str, local: dt.datetime, before: dt.datetime | None = None
) -> str:
    """Return what somebody means by a text without an offset from UTC.

    :param local: The value of the text.
    :param before: The value that the control showed, if it showed one. Its zone is for
        a person whose zone is not known; without it, that is UTC.
    """
    zone = current_zone() or (before.tzinfo if before else None) or dt.UTC
    found = local.replace(tzinfo=zone)
    # A clock that is set back shows an hour twice (PEP 495).
    later = found.replace(fold=1)
    if before is not None and later.utcoffset() == before.utcoffset():
        found = later
    try:
        back = found.astimezone(dt.UTC).astimezone(zone)
    except OverflowError:
        return found.isoformat()
    if back.replace(tzinfo=None) != local:
        return Refused("a time that no clock shows", text, "time_skipped")
    return _written(found)


def _written(moment: Moment) -> str:
    offset = moment.utcoffset()
    if offset and offset % _MINUTE and isinstance(moment, dt.datetime):
        # Pydantic takes no seconds in an offset, as places had before time zones.
        moment = _in_zone(moment, dt.UTC)
    return moment.isoformat()


def as_aware(value: t.Any) -> t.Any:
    """A moment as an object has it, with the zone that its database may not keep."""
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        return value.replace(tzinfo=dt.UTC)
    return value


def as_stored(value: t.Any, *, keeps_zone: bool) -> t.Any:
    """A moment as a column holds it: in UTC, as some databases keep no zone.

    :param keeps_zone: Whether the column is declared to have one.
    """
    if not isinstance(value, dt.datetime) or value.tzinfo is None:
        return value
    value = _in_zone(value, dt.UTC)
    return value if keeps_zone else value.replace(tzinfo=None)
