from __future__ import annotations

import asyncio
import threading

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_sqlalchemy import UnknownBind

NONE_IN_USE = {None: 0, "audit": 0}


def test_a_context_has_one_session_and_the_next_has_another(site):
    with site.app.app_context():
        first = site.db.session()
        assert site.db.session() is first
    with site.app.app_context():
        assert site.db.session() is not first


def test_nested_contexts_have_sessions_of_their_own(site):
    with site.app.app_context():
        outer = site.db.session()
        with site.app.app_context():
            assert site.db.session() is not outer
        assert site.db.session() is outer
        outer.execute(sa.select(site.User))


def test_a_named_session_has_its_own_transaction(pg_site):
    with pg_site.app.app_context():
        pg_site.db.session.add(pg_site.User(name="lost"))
        pg_site.db.session.flush()
        named = pg_site.db.get_session("log")
        assert named is pg_site.db.get_session("log") is not pg_site.db.session
        named.add(pg_site.User(name="kept"))
        named.commit()
    assert pg_site.names() == ["kept"]
    assert pg_site.in_use() == NONE_IN_USE


def test_what_was_not_committed_is_rolled_back(pg_site):
    with pg_site.app.app_context():
        pg_site.db.session.add(pg_site.User(name="ada"))
        pg_site.db.session.flush()
        assert pg_site.in_use()[None] == 1
    assert pg_site.names() == []
    assert pg_site.in_use() == NONE_IN_USE


def test_models_and_statements_go_to_their_databases(site):
    site_insert = sa.insert(site.Entry.__table__).values(what="core")
    with site.app.app_context():
        site.db.session.add_all([site.User(name="ada"), site.Entry(what="orm")])
        site.db.session.commit()
        site.db.session.execute(site_insert)
        site.db.session.execute(sa.insert(site.Entry).values(what="bulk"))
        alias = sa.orm.aliased(site.Entry)
        assert site.db.session.scalars(sa.select(alias.what)).first() == "orm"
        subquery = sa.select(site.Entry.__table__.c.what).subquery()
        rows = site.db.session.execute(sa.select(sa.func.count()).select_from(subquery))
        assert rows.scalar_one() == 3
        site.db.session.execute(sa.text("update user set name = 'eve'"))
        site.db.session.commit()
        with site.db.engines["audit"].connect() as connection:
            names = sa.inspect(connection).get_table_names()
    assert names == ["entry"]
    assert site.entries() == ["orm", "core", "bulk"]
    assert site.names() == ["eve"]


def test_raw_sql_runs_on_a_bind_that_is_named(site):
    with site.app.app_context():
        audit = {"bind": site.db.engines["audit"]}
        site.db.session.execute(
            sa.text("insert into entry (what) values ('raw')"), bind_arguments=audit
        )
        site.db.session.commit()
    assert site.entries() == ["raw"]


def test_a_model_of_a_database_that_is_not_configured_is_refused(make_site):
    site = make_site()
    engines = site.db.state_of(site.app).router.engines
    removed = engines.pop("audit")
    with site.app.app_context(), pytest.raises(UnknownBind, match="'audit'"):
        site.db.session.scalars(sa.select(site.Entry)).all()
    table = site.Entry.__table__
    with site.app.app_context(), pytest.raises(UnknownBind, match="'audit'"):
        site.db.session.execute(sa.select(table.c.what))
    engines["audit"] = removed


def test_a_connection_is_asked_for_by_model(site):
    with site.app.app_context():
        for entity in (site.Entry, sa.orm.aliased(site.Entry)):
            arguments = {"mapper": entity}
            connection = site.db.session.connection(bind_arguments=arguments)
            assert connection.engine is site.db.engines["audit"]
        assert site.db.session.connection().engine is site.db.engine
        bound = {"bind": site.db.engines["audit"]}
        assert site.db.session.scalar(sa.select(1), bind_arguments=bound) == 1


def test_a_view_that_raises_gives_its_connections_back(pg_site):
    @pg_site.app.route("/")
    def view():
        pg_site.db.session.add_all([pg_site.User(name="x"), pg_site.Entry(what="x")])
        pg_site.db.session.flush()
        assert pg_site.in_use() == {None: 1, "audit": 1}
        raise LookupError

    with pytest.raises(LookupError):
        pg_site.app.test_client().get("/")
    assert pg_site.in_use() == NONE_IN_USE
    assert pg_site.names() == []


def test_a_view_that_breaks_its_transaction_gives_its_connections_back(pg_site):
    @pg_site.app.route("/")
    def view():
        try:
            pg_site.db.session.execute(sa.text("select nothing"))
        except sa_exc.ProgrammingError:
            return "broken"

    assert pg_site.app.test_client().get("/").text == "broken"
    assert pg_site.in_use() == NONE_IN_USE


def _stream(site):
    def rows():
        with site.db.session.execute(
            sa.text("select generate_series(1, 5)"),
            execution_options={"stream_results": True},
        ) as result:
            for row in result:
                yield f"{row[0]} "

    return rows


@pytest.mark.flask_only("a stream of Quart has a context of its own")
def test_a_streamed_response_keeps_its_session_to_the_end(pg_site):
    rows = _stream(pg_site)
    pg_site.app.add_url_rule("/", "s", lambda: flask.stream_with_context(rows()))
    assert pg_site.app.test_client().get("/").text == "1 2 3 4 5 "
    assert pg_site.in_use() == NONE_IN_USE


@pytest.mark.flask_only("a stream of Quart has a context of its own")
def test_an_abandoned_stream_gives_its_connection_back(pg_site):
    rows = _stream(pg_site)
    pg_site.app.add_url_rule("/", "s", lambda: flask.stream_with_context(rows()))
    response = pg_site.app.test_client().get("/", buffered=False)
    iterator = response.iter_encoded()
    assert next(iterator) == b"1 "
    assert pg_site.in_use()[None] == 1
    response.close()
    assert pg_site.in_use() == NONE_IN_USE


def test_a_session_kept_beyond_its_context_takes_no_connection(pg_site):
    with pg_site.app.app_context():
        session = pg_site.db.session()
        session.execute(sa.select(1))
    with pytest.raises(sa_exc.InvalidRequestError, match="permanently closed"):
        session.execute(sa.select(1))
    assert pg_site.in_use() == NONE_IN_USE


def test_a_session_that_a_view_closes_can_be_used_again(site):
    with site.app.app_context():
        site.db.session.execute(sa.select(1))
        site.db.session.close()
        assert site.db.session.execute(sa.select(1)).scalar() == 1


@pytest.mark.flask_only("Quart refuses db.session in a coroutine")
def test_an_async_view_has_the_session_of_its_context(pg_site):
    seen = []

    @pg_site.app.before_request
    def before():
        seen.append(pg_site.db.session)

    @pg_site.app.route("/")
    async def view():
        await asyncio.sleep(0)
        seen.append(pg_site.db.session)
        return str(pg_site.db.session.execute(sa.select(1)).scalar())

    assert pg_site.app.test_client().get("/").text == "1"
    assert seen[0] is seen[1]
    assert pg_site.in_use() == NONE_IN_USE


def test_a_scope_needs_no_context_and_works_in_threads(pg_site):
    def work(number):
        with pg_site.db.session_scope(pg_site.app) as session:
            session.add(pg_site.User(name=f"user {number}"))
            session.commit()
            session.execute(sa.select(1))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(pg_site.names()) == [f"user {n}" for n in range(8)]
    assert pg_site.in_use() == NONE_IN_USE


def test_a_scope_rolls_back_what_was_not_committed(site):
    with site.db.session_scope(site.app) as session:
        session.add(site.User(name="lost"))
        session.flush()
    with site.app.app_context(), site.db.session_scope() as session:
        assert session is not site.db.session
    assert site.names() == []


@pytest.mark.flask_only("it pushes a context without a block")
def test_one_session_that_cannot_be_closed_does_not_keep_the_others_open(pg_site):
    context = pg_site.app.app_context()
    context.push()
    pg_site.db.session.execute(sa.select(1))
    other = pg_site.db.get_session("other")
    other.execute(sa.select(1))

    def fail():
        raise LookupError

    other.end = fail
    with pytest.raises(LookupError):
        context.pop()
    assert pg_site.in_use()[None] == 1
    type(other).end(other)
    assert pg_site.in_use() == NONE_IN_USE


@pytest.mark.parametrize("lost", [(None,), ("audit",), (None, "audit")])
@pytest.mark.parametrize("close", [lambda _: None, lambda session: session.close()])
def test_a_response_survives_connections_that_are_lost_after_its_last_query(
    pg_site, lost, close
):
    connections = []

    @pg_site.app.route("/")
    def index():
        session = pg_site.db.session
        for model in (pg_site.User, pg_site.Entry):
            session.scalars(sa.select(model)).all()
            # Held, so that nothing is given back because it is no longer referred to.
            connections.append(session.connection(bind_arguments={"mapper": model}))
        pids = [one.scalar(sa.text("select pg_backend_pid()")) for one in connections]
        killer = sa.create_engine(pg_site.db.engine.url)
        with killer.connect() as connection:
            for key, pid in zip((None, "audit"), pids, strict=True):
                if key in lost:
                    connection.scalar(
                        sa.select(sa.func.pg_terminate_backend(pid, 5000))
                    )
        killer.dispose()
        close(session)
        return "page"

    assert pg_site.app.test_client().get("/").text == "page"
    assert pg_site.in_use() == {None: 0, "audit": 0}
