"""OpenTelemetry: a span for each request, refused ones too, and for each statement."""

from __future__ import annotations

import family
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def exporter():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture(params=["instrumented first", "instrumented last"])
def made(request, exporter, tmp_path):
    is_first = request.param == "instrumented first"
    instrument = FlaskInstrumentor().instrument_app
    app, extensions = family.create_app(
        tmp_path, before=instrument if is_first else None, SQLALCHEMY_SPANS=True
    )
    if not is_first:
        instrument(app)
    exporter.clear()
    return app, extensions


def spans(exporter):
    """Return requests and statements, each with its parent."""
    found = exporter.get_finished_spans()
    requests = [span for span in found if span.kind is trace.SpanKind.SERVER]
    statements = [span for span in found if span.kind is trace.SpanKind.CLIENT]
    return requests, statements


def status(span):
    attributes = span.attributes
    return attributes.get("http.status_code") or attributes["http.response.status_code"]


def test_a_statement_is_a_child_of_its_request(client, exporter):
    client.post("/names", data={"name": "Ann"}, headers=SAME_ORIGIN)
    [request], statements = spans(exporter)
    assert status(request) == 201
    assert any(span.name == "INSERT user" for span in statements)
    assert {span.parent.span_id for span in statements} == {request.context.span_id}


def test_a_refused_request_has_a_span_with_its_status(client, exporter):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    client.post("/names", data={"name": "Eve"}, headers=headers)
    client.post("/names", data={"name": "Eve"})
    requests, statements = spans(exporter)
    assert [status(span) for span in requests] == [403, 400]
    assert [span.name for span in requests] == ["POST /names"] * 2
    assert statements == []
