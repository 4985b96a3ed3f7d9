from __future__ import annotations

import pytest

from flaskware_core import active_app
from flaskware_core import is_async
from flaskware_core import refuse_in_event_loop
from flaskware_core import WouldBlock
from flaskware_core.testing import make_app


def wait():
    app = active_app()
    refuse_in_event_loop(app, "mail.send()", "await mail.async_send()")
    return "waited"


async def coroutine():
    return wait()


def test_a_call_that_waits_is_refused_in_the_event_loop_of_quart():
    app = make_app(framework="quart")
    app.add_url_rule("/", view_func=coroutine)
    with pytest.raises(WouldBlock) as caught:
        app.test_client().get("/")
    assert str(caught.value) == (
        "mail.send() waits, and no other request of this process would be answered"
        " meanwhile. In a coroutine, write `await mail.async_send()`."
    )


@pytest.mark.parametrize(
    ("framework", "view"), [("quart", wait), ("flask", wait), ("flask", coroutine)]
)
def test_a_call_that_waits_is_right_in_a_thread(framework, view):
    app = make_app(framework=framework)
    assert is_async(app) is (framework == "quart")
    app.add_url_rule("/", view_func=view)
    assert app.test_client().get("/").text == "waited"
    with app.app_context():
        assert wait() == "waited"
