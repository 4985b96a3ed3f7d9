from __future__ import annotations

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from werkzeug.exceptions import BadRequest


@pytest.fixture(params=["sqlite", "postgresql"])
def committing(request, make_site):
    url = "sqlite:///app.db"
    if request.param != "sqlite":
        url = request.getfixturevalue(f"{request.param}_url")
    site = make_site(url, url, SQLALCHEMY_COMMIT_ON_SUCCESS=True)
    site.app.testing = False
    return site


def add(site, name):
    site.db.session.add(site.User(name=name))


def stream(site, *, fails=False):
    @site.app.get("/")
    def view():
        def body():
            for name in ("one", "two", "three"):
                add(site, name)
                yield name
            if fails:
                raise LookupError

        add(site, "before")
        return flask.Response(flask.stream_with_context(body()))


@pytest.mark.flask_only("a stream of Quart has a context of its own")
def test_what_a_stream_writes_is_committed_when_it_has_ended(committing):
    stream(committing)
    assert committing.app.test_client().get("/").text == "onetwothree"
    assert committing.names() == ["before", "one", "two", "three"]
    assert committing.in_use() == {None: 0, "audit": 0}


@pytest.mark.flask_only("a stream of Quart has a context of its own")
def test_a_stream_that_fails_keeps_only_what_was_committed_before_it(committing):
    stream(committing, fails=True)
    with pytest.raises(LookupError):
        _ = committing.app.test_client().get("/").text
    assert committing.names() == ["before"]
    assert committing.in_use() == {None: 0, "audit": 0}


@pytest.mark.flask_only("a stream of Quart has a context of its own")
def test_a_stream_that_is_abandoned_is_rolled_back(committing):
    stream(committing)
    response = committing.app.test_client().get("/", buffered=False)
    assert next(response.response) == b"one"
    response.close()
    assert committing.names() == ["before"]
    assert committing.in_use() == {None: 0, "audit": 0}


@pytest.mark.flask_only("a stream of Quart has a context of its own")
def test_an_error_at_the_commit_of_a_stream_cuts_it_off(committing):
    @committing.app.get("/")
    def view():
        def body():
            yield "x"
            add(committing, "twice")
            add(committing, "twice")
            yield "y"

        return flask.Response(flask.stream_with_context(body()))

    with pytest.raises(sa_exc.IntegrityError):
        _ = committing.app.test_client().get("/").text
    assert committing.names() == []
    assert committing.in_use() == {None: 0, "audit": 0}


@pytest.mark.flask_only("after_this_request() of Flask")
def test_what_later_hooks_write_is_committed(make_site):
    site = make_site(SQLALCHEMY_COMMIT_ON_SUCCESS=True)

    @site.app.get("/")
    def view():
        @flask.after_this_request
        def audit(response):
            site.db.session.add(site.Entry(what="after"))
            return response

        add(site, "in the view")
        return ""

    site.app.test_client().get("/")
    assert (site.names(), site.entries()) == (["in the view"], ["after"])


def handled(site):
    @site.app.errorhandler(sa_exc.IntegrityError)
    def taken(_error):
        assert site.db.session.scalars(sa.select(site.User)).all() == []
        return "taken", 409

    return site.app.test_client()


def test_an_error_at_the_commit_goes_to_the_error_handler(committing):
    @committing.app.get("/")
    def view():
        add(committing, "twice")
        add(committing, "twice")
        return ""

    response = handled(committing).get("/")
    assert (response.status_code, response.text) == (409, "taken")
    assert committing.names() == []


def test_without_a_handler_an_error_at_the_commit_is_a_500(committing):
    @committing.app.get("/")
    def view():
        add(committing, "twice")
        add(committing, "twice")
        return ""

    assert committing.app.test_client().get("/").status_code == 500
    assert committing.names() == []


@pytest.mark.parametrize(
    ("result", "stored"),
    [
        ("", True),
        (("", 201), True),
        (("", {"X-A": "b"}), True),
        pytest.param(
            ("", "202 ACCEPTED"),
            True,
            marks=pytest.mark.flask_only("a status of Quart is a number"),
        ),
        ({"a": 1}, True),
        (("", 404), False),
        (("", "422 NO"), False),
        (("", 500, {"X-A": "b"}), False),
        (LookupError(), False),
        (BadRequest(), False),
    ],
    ids=str,
)
def test_the_sessions_of_a_coroutine_are_committed_on_success(
    committing, result, stored
):
    @committing.app.get("/")
    async def view():
        committing.db.async_session.add(committing.User(name="async"))
        committing.db.get_async_session("other").add(committing.Entry(what="async"))
        if isinstance(result, Exception):
            raise result
        return result

    committing.app.test_client().get("/")
    assert committing.names() == (["async"] if stored else [])
    assert committing.entries() == (["async"] if stored else [])
    assert committing.in_use() == {None: 0, "audit": 0}


def test_a_redirect_that_is_raised_commits(committing):
    @committing.app.get("/")
    async def view():
        committing.db.async_session.add(committing.User(name="async"))
        flask.abort(flask.redirect("/elsewhere"))

    assert committing.app.test_client().get("/").status_code == 302
    assert committing.names() == ["async"]


def test_an_error_at_the_commit_of_a_coroutine_goes_to_the_error_handler(committing):
    @committing.app.get("/")
    async def view():
        committing.db.async_session.add_all(
            [committing.User(name="twice"), committing.User(name="twice")]
        )
        return ""

    assert handled(committing).get("/").status_code == 409
    assert committing.names() == []
