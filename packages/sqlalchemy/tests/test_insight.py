from __future__ import annotations

import asyncio
import inspect
import logging
import re
from pathlib import Path

import flask
import flask_debugtoolbar
import pytest
import sqlalchemy as sa
from sqlalchemy import orm

import flaskware_sqlalchemy
from flaskware_core.testing import async_app_context
from flaskware_sqlalchemy import NPlusOneError
from flaskware_sqlalchemy import NPlusOneWarning
from flaskware_sqlalchemy._insight import query_log


def line_of(function, marker):
    """The number of the line of a function that has a comment."""
    lines, first = inspect.getsourcelines(function)
    return next(first + n for n, line in enumerate(lines) if f"# {marker}" in line)


def fill(site):
    with site.db.session_scope(site.app) as session:
        session.add_all(
            site.User(name=f"user {n}", posts=[site.Post(), site.Post()])
            for n in range(3)
        )
        session.commit()


def test_queries_are_recorded_with_the_line_that_asks(make_site):
    site = make_site(SQLALCHEMY_RECORD_QUERIES=True)
    with site.app.app_context():
        site.db.session.execute(sa.select(site.User).where(site.User.id == 7))  # here
        site.db.session.execute(sa.select(site.Entry))
        first, second = site.db.recorded_queries
    assert first.statement.startswith("SELECT")
    assert first.parameters == (7,)
    assert first.duration > 0
    assert first.end_time > first.start_time
    assert (first.bind_key, second.bind_key) == (None, "audit")
    here = test_queries_are_recorded_with_the_line_that_asks
    assert first.location.filename.endswith("test_insight.py")
    assert first.location.line == line_of(here, "here")
    assert first.location.function == here.__name__
    with site.app.app_context():
        assert list(site.db.recorded_queries) == []


def test_coroutines_are_recorded_with_the_line_that_awaits(make_site):
    site = make_site(SQLALCHEMY_RECORD_QUERIES=True)

    async def ask():
        await site.db.async_session.execute(sa.select(site.User))  # async line
        await site.db.async_get_or_404(site.User, 1)  # helper

    @site.app.get("/")
    async def view():
        site.db.async_session.add(site.User(name="ada"))
        await site.db.async_session.commit()
        await ask()
        return [str(query.location.line) for query in site.db.recorded_queries[1:]]

    lines = site.app.test_client().get("/").json
    assert lines == [str(line_of(ask, "async line")), str(line_of(ask, "helper"))]


@pytest.mark.parametrize(
    "ask",
    [
        lambda site, statement: site.db.paginate(statement),
        lambda site, statement: site.db.keyset(statement),
        lambda site, statement: site.db.first_or_404(statement),
        lambda site, _: site.db.get_or_404(site.User, 1),
        lambda site, _: site.db.transaction()(site.db.session.scalar)(sa.select(1)),
        lambda site, _: site.db.create_all(),
    ],
)
def test_helpers_are_recorded_with_the_line_that_calls_them(make_site, ask):
    site = make_site(SQLALCHEMY_RECORD_QUERIES=True)
    fill(site)
    with site.app.app_context():
        ask(site, sa.select(site.User).order_by(site.User.id))
        locations = [query.location for query in site.db.recorded_queries]
    assert {location.function for location in locations} == {"<lambda>"}
    assert all(location.filename.endswith("test_insight.py") for location in locations)


PACKAGE = Path(flaskware_sqlalchemy.__file__).parent
MODULES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_no_module_of_the_package_is_blamed_for_a_query(make_site, module):
    site = make_site(SQLALCHEMY_RECORD_QUERIES=True, SQLALCHEMY_N_PLUS_ONE="raise")
    fill(site)
    # A function whose frame is in the file of the module, as its own functions are.
    code = compile("def call(f, *args): return f(*args)", PACKAGE / module, "exec")
    exec(code, scope := {})

    def view(function, *arguments):
        return scope["call"](function, *arguments)  # blamed

    blamed = f"test_insight.py:{line_of(view, 'blamed')} "
    with site.app.app_context():
        users = view(site.db.session.scalars, sa.select(site.User)).all()
        assert blamed in str(site.db.recorded_queries[-1].location)
        with pytest.raises(AssertionError, match=blamed), site.db.assert_queries(0):
            view(site.db.session.execute, sa.select(1))
        with pytest.raises(NPlusOneError, match=blamed):
            [view(getattr, user, "posts") for user in users]


@pytest.mark.flask_only("render_template() of Flask")
def test_a_template_is_named_by_its_own_line(make_site, tmp_path):
    site = make_site(SQLALCHEMY_RECORD_QUERIES=True)
    fill(site)
    (tmp_path / "page.html").write_text("\n\n{% for p in user.posts %}{% endfor %}")
    site.app.jinja_loader.searchpath.append(str(tmp_path))
    with site.app.test_request_context():
        flask.render_template("page.html", user=site.db.session.get(site.User, 1))
        query = site.db.recorded_queries[-1]
    assert query.location.filename.endswith("page.html")
    assert (query.location.line, query.location.function) == (3, "template")


def test_nothing_listens_where_nobody_asked(site):
    with site.app.app_context():
        site.db.session.execute(sa.select(1))
        assert list(site.db.recorded_queries) == []
        dispatch = site.db.engine.dispatch
        (only,) = dispatch.before_cursor_execute  # it notes writes
        assert only.__module__.endswith("_sessions.session")
        assert not list(dispatch.after_cursor_execute)
        # A model with SoftDelete, such as one of another test, has a listener.
        listeners = site.db.session.dispatch.do_orm_execute
        assert not [one for one in listeners if "soft_delete" not in one.__module__]
        with site.db.assert_queries(1):
            site.db.session.execute(sa.select(1))
        assert not list(dispatch.after_cursor_execute)


def test_too_many_queries_fail_with_each_statement_and_its_line(site):
    def view():
        for number in range(3):
            site.db.session.get(site.User, number)  # in loop
        site.db.session.execute(sa.select(site.Post.id))

    with (
        site.app.app_context(),
        pytest.raises(AssertionError) as info,
        site.db.assert_queries(max=3),
    ):
        view()
    text = str(info.value)
    assert text.startswith("4 queries where at most 3 were")
    assert re.search(
        rf"3 times SELECT .*\n.*test_insight.py:{line_of(view, 'in loop')}", text
    )
    assert text.index("3 times") < text.index("1 times SELECT post.id")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"exactly": 1}, "2 queries where exactly 1 were"),
        ({"min": 3}, "2 queries where at least 3 were"),
        ({"min": 3, "max": 5}, "2 queries where 3 to 5 were"),
    ],
)
def test_other_numbers_than_expected_fail(site, arguments, text):
    expected = pytest.raises(AssertionError, match=text)
    with site.app.app_context(), expected, site.db.assert_queries(**arguments):
        site.db.session.execute(sa.select(1))
        site.db.session.execute(sa.select(2))


def test_the_right_number_passes_and_an_error_inside_is_not_hidden(site):
    with site.db.assert_queries(2, app=site.app) as queries:
        site.names()
        site.entries()
    assert [query.bind_key for query in queries] == [None, "audit"]
    with pytest.raises(LookupError), site.db.assert_queries(5, app=site.app):
        raise LookupError


def test_queries_of_coroutines_are_counted(site):
    async def main():
        async with async_app_context(site.app):
            with site.db.assert_queries(1):
                await site.db.async_session.execute(sa.select(1))
            await site.db.async_session.close()

    asyncio.run(main())


def show_posts(users):
    return [len(user.posts) for user in users]  # the loop


@pytest.fixture
def watched(make_site):
    def make(mode):
        site = make_site(SQLALCHEMY_N_PLUS_ONE=mode)
        fill(site)
        return site

    return make


def test_n_plus_one_queries_are_told_with_relationship_and_line(watched):
    site = watched("warn")
    with site.app.app_context():
        users = site.db.session.scalars(sa.select(site.User)).all()
        with pytest.warns(NPlusOneWarning) as caught:
            show_posts(users)
    assert len(caught) == 1
    text = str(caught[0].message)
    assert text.startswith("User.posts is loaded for one object after another at ")
    assert f"test_insight.py:{line_of(show_posts, 'the loop')}" in text
    assert ".options(selectinload(User.posts))" in text
    assert caught[0].filename.endswith("test_insight.py")
    assert caught[0].lineno == line_of(show_posts, "the loop")


def test_n_plus_one_queries_raise_on_request(watched):
    site = watched("raise")
    with site.app.app_context():
        users = site.db.session.scalars(sa.select(site.User)).all()
        with pytest.raises(NPlusOneError, match=r"User\.posts"):
            show_posts(users)


def test_a_reference_to_one_object_counts_too(watched):
    site = watched("raise")
    with site.app.app_context():
        posts = site.db.session.scalars(sa.select(site.Post)).all()
        with pytest.raises(NPlusOneError, match=r"Post\.user"):
            [post.user.name for post in posts]


def test_what_is_loaded_with_its_objects_or_once_is_fine(watched):
    site = watched("raise")
    load = orm.selectinload(site.User.posts)
    with site.app.app_context():
        assert show_posts(site.db.session.scalars(sa.select(site.User).options(load)))
    with site.app.app_context():
        user = site.db.session.get(site.User, 1)
        assert show_posts([user, user]) == [2, 2]
        site.db.session.refresh(user)
        assert show_posts([user]) == [2]
    for number in (1, 2):
        with site.app.app_context():
            assert show_posts([site.db.session.get(site.User, number)]) == [2]


def test_objects_that_have_nothing_in_common_may_share_a_helper(watched):
    site = watched("raise")

    def posts_of(name):
        user = site.db.session.scalars(sa.select(site.User).filter_by(name=name)).one()
        return len(user.posts)

    with site.app.app_context():
        assert posts_of("user 0") + posts_of("user 1") == 4
        users = [
            site.db.session.get(site.User, 1),
            site.db.session.get(site.User, 2),
        ]
        site.db.session.commit()
        assert (users[0].name, users[1].name) == ("user 0", "user 1")


def test_get_in_a_loop_is_seen(watched):
    site = watched("warn")

    def look(number):
        return site.db.session.get(site.User, number)

    with site.app.app_context(), pytest.warns(NPlusOneWarning) as caught:
        assert None not in [look(number) for number in (1, 2, 3)]
    assert len(caught) == 1
    assert "User is looked up by its key for one object" in str(caught[0].message)
    assert ".where(User.id.in_(ids))" in str(caught[0].message)
    site = watched("raise")
    with site.app.app_context():
        assert look(1) is look(1)
        assert look(2) is not None  # another line


def test_deferred_columns_in_a_loop_are_seen(watched):
    site = watched("raise")
    statement = sa.select(site.User).options(orm.defer(site.User.name))
    with site.app.app_context():
        users = site.db.session.scalars(statement).all()
        with pytest.raises(NPlusOneError, match=r"A column of User.*undefer"):
            [user.name for user in users]


def test_attributes_that_a_commit_has_expired_are_seen_in_a_loop(watched):
    site = watched("raise")
    with site.app.app_context():
        users = site.db.session.scalars(sa.select(site.User)).all()
        site.db.session.commit()
        with pytest.raises(NPlusOneError, match="select them again"):
            [user.name for user in users]
        site.db.session.rollback()
        added = [site.User(name=f"new {number}") for number in range(2)]
        site.db.session.add_all(added)
        site.db.session.commit()
        with pytest.raises(NPlusOneError, match="a commit has expired"):
            [user.name for user in added]


def test_a_long_job_keeps_its_last_queries_and_counts_all(make_site, monkeypatch):
    monkeypatch.setattr(query_log, "KEPT", 5)
    site = make_site(SQLALCHEMY_RECORD_QUERIES=True, SQLALCHEMY_SERVER_TIMING=True)

    @site.app.get("/")
    def view():
        for number in range(12):
            site.db.session.execute(sa.select(sa.literal(number)))
        recorded = site.db.recorded_queries
        return str([next(iter(query.parameters)) for query in recorded[-3:]])

    response = site.app.test_client().get("/")
    assert response.text == "[9, 10, 11]"
    assert 'desc="12 queries"' in response.headers["Server-Timing"]


def test_slow_queries_are_logged_without_their_values(make_site, caplog):
    site = make_site(SQLALCHEMY_SLOW_QUERY=0.000001)
    caplog.set_level(logging.WARNING, "flaskware.sqlalchemy.slow")
    with site.app.app_context():
        select = sa.select(site.User.id).where(site.User.name == "s3cret")
        site.db.session.execute(select)
    (record,) = [item for item in caplog.records if "name = ?" in item.getMessage()]
    assert re.match(r"0\.0\d\d s at .*test_insight.py:\d+ ", record.getMessage())
    assert "s3cret" not in caplog.text


def test_fast_queries_are_not_logged(make_site, caplog):
    site = make_site(SQLALCHEMY_SLOW_QUERY=60)
    with site.app.app_context():
        site.db.session.execute(sa.select(1))
    assert caplog.records == []


def ask(site):
    @site.app.get("/")
    def view():
        site.db.session.execute(sa.select(1))
        site.db.session.execute(sa.select(site.Entry))
        return ""

    return site.app.test_client().get("/").headers.get("Server-Timing")


def test_debug_mode_sends_the_time_spent_in_the_databases(make_site):
    site = make_site(DEBUG=True)
    assert re.fullmatch(r'db;dur=\d+\.\d;desc="2 queries"', ask(site))


def test_no_time_is_sent_otherwise(make_site):
    assert ask(make_site()) is None
    assert ask(make_site(DEBUG=True, SQLALCHEMY_SERVER_TIMING=False)) is None
    assert ask(make_site(SQLALCHEMY_SERVER_TIMING=True)) is not None


@pytest.mark.flask_only("Flask-DebugToolbar knows Flask alone")
@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_debug_toolbar_shows_the_queries_of_a_request(make_site, count):
    site = make_site(DEBUG=True, DEBUG_TB_ENABLED=True, SECRET_KEY="a key")
    flask_debugtoolbar.DebugToolbarExtension(site.app)

    @site.app.get("/users")
    def users():
        for _ in range(count):
            site.db.session.scalars(sa.select(site.User)).all()
        return "<!doctype html><body>users</body>"

    text = site.app.test_client().get("/users").text
    noun = "query" if count == 1 else "queries"
    assert f"{count} {noun} in " in text
    assert text.count("test_insight.py:") == count * 2


@pytest.mark.flask_only("Flask-DebugToolbar knows Flask alone")
def test_the_debug_toolbar_keeps_the_panels_that_were_chosen(make_site):
    panels = ["flask_debugtoolbar.panels.timer.TimerDebugPanel"]
    site = make_site(
        DEBUG=True, DEBUG_TB_ENABLED=True, SECRET_KEY="a key", DEBUG_TB_PANELS=panels
    )
    flask_debugtoolbar.DebugToolbarExtension(site.app)
    site.app.add_url_rule("/", "index", lambda: "<!doctype html><body>x</body>")
    assert "SQLAlchemy" not in site.app.test_client().get("/").text
    assert site.app.config["DEBUG_TB_PANELS"] == panels
