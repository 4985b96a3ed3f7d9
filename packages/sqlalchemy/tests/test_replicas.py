from __future__ import annotations

import collections

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from flaskware_sqlalchemy._sessions import sticky as _sticky

NAMES = {"primary", "one", "two"}


@pytest.fixture
def replicated(make_site, tmp_path):
    """A site whose primary and two replicas each hold one user of their name.

    Nothing is copied between them, so that a name says where it was read.
    """

    def make(**config):
        replicas = [f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "two")]
        site = make_site(SQLALCHEMY_REPLICAS={"default": replicas}, **config)
        engines = [site.db.state_of(site.app).router.engines[None], *copies(site)]
        for engine, name in zip(engines, ("primary", "one", "two"), strict=True):
            site.db.metadata.create_all(engine)
            with engine.begin() as connection:
                connection.execute(sa.insert(site.User), {"id": 1, "name": name})
        return site

    return make


def copies(site):
    return site.db.state_of(site.app).router.replicas[None].engines


def read(site, statement=None):
    statement = sa.select(site.User.name) if statement is None else statement
    return site.db.session.scalars(statement).one()


def test_contexts_read_from_the_replicas_in_turn(replicated):
    site = replicated()
    seen = collections.Counter()
    for _ in range(6):
        with site.app.app_context():
            first = read(site)
            assert read(site) == first
            seen[first] += 1
    assert seen == {"one": 3, "two": 3}


def test_lookups_and_pages_are_reads(replicated):
    site = replicated()
    with site.app.app_context():
        assert site.db.get_or_404(site.User, 1).name != "primary"
        statement = sa.select(site.User.name).order_by(site.User.id)
        assert next(iter(site.db.paginate(statement))) != "primary"
        assert next(iter(site.db.keyset(statement))) != "primary"


def test_what_follows_a_flush_is_read_from_the_primary(replicated):
    site = replicated()
    with site.app.app_context():
        assert read(site) != "primary"
        site.db.session.add(site.User(name="new"))
        site.db.session.commit()
        assert site.db.session.scalars(sa.select(site.User.name)).all() == [
            "primary",
            "new",
        ]
        named = site.db.get_session("other")
        assert len(named.scalars(sa.select(site.User.name)).all()) == 2
    with site.app.app_context():
        assert read(site) != "primary"


def test_what_follows_a_statement_that_writes_is_read_from_the_primary(replicated):
    site = replicated()
    writes = [
        sa.update(site.User).values(name="changed"),
        sa.text("update user set name = 'changed'"),
    ]
    for write in writes:
        with site.app.app_context():
            site.db.session.execute(write)
            assert read(site) == "changed"


def test_reads_that_lock_or_write_go_to_the_primary(replicated):
    site = replicated()
    user = site.User
    insert = sa.insert(user).values(name="cte").returning(user.name).cte()
    assert _session_bind(site, sa.select(insert)) is _primary_of(site)
    assert _session_bind(site, sa.select(user).with_for_update()) is _primary_of(site)
    assert _session_bind(site, sa.text("select 1")) is _primary_of(site)
    assert _session_bind(site, sa.select(user)) in copies(site)


def _primary_of(site):
    return site.db.state_of(site.app).router.engines[None]


def _session_bind(site, statement):
    with site.db.session_scope(site.app) as session:
        return session.get_bind(clause=statement)


def test_a_block_reads_from_the_primary(replicated):
    site = replicated()
    with site.app.app_context():
        with site.db.primary():
            assert read(site) == "primary"
        assert read(site) != "primary"
        with site.db.transaction():
            assert read(site) == "primary"


def test_a_transaction_that_has_read_from_a_replica_writes_to_the_primary(replicated):
    site = replicated()
    with site.app.app_context():
        user = site.db.session.get(site.User, 1)
        assert user.name in NAMES - {"primary"}
        user.name = "changed"
        site.db.session.commit()
        assert user.name == "changed"
    with _primary_of(site).connect() as connection:
        assert connection.scalar(sa.select(site.User.name)) == "changed"


def down(engine, asked=None):
    """Let a replica refuse every connection; returns how it is let up again."""

    def refuse(*_):
        if asked is not None:
            asked.append(engine)
        raise engine.dialect.loaded_dbapi.OperationalError("it is down")

    engine.dispose()
    event.listen(engine, "do_connect", refuse)
    return lambda: event.remove(engine, "do_connect", refuse)


def test_a_replica_that_is_down_is_passed_over_and_tried_again_later(replicated):
    site = replicated(SQLALCHEMY_REPLICA_RETRY=0.000001)
    up = down(copies(site)[0])
    seen = set()
    for _ in range(6):
        with site.app.app_context():
            seen.add(read(site))
    assert seen == {"two"}
    up()
    for _ in range(4):
        with site.app.app_context():
            seen.add(read(site))
    assert seen == {"one", "two"}


def test_a_replica_that_is_down_is_not_asked_each_time(replicated):
    site = replicated(SQLALCHEMY_REPLICA_RETRY=1000)
    asked = []
    down(copies(site)[0], asked)
    for _ in range(6):
        with site.app.app_context():
            assert read(site) == "two"
    assert len(asked) == 1


def test_with_no_replica_up_the_primary_is_read(replicated):
    site = replicated()
    for engine in copies(site):
        down(engine)
    with site.app.app_context():
        assert read(site) == "primary"


def test_a_server_that_cannot_be_reached_is_passed_over(make_site, postgresql_url):
    site = make_site(
        postgresql_url,
        SQLALCHEMY_REPLICAS={
            "default": [
                "postgresql+psycopg://nobody@127.0.0.1:1/x",
                postgresql_url,
            ]
        },
    )
    for _ in range(4):
        with site.app.app_context():
            session = site.db.session
            assert session.scalars(sa.select(site.User)).all() == []
            assert session.get_bind(clause=sa.select(site.User)) is copies(site)[1]
    assert site.in_use() == {None: 0, "audit": 0}


def serve(site):
    @site.app.get("/read")
    def show():
        return read(site)

    @site.app.post("/write")
    def write():
        site.db.session.execute(sa.update(site.User).values(name="primary"))
        site.db.session.commit()
        return ""

    return site.app.test_client()


def test_a_browser_that_wrote_reads_from_the_primary_for_a_while(
    replicated, monkeypatch
):
    site = replicated(SQLALCHEMY_STICKY_SECONDS=5)
    client = serve(site)
    assert client.get("/read").text != "primary"
    cookie = client.post("/write").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Max-Age=5" in cookie
    assert client.get("/read").text == "primary"
    assert site.app.test_client().get("/read").text != "primary"
    now = _sticky.time.time()
    monkeypatch.setattr(_sticky.time, "time", lambda: now + 6)
    assert client.get("/read").text != "primary"


@pytest.mark.parametrize("value", ["", "x", "9999999999", "MTc.x", "{}", "\xe9"])
def test_a_forged_cookie_changes_nothing(replicated, value):
    client = serve(replicated(SQLALCHEMY_STICKY_SECONDS=5))
    client.set_cookie(_sticky.COOKIE, value)
    assert client.get("/read").text != "primary"


def test_no_cookie_is_set_where_nobody_asked_for_it(replicated):
    assert "Set-Cookie" not in serve(replicated()).post("/write").headers


def test_isolated_tests_read_what_they_wrote(replicated):
    site = replicated()
    with site.db.test_isolation(site.app), site.app.app_context():
        assert read(site) == "primary"
        site.db.session.execute(sa.update(site.User).values(name="changed"))
        site.db.session.commit()
    with site.app.app_context(), site.db.primary():
        assert read(site) == "primary"
