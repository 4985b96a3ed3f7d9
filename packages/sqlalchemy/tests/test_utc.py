from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import orm
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flaskware_core.testing import make_app
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import SQLAlchemy
from flaskware_sqlalchemy import Timestamps
from flaskware_sqlalchemy import UTCDateTime


class Base(Model, orm.DeclarativeBase):
    pass


class Event(Timestamps, Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def events(request, tmp_path):
    url = "sqlite:///events.db"
    if request.param != "sqlite":
        url = request.getfixturevalue(f"{request.param}_url")
    db = SQLAlchemy(model_class=Base)
    app = make_app(
        db, instance_path=tmp_path, SQLALCHEMY_DATABASE_URI=url, SECRET_KEY="k" * 32
    )
    with app.app_context():
        db.create_all()
        yield db


# MariaDB's DATETIME begins with the year 1000.
TIMES = st.datetimes(
    min_value=dt.datetime(1001, 1, 1),  # noqa: DTZ001 hypothesis wants it naive
    max_value=dt.datetime(9998, 1, 1),  # noqa: DTZ001 hypothesis wants it naive
    timezones=st.sampled_from(
        [dt.UTC, *(dt.timezone(dt.timedelta(hours=n)) for n in (-11, 5))]
    ),
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(times=st.lists(TIMES, min_size=1, max_size=5, unique=True))
def test_a_time_is_read_as_it_was_written_and_orders_as_it_is(events, times):
    session = events.session
    session.execute(sa.delete(Event))
    session.add_all(Event(at=time) for time in times)
    session.commit()
    found = session.scalars(sa.select(Event.at).order_by(Event.at)).all()
    assert found == sorted(times)
    assert {time.tzinfo for time in found} == {dt.UTC}
    for time in times:
        assert session.scalar(sa.select(Event.at).where(Event.at == time)) == time
    page = events.keyset(sa.select(Event).order_by(Event.at.desc()), limit=1)
    seen = [one.at for one in page]
    while page.next_cursor:
        page = events.keyset(
            sa.select(Event).order_by(Event.at.desc()), limit=1, after=page.next_cursor
        )
        seen += [one.at for one in page]
    assert seen == sorted(times, reverse=True)
    session.rollback()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (dt.datetime(2026, 1, 1), "no time zone"),  # noqa: DTZ001 the fault
        (dt.date(2026, 1, 1), "not a datetime"),
        ("2026-01-01", "not a datetime"),
    ],
)
def test_a_time_that_means_no_point_in_time_is_refused(events, value, reason):
    events.session.add(Event(at=value))
    with pytest.raises(sa.exc.StatementError, match=reason):
        events.session.flush()
    events.session.rollback()
    events.session.add(Event(at=None))
    events.session.commit()


def test_rows_note_when_they_were_made_and_changed(events):
    session = events.session
    before = dt.datetime.now(dt.UTC)
    event = Event()
    session.add(event)
    session.commit()
    made = event.created_at
    assert before <= made <= dt.datetime.now(dt.UTC)
    assert event.updated_at == made
    event.at = before
    session.commit()
    changed = event.updated_at
    assert (event.created_at, changed > made) == (made, True)
    session.execute(sa.update(Event).values(at=None))
    session.commit()
    assert event.updated_at > changed
    assert event.created_at == made


def test_rows_of_one_insert_note_the_same_time(events):
    session = events.session
    for insert, rows in (
        (sa.insert(Event), [{"at": None}, {"at": None}]),
        (sa.insert(Event).values([{"at": None}, {"at": None}]), None),
    ):
        session.execute(insert, rows)
        found = session.scalars(sa.select(Event)).all()
        times = {time for each in found for time in (each.created_at, each.updated_at)}
        assert (len(found), len(times)) == (2, 1)
        session.rollback()


def test_columns_and_migrations_name_the_public_class():
    assert UTCDateTime.__module__ == "flaskware_sqlalchemy"
    assert list(Event.__table__.columns.keys()) == [
        "id", "at", "created_at", "updated_at",
    ]  # fmt: skip
