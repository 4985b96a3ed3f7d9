"""A moment comes back as it was: its zone, and each of its microseconds."""

from __future__ import annotations

import datetime as dt
import typing as t
import zoneinfo

import flask
import flask_babel
import pydantic
import pytest
import sqlalchemy as sa
from forms_page import Page
from forms_page import sent_by
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import orm

from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec


class Event(pydantic.BaseModel):
    at: dt.datetime
    clock: dt.time
    more: list[dt.datetime]
    aware: pydantic.AwareDatetime
    maybe: pydantic.AwareDatetime | None = None


class Meeting(pydantic.BaseModel):
    start: pydantic.AwareDatetime


SPEC = FormSpec(Event, name="event")
MEETING = FormSpec(Meeting, name="meeting")
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
ZONES: list[t.Any] = [
    None, "Europe/Berlin", "America/New_York", "Asia/Kathmandu",
    lambda: None, lambda: "Africa/Monrovia", lambda: BERLIN,
]  # fmt: skip
APPS = {zone: make_app(Forms(), FORMS_TIMEZONE=zone) for zone in ZONES}
_ZONE = st.none() | st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=2))])
_AT = st.datetimes(timezones=_ZONE)
_FIXED = st.datetimes(timezones=st.just(dt.UTC))
# Berlin's clocks go forward at 2:00 on the first day, and back at 3:00 on the other.
_GAP, _FOLD = "2024-03-31T02:30", "2024-10-27T02:30"
_EARLIER = dt.datetime(2024, 10, 27, 0, 30, tzinfo=dt.UTC)
_LATER = dt.datetime(2024, 10, 27, 1, 30, tzinfo=dt.UTC)


def send(zone: t.Any, body: t.Any, spec: t.Any = SPEC) -> t.Any:
    with APPS[zone].test_request_context(
        "/", method="POST", data=body, headers={"Sec-Fetch-Site": "same-origin"}
    ):
        form = spec.bind()
        return form.submit() or (form.errors, sent_by(Page(form.render())))


def page_of(zone: t.Any, event: object, spec: t.Any = SPEC) -> dict[str, list[str]]:
    with APPS[zone].test_request_context():
        return sent_by(Page(spec.bind(event).render()))


@settings(deadline=None)
@given(
    st.sampled_from(ZONES),
    st.builds(
        Event,
        at=_AT,
        clock=st.times(timezones=st.none() | st.just(dt.UTC)),
        more=st.lists(_AT, max_size=3),
        aware=_FIXED,
        maybe=st.none() | _FIXED,
    ),
)
def test_a_moment_that_nobody_touches_comes_back_as_it_was(zone, event):
    body = page_of(zone, event)
    assert send(zone, body) == event


@settings(deadline=None)
@given(st.sampled_from(ZONES), st.sampled_from(ZONES), _FIXED)
def test_a_person_who_changes_the_zone_meanwhile_changes_no_moment(one, other, at):
    body = page_of(one, Meeting(start=at), MEETING)
    assert send(other, body, MEETING) == Meeting(start=at)


def test_a_moment_is_shown_and_read_in_the_zone_of_the_person():
    at = dt.datetime(2024, 6, 1, 10, 0, 0, 5, tzinfo=dt.UTC)
    event = Event(at=at, clock=dt.time(1), more=[], aware=at)
    for name in ("at", "aware"):
        body = page_of("Europe/Berlin", event)
        assert body[name][-1] == "2024-06-01T12:00"
        body[name][-1] = "2024-12-01T12:00"
        changed = send("Europe/Berlin", body)
        assert getattr(changed, name) == dt.datetime(2024, 12, 1, 11, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("zone", "hour"), [("Europe/Berlin", 10), ("Asia/Kathmandu", 6), (None, 12)]
)
def test_a_new_moment_is_read_in_the_zone_of_the_person_else_in_utc(zone, hour):
    made = send(zone, {"start": "2024-06-01T12:00"}, MEETING)
    assert made.start.astimezone(dt.UTC).hour == hour


def test_a_moment_with_an_offset_of_its_own_is_taken_as_it_is():
    made = send("Europe/Berlin", {"start": "2024-06-01T12:00-03:00"}, MEETING)
    assert made.start == dt.datetime(2024, 6, 1, 15, tzinfo=dt.UTC)


@pytest.mark.parametrize("at", [_EARLIER, _LATER])
def test_an_hour_that_clocks_show_twice_keeps_its_offset(at):
    body = page_of("Europe/Berlin", Meeting(start=at), MEETING)
    assert body["start"][-1] == _FOLD
    assert send("Europe/Berlin", body, MEETING).start == at
    body["start"][-1] = _FOLD.replace(":30", ":40")
    changed = send("Europe/Berlin", body, MEETING).start
    assert changed - at == dt.timedelta(minutes=10)


def test_a_new_moment_in_an_hour_that_clocks_show_twice_is_the_first():
    assert send("Europe/Berlin", {"start": _FOLD}, MEETING).start == _EARLIER


@pytest.mark.parametrize("before", [[], ["=2024-03-31T01:59:00+01:00"]])
def test_a_time_that_no_clock_shows_is_an_error_that_says_so(before):
    body = {"start": [*before, _GAP]}
    errors, shown = send("Europe/Berlin", body, MEETING)
    (error,) = errors
    assert error.code == "time_skipped"
    assert error.message.startswith("The clocks go forward at this time")
    assert shown["start"][-1] == _GAP


def test_a_changed_moment_without_a_declared_zone_is_checked_too():
    at = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
    body = page_of("Europe/Berlin", Event(at=at, clock=dt.time(1), more=[], aware=at))
    body["at"][-1] = _GAP
    errors, shown = send("Europe/Berlin", body)
    assert [error.code for error in errors] == ["time_skipped"]
    assert shown["at"][-1] == _GAP


@pytest.mark.parametrize("typed", ["1.7e9", "1700000000", "inf", "nan", "1_700_000"])
@pytest.mark.parametrize("kind", [dt.datetime, dt.date, dt.time, float])
def test_a_number_that_is_no_moment_is_shown_as_it_was_typed(make_site, kind, typed):
    site = make_site(FormSpec(pydantic.create_model("M", a=(kind, ...)), name="m"))
    response = site.post({"a": typed})
    if kind is float and typed not in {"inf", "nan"}:
        assert response.status_code == 303
    else:
        assert Page(response.text).control("a")["value"] == typed
        assert "Write a" in response.text


def test_the_zone_is_asked_once_per_request():
    asked = []
    app = make_app(Forms(), FORMS_TIMEZONE=lambda: asked.append(1) or "Asia/Kathmandu")
    at = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
    with app.test_request_context():
        event = Event(at=at, clock=dt.time(1), more=[at, at], aware=at)
        assert "2024-06-01T05:45" in SPEC.bind(event).render()
    assert asked == [1]


@pytest.mark.parametrize("zone", ["Mars/Base", "../etc/passwd", ""])
def test_a_zone_that_does_not_exist_is_refused(zone):
    with pytest.raises(ConfigError, match="FORMS_TIMEZONE"):
        make_app(Forms(), FORMS_TIMEZONE=zone)
    app = make_app(Forms(), FORMS_TIMEZONE=lambda: zone)
    at = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
    with app.test_request_context(), pytest.raises(ValueError, match="no time zone"):
        MEETING.bind(Meeting(start=at)).render()


@pytest.mark.flask_only("Flask-Babel knows Flask alone")
def test_the_zone_of_flask_babel_is_that_of_the_clock():
    app = make_app(Forms())
    flask_babel.Babel(app, timezone_selector=lambda: "Europe/Berlin")
    with app.test_request_context(
        "/",
        method="POST",
        data={"start": "2024-06-01T12:00"},
        headers={"Sec-Fetch-Site": "same-origin"},
    ):
        made = MEETING.bind().submit()
    assert made == Meeting(start=dt.datetime(2024, 6, 1, 10, tzinfo=dt.UTC))


class Base(orm.DeclarativeBase):
    pass


class Stored(Base):
    __tablename__ = "meeting"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    start: orm.Mapped[dt.datetime] = orm.mapped_column(sa.DateTime(timezone=True))


def test_a_database_without_zones_keeps_utc():
    engine = sa.create_engine(
        "sqlite://",
        poolclass=sa.StaticPool,
        # A plain view of Quart runs in a thread.
        connect_args={"check_same_thread": False},
    )
    Base.metadata.create_all(engine)
    spec = FormSpec.for_model(Stored, Meeting, name="stored")
    app = make_app(Forms(), FORMS_TIMEZONE="Europe/Berlin")

    @app.route("/", methods=["GET", "POST", "PATCH"])
    @spec.handles
    def edit(form: Bound[Meeting]) -> flask.typing.ResponseReturnValue:
        with orm.Session(engine) as session:
            stored = session.get(Stored, 1) or Stored(id=1)
            form.fill(stored)
            if form.submit() and form.save(session, stored):
                return form.done("/done")
            return form.render()

    client = app.test_client()

    def post(method: str = "POST", **options: t.Any) -> dt.datetime:
        headers = {"Sec-Fetch-Site": "same-origin"}
        assert client.open("/", method=method, headers=headers, **options).status_code
        with engine.connect() as connection:
            return connection.execute(sa.select(Stored.start)).scalar_one()

    def at(hour: int) -> dt.datetime:
        return dt.datetime(2024, 6, 1, hour)  # noqa: DTZ001

    assert post(data={"start": "2024-06-01T12:00"}) == at(10)
    body = sent_by(Page(client.get("/").text))
    assert body["start"] == ["=2024-06-01T12:00:00+02:00", "2024-06-01T12:00"]
    assert post(data=body) == at(10)
    assert post("PATCH", json={"start": "2024-06-01T12:00+06:00"}) == at(6)
    assert post("PATCH", json={}) == at(6)


def test_a_moment_as_json_has_it_is_shown_as_a_control_keeps_it():
    event = {"at": "2000-01-01T00:00:00", "clock": "10:00:00", "more": []}
    with APPS[None].test_request_context():
        page = Page(SPEC.bind(event).render())
    assert page.control("at")["value"] == "2000-01-01T00:00"
    assert page.control("clock")["value"] == "10:00"
