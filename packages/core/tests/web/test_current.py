from __future__ import annotations

import asyncio

import flask
import pytest
import quart

from flaskware_core import active_app
from flaskware_core import active_context
from flaskware_core import active_request
from flaskware_core import current_app_object
from flaskware_core import current_context
from flaskware_core import current_request
from flaskware_core import current_session
from flaskware_core import request_getter

ACTIVE = [active_app, active_context, active_request]
CURRENT = [current_app_object, current_context, current_request, current_session]


@pytest.mark.parametrize("function", ACTIVE)
def test_nothing_is_active_outside_of_a_context(function):
    assert function() is None


@pytest.mark.parametrize("function", CURRENT)
def test_what_is_current_is_an_error_outside_of_a_context(function):
    with pytest.raises(RuntimeError, match="outside of"):
        function()


def test_the_objects_of_flask_are_no_proxies():
    app = flask.Flask("current")
    app.secret_key = "a key"
    with app.test_request_context("/"):
        assert active_app() is current_app_object() is app
        assert active_context() is current_context()
        assert current_context().app is app
        assert type(active_request()) is flask.Request
        assert active_request() is current_request() is request_getter(app)()
        flask.session["seen"] = True
        assert current_session()["seen"]
        assert type(current_session()) is not type(flask.session)


def test_an_app_context_without_a_request_has_no_request():
    app = flask.Flask("current")
    with app.app_context():
        assert current_app_object() is app
        assert active_request() is None
        with pytest.raises(RuntimeError):
            request_getter(app)()


def test_the_objects_of_quart_are_no_proxies():
    app = quart.Quart("current")
    app.secret_key = "a key"

    async def look() -> None:
        async with app.test_request_context("/"):
            assert active_app() is current_app_object() is app
            assert type(active_request()) is quart.Request
            assert active_request() is current_request() is request_getter(app)()
            quart.session["seen"] = True
            assert current_session()["seen"]
            context = active_context()
            assert context is current_context()
            assert context.app is app
            assert context.g is quart.g._get_current_object()

    asyncio.run(look())
    assert active_app() is None
