from __future__ import annotations

import asyncio
import sys

import pytest
import sqlalchemy as sa
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from opentelemetry.trace import StatusCode
from sqlalchemy import exc as sa_exc

from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_sqlalchemy import SQLAlchemy
from flaskware_sqlalchemy._settings import SQLAlchemySettings

EXPORTER = InMemorySpanExporter()


@pytest.fixture(scope="module", autouse=True)
def _provider():
    # A process has one for its life: there is no way to take it away.
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
    trace.set_tracer_provider(provider)


@pytest.fixture
def spans():
    """Take the spans that were sent since the last call."""

    def take():
        found = EXPORTER.get_finished_spans()
        EXPORTER.clear()
        return found

    take()
    return take


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def traced(request, make_site, spans):
    url = "sqlite:///app.db"
    if request.param != "sqlite":
        url = request.getfixturevalue(f"{request.param}_url")
    site = make_site(url, "sqlite:///audit.db", SQLALCHEMY_SPANS=True)
    spans()
    return site


def attributes(span):
    return dict(span.attributes)


def test_a_statement_is_a_span_of_a_database_client(traced, spans):
    url = traced.db.state_of(traced.app).router.engines[None].url
    tracer = trace.get_tracer("test")
    with traced.app.app_context(), tracer.start_as_current_span("view") as parent:
        name = traced.User.name
        traced.db.session.scalars(sa.select(name).where(name == "s3cret")).all()
    span, outer = spans()
    found = attributes(span)
    system = {"mysql": "mariadb"}.get(url.get_backend_name(), url.get_backend_name())
    assert (span.kind, span.name) == (SpanKind.CLIENT, "SELECT user")
    assert span.parent.span_id == parent.get_span_context().span_id
    assert outer.start_time <= span.start_time <= span.end_time <= outer.end_time
    assert span.status.status_code is StatusCode.UNSET
    assert found["db.system.name"] == system
    assert found["db.namespace"] == url.database
    assert found["db.operation.name"] == "SELECT"
    assert found["db.collection.name"] == "user"
    assert found["db.query.summary"] == "SELECT user"
    assert found["db.query.text"].startswith("SELECT ")
    assert found.get("server.address") == url.host
    assert found["code.file.path"].endswith("test_spans.py")
    assert found["code.function.name"].startswith("test_a_statement")
    assert "s3cret" not in str(found)


def test_operations_and_tables_are_named(traced, spans):
    User, Post = traced.User, traced.Post
    with traced.app.app_context():
        session = traced.db.session
        session.add_all([User(id=1, name="one"), User(id=2, name="two")])
        session.flush()
        session.execute(sa.update(User).values(name=User.name + "+"))
        session.execute(sa.select(User).join(User.posts)).all()
        some = sa.select(User.id).cte()
        session.execute(sa.select(some)).all()
        session.execute(sa.delete(Post))
        session.commit()
    found = spans()
    assert [span.name for span in found] == [
        "INSERT user", "UPDATE user", "SELECT user post", "SELECT user", "DELETE post",
    ]  # fmt: skip
    assert [attributes(span).get("db.collection.name") for span in found] == [
        "user", "user", None, "user", "post",
    ]  # fmt: skip


def test_many_rows_are_a_batch(traced, spans):
    with traced.app.app_context():
        update = sa.update(traced.User.__table__).values(name="x")
        update = update.where(traced.User.id == sa.bindparam("old"))
        traced.db.session.connection().execute(update, [{"old": 8}, {"old": 9}])
    (span,) = spans()
    assert attributes(span)["db.operation.batch.size"] == 2


def test_an_error_is_a_span_with_the_code_of_the_server(traced, spans):
    with traced.app.app_context():
        traced.db.session.add(traced.User(name="s3cret"))
        traced.db.session.commit()
        spans()
        traced.db.session.add(traced.User(name="s3cret"))
        with pytest.raises(sa_exc.IntegrityError):
            traced.db.session.commit()
    (span,) = spans()
    found = attributes(span)
    assert span.status.status_code is StatusCode.ERROR
    assert (span.name, span.events) == ("INSERT user", ())
    kinds = {
        "sqlite": ("sqlite3.IntegrityError", None),
        "postgresql": ("psycopg.errors.UniqueViolation", "23505"),
        "mariadb": ("pymysql.err.IntegrityError", "1062"),
    }
    system = found["db.system.name"]
    assert kinds[system] == (found["error.type"], found.get("db.response.status_code"))
    assert "s3cret" not in f"{found}{span.status.description}"


def test_text_is_sent_without_values_of_its_own(traced, spans):
    with traced.app.app_context():
        session = traced.db.session
        session.execute(sa.text("SELECT user_id FROM post WHERE 1 = 0")).all()
        session.execute(sa.text("SELECT 'Ada', 7")).all()
        session.execute(sa.text("SELECT :name, 7"), {"name": "Ada"}).all()
        session.connection().exec_driver_sql("SELECT 11").all()
    found = [attributes(span) for span in spans()]
    assert [each.get("db.query.text") for each in found[:2]] == [
        "SELECT user_id FROM post WHERE ? = ?", None,
    ]  # fmt: skip
    assert found[2]["db.query.text"].endswith(", 7")
    assert found[3]["db.query.text"] == "SELECT ?"
    assert {each["db.operation.name"] for each in found} == {"SELECT"}
    assert "Ada" not in str(found)


def test_coroutines_and_other_databases_have_spans_too(async_site, spans):
    app = async_site.app
    config = {key: app.config[key] for key in app.config if "SQLALCHEMY" in key}
    db = SQLAlchemy(model_class=async_site.db.Model)
    traced = make_app(
        db, instance_path=app.instance_path, **{**config, "SQLALCHEMY_SPANS": True}
    )

    async def main():
        async with db.async_session_scope(traced) as session:
            await session.execute(sa.select(async_site.User))
            await session.execute(sa.select(async_site.Entry))

    with trace.get_tracer("test").start_as_current_span("view") as parent:
        asyncio.run(main())
    first, second, _ = spans()
    assert (first.name, second.name) == ("SELECT user", "SELECT entry")
    assert first.parent.span_id == parent.get_span_context().span_id
    assert first.attributes["code.function.name"] == "main"


def test_without_the_key_nothing_listens(site, spans):
    with site.app.app_context():
        site.db.session.execute(sa.select(site.User))
        engine = site.db.engine
    assert spans() == ()
    assert not list(engine.dispatch.after_cursor_execute)


def test_a_missing_package_is_refused_at_the_start(make_site, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigError, match=r"flaskware-sqlalchemy\[otel\]"):
        make_site(SQLALCHEMY_SPANS=True)
    assert SQLAlchemySettings.model_fields["spans"].default is False
