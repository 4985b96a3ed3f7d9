"""A moment comes back as it was: its zone, and each of its microseconds."""

from __future__ import annotations

import datetime as dt

import pydantic
import pytest
from forms_page import Page
from forms_page import sent_by
from hypothesis import given
from hypothesis import strategies as st

from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_forms import Forms
from flaskware_forms import FormSpec


class Event(pydantic.BaseModel):
    at: dt.datetime
    clock: dt.time
    more: list[dt.datetime]
    aware: pydantic.AwareDatetime


SPEC = FormSpec(Event, name="event")
ZONES = [None, "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]
APPS = {zone: make_app(Forms(), FORMS_TIMEZONE=zone) for zone in ZONES}
_FIRST = dt.datetime.fromisoformat("1990-01-01")
_LAST = dt.datetime.fromisoformat("2040-01-01")
_ZONE = st.none() | st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=2))])
_AT = st.datetimes(_FIRST, _LAST, timezones=_ZONE)
_FIXED = st.datetimes(_FIRST, _LAST, timezones=st.just(dt.UTC))


def send(zone: str | None, body: dict[str, list[str]]) -> Event | None:
    with APPS[zone].test_request_context(
        "/", method="POST", data=body, headers={"Sec-Fetch-Site": "same-origin"}
    ):
        return SPEC.bind().submit()


def page_of(zone: str | None, event: object) -> dict[str, list[str]]:
    with APPS[zone].test_request_context():
        return sent_by(Page(SPEC.bind(event).render()))


@given(
    st.sampled_from(ZONES),
    st.builds(
        Event,
        at=_AT,
        clock=st.times(timezones=st.none() | st.just(dt.UTC)),
        more=st.lists(_AT, max_size=3),
        aware=_FIXED,
    ),
)
def test_a_moment_that_nobody_touches_comes_back_as_it_was(zone, event):
    body = page_of(zone, event)
    assert send(zone, body) == event


def test_a_moment_is_shown_and_read_in_the_zone_of_the_person():
    at = dt.datetime(2024, 6, 1, 10, 0, 0, 5, tzinfo=dt.UTC)
    event = Event(at=at, clock=dt.time(1), more=[], aware=at)
    body = page_of("Europe/Berlin", event)
    assert body["at"][-1] == "2024-06-01T12:00"
    body["at"][-1] = "2024-12-01T12:00"
    changed = send("Europe/Berlin", body)
    assert changed is not None
    assert changed.at == dt.datetime(2024, 12, 1, 11, tzinfo=dt.UTC)


def test_a_zone_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="FORMS_TIMEZONE"):
        make_app(Forms(), FORMS_TIMEZONE="Mars/Base")
