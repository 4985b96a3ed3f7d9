from __future__ import annotations

import collections.abc as cabc
import logging

import flask
import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from flaskware_secure import SecureHeaders
from flaskware_secure.testing import assert_csp

LiveApp = cabc.Callable[..., flask.Flask]
HTTP = "http://www.example.org"


def test_plain_http_goes_to_https_with_the_path_and_the_query(
    live_app: LiveApp,
) -> None:
    client = live_app(TRUSTED_HOSTS=["www.example.org"]).test_client()
    response = client.get("/a%20b//c?q=1%262&r=%C3%A9", base_url=f"{HTTP}:8080")
    assert response.status_code == 308
    assert (
        response.headers["Location"]
        == "https://www.example.org/a%20b//c?q=1%262&r=%C3%A9"
    )
    assert_csp(response, base_uri=["'none'"])


def test_a_post_stays_a_post(live_app: LiveApp) -> None:
    client = live_app(TRUSTED_HOSTS=["www.example.org"]).test_client()
    response = client.post("/", base_url=HTTP, data={"a": "b"})
    assert response.status_code == 308
    followed = client.post("/", base_url=HTTP, data={"a": "b"}, follow_redirects=True)
    assert followed.status_code == 200
    assert followed.request.method == "POST"
    assert followed.request.scheme == "https"


@pytest.mark.flask_only("Quart has no TRUSTED_HOSTS")
def test_a_forged_host_is_refused_and_not_redirected_to(live_app: LiveApp) -> None:
    client = live_app(TRUSTED_HOSTS=["www.example.org"]).test_client()
    response = client.get("/", base_url=HTTP, headers={"Host": "evil.example"})
    assert response.status_code == 400
    assert "Location" not in response.headers


def test_a_forged_host_is_redirected_to_the_configured_one(live_app: LiveApp) -> None:
    client = live_app(SECURE_HTTPS_HOST="www.example.org:8443").test_client()
    response = client.get("/x", base_url=HTTP, headers={"Host": "evil.example"})
    assert response.headers["Location"] == "https://www.example.org:8443/x"


_PAGE = {"Accept": "text/html,*/*"}


def test_without_known_hosts_a_page_goes_to_https_on_the_host_that_it_names(
    live_app: LiveApp,
) -> None:
    client = live_app().test_client()
    response = client.get("/?a=b", base_url=f"{HTTP}:8080", headers=_PAGE)
    assert response.status_code == 308
    assert response.headers["Location"] == "https://www.example.org/?a=b"
    # A host that somebody forged reaches nobody else through a cache.
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept": "application/json"},
        # Browsers send this over https only: a proxy in front does not say so.
        {**_PAGE, "Sec-Fetch-Site": "none"},
        {**_PAGE, "X-Forwarded-Proto": "https"},
    ],
)
def test_without_known_hosts_what_might_go_round_in_circles_is_served(
    live_app: LiveApp, headers: dict[str, str]
) -> None:
    client = live_app().test_client()
    assert client.get("/", base_url=HTTP, headers=headers).text == "served"
    assert client.post("/", base_url=HTTP, headers=_PAGE).text == "served"


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.5", "10.0.0.5:8000", "[fd00::1]", "nas", "nas.local", "app.internal",
        "box.lan:8080", "-a.example", "a_b.example", "1.2.3",
    ],
)  # fmt: skip
def test_without_known_hosts_a_name_without_a_certificate_is_served(
    live_app: LiveApp, host: str
) -> None:
    client = live_app().test_client()
    assert client.get("/", base_url=f"http://{host}", headers=_PAGE).text == "served"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:5000", "localhost", "app.localhost:80", "[::1]:5000"]
)
def test_this_machine_is_served_over_plain_http(live_app: LiveApp, host: str) -> None:
    client = live_app(SECURE_HTTPS_HOST="www.example.org").test_client()
    assert client.get("/", base_url=f"http://{host}").text == "served"


@pytest.mark.parametrize("name", ["DEBUG", "TESTING"])
def test_nothing_is_redirected_in_debug_mode_or_while_testing(
    live_app: LiveApp, name: str
) -> None:
    app = live_app(SECURE_HTTPS_HOST="www.example.org")
    assert app.test_client().get("/", base_url=HTTP).status_code == 308
    app.config[name] = True
    assert app.test_client().get("/", base_url=HTTP).status_code == 200


def test_the_redirect_can_be_turned_off(live_app: LiveApp) -> None:
    app = live_app(TRUSTED_HOSTS=["www.example.org"], SECURE_REDIRECT_HTTPS=False)
    assert app.test_client().get("/", base_url=HTTP).text == "served"


def test_an_exempt_path_is_served_over_plain_http(live_app: LiveApp) -> None:
    app = live_app(
        SECURE_HTTPS_HOST="www.example.org", SECURE_REDIRECT_EXEMPT=["/healthz"]
    )
    client = app.test_client()
    assert client.get("/healthz", base_url=HTTP).text == "ok"
    assert client.get("/healthz/deep", base_url=HTTP).status_code == 404
    assert client.get("/healthzz", base_url=HTTP).status_code == 308


def test_a_forged_proxy_header_is_not_trusted_and_makes_no_loop(
    live_app: LiveApp, caplog: pytest.LogCaptureFixture
) -> None:
    client = live_app(TRUSTED_HOSTS=["www.example.org"]).test_client()
    for header in (
        {"X-Forwarded-Proto": "https"},
        {"Forwarded": 'for=x;proto="https"'},
    ):
        with caplog.at_level(logging.ERROR, "flaskware.secure"):
            response = client.get("/", base_url=HTTP, headers=header)
        assert response.status_code == 421
        assert "served" not in response.text
        assert "Location" not in response.headers
        assert "Strict-Transport-Security" not in response.headers
        assert "ProxyFix" in caplog.text


@pytest.mark.flask_only("ProxyFix is for WSGI")
def test_what_proxyfix_established_is_trusted(live_app: LiveApp) -> None:
    app = live_app(TRUSTED_HOSTS=["www.example.org"])
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1)  # type: ignore[method-assign]
    client = app.test_client()
    secure = client.get("/", base_url=HTTP, headers={"X-Forwarded-Proto": "https"})
    assert secure.text == "served"
    assert "Strict-Transport-Security" in secure.headers
    plain = client.get("/", base_url=HTTP, headers={"X-Forwarded-Proto": "http"})
    assert plain.status_code == 308


def test_one_apps_redirect_does_not_reach_another(live_app: LiveApp) -> None:
    secure = SecureHeaders()
    redirecting = live_app(secure, SECURE_HTTPS_HOST="www.example.org")
    other = live_app(secure, SECURE_HTTPS_HOST="other.example")
    assert (
        redirecting.test_client().get("/", base_url=HTTP).headers["Location"]
        == "https://www.example.org/"
    )
    assert (
        other.test_client().get("/", base_url=HTTP).headers["Location"]
        == "https://other.example/"
    )
