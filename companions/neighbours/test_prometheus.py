"""prometheus-flask-exporter: each request is counted, refused ones too."""

from __future__ import annotations

import family
import pytest
from prometheus_client import CollectorRegistry
from prometheus_flask_exporter import PrometheusMetrics

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(params=["initialised first", "initialised last"])
def made(request, tmp_path):
    def measure(app):
        PrometheusMetrics(app, registry=CollectorRegistry())

    is_first = request.param == "initialised first"
    app, extensions = family.create_app(tmp_path, before=measure if is_first else None)
    if not is_first:
        measure(app)
    return app, extensions


def counted(client):
    """Return how often each status was answered."""
    lines = client.get("/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("flask_http_request_total{")]
    return {
        line.partition('status="')[2].partition('"')[0]: float(line.split()[-1])
        for line in found
        if 'method="POST"' in line
    }


def test_each_request_is_counted_once_by_its_status(client):
    client.post("/names", data={"name": "Ann"}, headers=SAME_ORIGIN)
    client.post("/names", data={"name": "Bob"}, headers=SAME_ORIGIN)
    client.post("/names", data={"name": "Eve"})
    client.post("/names", headers={"Sec-Fetch-Site": "cross-site"})
    assert counted(client) == {"201": 2, "400": 1, "403": 1}
