from __future__ import annotations

import pytest
import sqlalchemy as sa

from flaskware_core import examine
from flaskware_core import Level
from flaskware_core.testing import make_app
from flaskware_sqlalchemy import SQLAlchemy


def ids(app, *, deploy):
    report = examine(app, deploy=deploy)
    return {
        finding.id
        for finding in report.findings
        if finding.id.startswith("sqlalchemy.")
    }


def test_a_site_in_order_has_no_findings(pg_site):
    assert ids(pg_site.app, deploy=True) == set()


def test_a_database_that_does_not_answer_is_an_error_where_people_are_served():
    app = make_app(
        SQLAlchemy(),
        SQLALCHEMY_DATABASE_URI="postgresql+psycopg://me:s3cret-word@127.0.0.1:1/shop",
    )
    assert "sqlalchemy.unreachable" not in ids(app, deploy=False)
    found = {finding.id: finding for finding in examine(app, deploy=True).findings}
    finding = found["sqlalchemy.unreachable"]
    assert finding.level is Level.ERROR
    assert finding.message.startswith("SQLALCHEMY_DATABASE_URI needs a database that")
    assert "s3cret-word" not in finding.message


def test_sqlite_is_told_of_where_people_are_served_only(site):
    assert ids(site.app, deploy=False) == set()
    assert ids(site.app, deploy=True) == {"sqlalchemy.sqlite"}


def test_echo_and_no_ping_are_told_of(make_site, postgresql_url):
    site = make_site(
        postgresql_url,
        postgresql_url,
        SQLALCHEMY_ECHO=True,
        SQLALCHEMY_ENGINE_OPTIONS={"pool_pre_ping": False},
    )
    assert ids(site.app, deploy=True) == {"sqlalchemy.echo", "sqlalchemy.pre-ping"}


def test_a_database_without_models_and_models_without_one_are_told_of(site):
    app = make_app(
        SQLAlchemy(model_class=site.db.Model),
        SQLALCHEMY_DATABASE_URI="sqlite://",
        SQLALCHEMY_BINDS={"adit": "sqlite://"},
    )
    report = examine(app)
    found = {f.id: f for f in report.findings if f.id.startswith("sqlalchemy.")}
    assert set(found) == {"sqlalchemy.bind-unknown", "sqlalchemy.bind-without-models"}
    assert "'audit'" in found["sqlalchemy.bind-unknown"].message
    assert "SQLALCHEMY_BINDS['adit']" in found["sqlalchemy.bind-without-models"].message


@pytest.mark.parametrize("backend", ["postgresql", "mariadb"])
def test_pools_that_are_larger_than_the_server_are_told(
    make_site, request, backend, monkeypatch
):
    url = request.getfixturevalue(f"{backend}_url")
    site = make_site(url, {"url": url, "pool_size": 1, "max_overflow": 0})
    assert "sqlalchemy.pool-size" not in ids(site.app, deploy=True)
    monkeypatch.setenv("WEB_CONCURRENCY", "32")
    report = examine(site.app, deploy=True)
    found = [item for item in report.findings if item.id == "sqlalchemy.pool-size"]
    assert len(found) == 1
    assert "32 processes of 15 connections" in found[0].message


def test_a_server_that_does_not_answer_has_no_limit(make_site, monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "32")
    site = make_site(SQLALCHEMY_ECHO=False)
    site.db.state_of(site.app).router.engines[None] = sa.create_engine(
        "postgresql+psycopg://nobody@127.0.0.1:1/x"
    )
    assert "sqlalchemy.pool-size" not in ids(site.app, deploy=True)


def test_an_app_without_any_model_is_told():
    app = make_app(SQLAlchemy(), SQLALCHEMY_DATABASE_URI="sqlite://")
    assert ids(app, deploy=False) == {"sqlalchemy.no-models"}
