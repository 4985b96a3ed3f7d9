from __future__ import annotations

import asyncio
import threading

import flask
import pytest
import quart

from flaskware_core import active_app
from flaskware_core import active_context
from flaskware_core import current_request
from flaskware_core import current_session
from flaskware_core.testing import async_app_context
from flaskware_core.testing import make_app

CLASSES = {"flask": flask.Flask, "quart": quart.Quart}


@pytest.fixture(params=CLASSES)
def app(request):
    return make_app(framework=request.param)


def test_the_framework_is_chosen():
    for framework, made_of in CLASSES.items():
        assert isinstance(make_app(framework=framework), made_of)


def test_a_client_sends_what_flask_takes_and_reads_what_it_reads(app):
    @app.post("/<name>")
    def view(name):
        request = current_request()
        current_session()["seen"] = name
        answer = {"name": name, "q": request.args["q"], "type": request.mimetype}
        return answer, 201, {"X-Header": request.headers["X-Header"]}

    @app.get("/seen")
    async def seen():
        return current_session()["seen"]

    client = app.test_client()
    answer = client.post("/ada?q=1", json={"a": 1}, headers={"X-Header": "a b"})
    assert (answer.status_code, answer.headers["X-Header"]) == (201, "a b")
    assert answer.json == {"name": "ada", "q": "1", "type": "application/json"}
    assert client.get("/seen").text == "ada"


def test_a_client_changes_the_session_and_has_the_app(app):
    @app.get("/seen")
    def seen():
        return current_session().get("seen", "nothing")

    client = app.test_client()
    with client.session_transaction() as session:
        session["seen"] = "first"
    assert client.get("/seen").text == "first"
    with client.session_transaction() as session:
        assert session.pop("seen") == "first"
    assert client.get("/seen").text == "nothing"
    other = client.application.test_client()
    assert other.get("/seen").text == "nothing"


def test_a_client_asks_an_app_that_is_under_a_path(app):
    app.add_url_rule("/where", "where", lambda: current_request().root_path)
    answer = app.test_client().get("/where", base_url="https://shop.example/shop")
    assert answer.text.rstrip("/") == "/shop"


def test_a_body_arrives_whole(app):
    @app.post("/")
    async def view():
        data = current_request().get_data()
        return str(len(await data if asyncio.iscoroutine(data) else data))

    assert app.test_client().post("/", data=b"x" * 300_000).text == "300000"


def test_an_error_of_a_view_reaches_the_test(app):
    @app.get("/")
    def view():
        raise LookupError("in the view")

    with pytest.raises(LookupError, match="in the view"):
        app.test_client().get("/")


def test_contexts_are_entered_by_with_and_by_async_with(app):
    ended = []
    app.teardown_appcontext(ended.append)

    async def enter():
        async with async_app_context(app):
            assert active_app() is app

    with app.app_context():
        assert active_app() is app
    asyncio.run(enter())
    with app.test_request_context("/path?q=1", headers={"X-Header": "a"}):
        request = current_request()
        assert (request.path, request.args["q"]) == ("/path", "1")
        assert request.headers["X-Header"] == "a"
        current_session()["seen"] = True
    assert active_context() is None
    assert ended == [None, None, None]


def test_an_error_in_a_context_is_told_to_its_hooks(app):
    ended = []
    app.teardown_appcontext(lambda error: ended.append(type(error)))
    app.teardown_request(lambda error: ended.append(type(error)))
    with pytest.raises(LookupError), app.test_request_context():
        raise LookupError
    assert ended == [LookupError, LookupError]
    assert active_context() is None


def test_an_app_that_is_used_again_has_a_new_event_loop():
    before = set(threading.enumerate())
    app = make_app(framework="quart")
    app.add_url_rule("/", "index", lambda: "here")
    for _ in range(2):
        assert app.test_client().get("/").text == "here"
        assert set(threading.enumerate()) - before
        app.close_event_loop()
        assert not set(threading.enumerate()) - before


def test_the_end_of_the_event_loop_is_the_end_of_serving():
    app, ended = make_app(framework="quart"), []

    @app.after_serving
    async def end():
        ended.append(active_app())

    app.add_url_rule("/", "index", lambda: "here")
    app.close_event_loop()
    assert ended == []
    app.test_client().get("/")
    app.close_event_loop()
    assert ended == [app]


def test_tests_of_flask_alone_are_left_out(pytester):
    pytester.makepyfile(
        """
        import pytest
        from flaskware_core.testing import make_app

        @pytest.mark.flask_only("it streams with Flask's context")
        def test_one():
            assert type(make_app()).__name__ == "Flask"

        def test_two():
            assert type(make_app()).__name__ != "Flask"
        """
    )
    result = pytester.runpytest_subprocess("--framework=quart", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*only for Flask: it streams with*"])
