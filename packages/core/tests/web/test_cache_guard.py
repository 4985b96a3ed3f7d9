from __future__ import annotations

import flask
import flask_caching
import pytest

from flaskware_core import keep_out_of_caches

CONFIG = {"CACHE_TYPE": "SimpleCache"}


def make_cached():
    app = flask.Flask(__name__)
    return app, flask_caching.Cache(app, config=CONFIG)


SHAPES = {
    "text": lambda text: f"<p>{text}",
    "bytes": lambda text: text.encode(),
    "tuple": lambda text: (f"<p>{text}", 200, {"X-Kind": "tuple"}),
    "list": lambda text: ["a", text],
    "nested": lambda text: {"page": {"token": [text]}},
    "header": lambda text: ("page", {"X-Token": text}),
    "response": lambda text: flask.Response(f"<p>{text}"),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", ["set", "add"])
def test_what_contains_a_text_of_the_request_is_not_cached(shape, method, caplog):
    caplog.set_level("INFO")
    app, cache = make_cached()
    make = SHAPES[shape]
    with app.test_request_context():
        keep_out_of_caches(app, "the token", lambda: ["t0k3n"])
        getattr(cache, method)("secret", make("t0k3n"))
        getattr(cache, method)("plain", make("open"))
        assert cache.get("secret") is None
        assert cache.get("plain") is not None
    assert "secret is not cached: it has the token of this request." in caplog.text


def test_what_is_cached_outside_of_a_request_is_left_alone():
    app, cache = make_cached()
    keep_out_of_caches(app, "the token", lambda: ["t0k3n"])
    with app.app_context():
        cache.set("job", "t0k3n")
        assert cache.get("job") == "t0k3n"


def test_each_kind_of_text_counts_for_its_own_app():
    first, cache = make_cached()
    second, other = make_cached()
    keep_out_of_caches(first, "the token", lambda: ["t0k3n"])
    keep_out_of_caches(first, "the nonce", lambda: ["n0nc3"])
    with first.test_request_context():
        cache.set("a", "t0k3n")
        cache.set("b", "n0nc3")
        assert cache.get_many("a", "b") == [None, None]
    with second.test_request_context():
        other.set("a", "t0k3n")
        assert other.get("a") == "t0k3n"
