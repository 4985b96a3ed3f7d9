from __future__ import annotations

import flask
import pytest

from flaskware_core import request_origin

TRUSTED = frozenset({"https://app.example"})


def origin_of(headers: dict[str, str], base_url: str = "https://own.example") -> str:
    app = flask.Flask("origin")
    with app.test_request_context("/", base_url=base_url, headers=headers):
        return request_origin(flask.request, TRUSTED)


@pytest.mark.parametrize("site", ["same-origin", "same-site", "cross-site", "none"])
def test_sec_fetch_site_decides(site):
    headers = {"Sec-Fetch-Site": site, "Referer": "https://elsewhere.example/"}
    assert origin_of(headers) == site


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "unknown"),
        ({"Origin": "null"}, "unknown"),
        ({"Origin": ""}, "unknown"),
        ({"Origin": "https://own.example"}, "same-origin"),
        ({"Origin": "https://OWN.example"}, "same-origin"),
        ({"Origin": "https://own.example:443"}, "same-origin"),
        ({"Origin": "https://own.example:8443"}, "cross-site"),
        ({"Origin": "http://own.example"}, "cross-site"),
        ({"Origin": "https://sub.own.example"}, "cross-site"),
        ({"Origin": "https://own.example.evil.example"}, "cross-site"),
        ({"Origin": "https://app.example"}, "same-origin"),
        ({"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"},
         "same-origin"),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
         "same-origin"),
        ({"Origin": "not an origin"}, "cross-site"),
        ({"Origin": "https://[::1"}, "cross-site"),
        ({"Origin": "https://own.example:99999"}, "cross-site"),
        ({"Origin": "file://"}, "cross-site"),
        ({"Referer": "https://own.example/a/b?c"}, "same-origin"),
        ({"Referer": "https://app.example/x"}, "same-origin"),
        ({"Referer": "https://evil.example/https://own.example"}, "cross-site"),
        ({"Origin": "null", "Referer": "https://own.example/"}, "same-origin"),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, "same-origin"),
        ({"Sec-Fetch-Site": "forged", "Origin": "https://evil.example"}, "cross-site"),
    ],
)  # fmt: skip
def test_origin_and_referer_decide_without_it(headers, expected):
    assert origin_of(headers) == expected


def test_ports_and_ipv6_hosts_are_compared():
    own = "http://[::1]:5000"
    assert origin_of({"Origin": "http://[::1]:5000"}, own) == "same-origin"
    assert origin_of({"Origin": "http://[::1]:5001"}, own) == "cross-site"


@pytest.mark.parametrize(
    ("scheme", "origin", "expected"),
    [
        ("wss", "https://own.example", "same-origin"),
        ("wss", "http://own.example", "cross-site"),
        ("ws", "http://own.example", "same-origin"),
        ("wss", "https://evil.example", "cross-site"),
    ],
)
def test_a_websocket_has_the_origin_of_the_page_that_opens_it(scheme, origin, expected):
    assert origin_of({"Origin": origin}, f"{scheme}://own.example") == expected
