from __future__ import annotations

import flask
import pytest

from flaskware_core import note_refusal

SPAN = "opentelemetry-flask.span_key"


@pytest.mark.parametrize("position", ["first", "last", "nowhere"])
def test_a_refused_request_has_one_span(position):
    app = flask.Flask(__name__)
    spans, others = [], []

    def start_span():
        spans.append(flask.request.path)
        flask.request.environ[SPAN] = object()

    start_span.__module__ = "opentelemetry.instrumentation.flask"

    def refuse():
        note_refusal(app)
        flask.abort(403)

    if position == "first":
        app.before_request(start_span)
    app.before_request(refuse)
    if position == "last":
        app.before_request(start_span)
    app.before_request(lambda: others.append(1))
    assert app.test_client().get("/page").status_code == 403
    assert spans == ([] if position == "nowhere" else ["/page"])
    assert others == []


def test_outside_of_a_request_there_is_none():
    app = flask.Flask(__name__)
    with app.app_context():
        note_refusal(app)
