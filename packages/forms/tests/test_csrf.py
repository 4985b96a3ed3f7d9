from __future__ import annotations

import flask_caching
import flask_wtf
import jinja2
import pydantic
import pytest
import wtforms
from flask.sessions import SecureCookieSessionInterface
from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st

from flaskware_core import ConfigError
from flaskware_core import Extension
from flaskware_core import Settings
from flaskware_core.testing import blueprint_for
from flaskware_core.testing import make_app
from flaskware_core.testing import rendered
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms._csrf.mask import mask
from flaskware_forms._csrf.mask import unmask
from flaskware_forms.testing import csrf_token
from flaskware_forms.testing import submit


class Model(pydantic.BaseModel):
    name: str


SPEC = FormSpec(Model, name="m")
SELF = "http://localhost"
OTHER = "https://evil.example"
TRUSTED = "https://app.example"

# What comes of Sec-Fetch-Site (down) and Origin (across): "own" passes without a token,
# "token" needs one, "other" is refused with it too.
ORIGINS = [None, SELF, "null", TRUSTED, OTHER]
SITES: dict[str | None, list[str]] = {
    # no Origin     its own  null     trusted  another
    None:          ["token", "own",   "token", "own",   "other"],
    "same-origin": ["own",   "own",   "own",   "own",   "own"],
    "same-site":   ["other", "other", "other", "own",   "other"],
    "cross-site":  ["other", "other", "other", "own",   "other"],
    "none":        ["token", "token", "token", "own",   "token"],
}  # fmt: skip
# What is left to the token: by the token, and whether there are cookies.
TOKENS = {
    ("none", True): 400,
    ("none", False): 400,
    ("right", True): 303,
    # A token is worth nothing without the session that it belongs to.
    ("right", False): 400,
    ("expired", True): 400,
    ("garbage", True): 400,
    ("of another session", True): 400,
}
METHODS = ["POST", "PUT", "PATCH", "DELETE"]


def make_guarded(**config):
    """An app with a typed form and a plain view, and a page with a token."""
    app = make_app(Forms(), FLASKWARE_TRUSTED_ORIGINS=[TRUSTED], **config)

    @app.get("/token")
    def token():
        source = '<input name="csrf_token" value="{{ csrf_token() }}">'
        return rendered(source)

    @app.route("/typed", methods=["GET", *METHODS])
    @SPEC.handles
    def typed(form):
        return (
            ("", 303) if form.submit() else (str(form.csrf()), form._submission.status)
        )

    @app.route("/plain", methods=METHODS)
    def plain():
        return "", 303

    return app


@pytest.fixture(scope="module")
def guarded():
    return make_guarded()


@pytest.fixture(scope="module")
def by_headers():
    return make_guarded(FORMS_CSRF_STRATEGY="headers")


@pytest.mark.parametrize("url", ["/typed", "/plain"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("token", "cookies"), TOKENS)
def test_method_site_origin_token_and_cookie_decide(
    guarded, url, method, token, cookies
):
    client = guarded.test_client()
    right = csrf_token(client, "/typed")
    tokens = {
        "none": None,
        "right": right,
        "garbage": "m1.garbage",
        "of another session": csrf_token(guarded.test_client(), "/typed"),
        "expired": right,
    }
    data = {"name": "a"}
    if tokens[token] is not None:
        data["csrf_token"] = tokens[token]
    guarded.config["WTF_CSRF_TIME_LIMIT"] = -1 if token == "expired" else 3600
    sender = client if cookies else guarded.test_client()
    for site, row in SITES.items():
        for origin, verdict in zip(ORIGINS, row, strict=True):
            headers = {"Sec-Fetch-Site": site, "Origin": origin}
            sent = {k: v for k, v in headers.items() if v is not None}
            wanted = {"own": 303, "other": 403, "token": TOKENS[token, cookies]}
            got = sender.open(url, method=method, data=data, headers=sent).status_code
            # What htmx sends is no different.
            again = sender.open(
                url, method=method, data=data, headers={**sent, "HX-Request": "true"}
            )
            assert got == again.status_code == wanted[verdict], (site, origin)


@pytest.mark.parametrize("url", ["/typed", "/plain"])
@pytest.mark.parametrize("token", [False, True])
def test_headers_alone_decide_if_the_app_says_so_and_a_token_only_what_they_leave(
    by_headers, url, token
):
    client = by_headers.test_client()
    data = {"name": "a"}
    value = csrf_token(client, "/token")
    if token:
        data["csrf_token"] = value
    for site, row in SITES.items():
        for origin, verdict in zip(ORIGINS, row, strict=True):
            headers = {"Sec-Fetch-Site": site, "Origin": origin}
            sent = {k: v for k, v in headers.items() if v is not None}
            left = "own" if site == "none" and verdict == "token" else verdict
            wanted = {"own": 303, "other": 403, "token": 303 if token else 400}
            got = client.post(url, data=data, headers=sent)
            assert got.status_code == wanted[left], (site, origin)


def test_a_page_that_shows_a_form_can_be_cached_if_headers_decide(make_site):
    site = make_site(SPEC, FORMS_CSRF_STRATEGY="headers", SECRET_KEY=None)
    page = site.client.get("/")
    assert "csrf_token" not in page.text
    assert "Set-Cookie" not in page.headers
    assert page.headers["Vary"] == "HX-Request"
    assert submit(site.client, "/", data={"name": "a"}).status_code == 303
    again = site.client.get("/")
    assert again.text == page.text


def test_a_post_whose_headers_say_nothing_is_told_so(make_site, caplog):
    site = make_site(SPEC, FORMS_CSRF_STRATEGY="headers")
    response = site.client.post(
        "/", data={"name": "a"}, headers={"Accept": "application/json"}
    )
    assert response.status_code == 400
    error = response.get_json()["errors"][0]
    assert error["code"] == "csrf_unproven"
    assert "over https" in error["detail"]
    assert "serve the app over https" in caplog.text


# Headers, with a valid token, with cookies: what comes of a post.
MATRIX = [
    ({"Referer": f"{SELF}/page"}, False, True, 303),
    ({"Referer": f"{OTHER}/x"}, True, True, 403),
    # A page cannot send such a header elsewhere; a browser adds Basic by itself.
    ({"Authorization": "Bearer x"}, False, True, 303),
    ({"Authorization": "Bearer x", "Sec-Fetch-Site": "cross-site"}, False, True, 303),
    ({"Authorization": "Basic eDp5"}, False, True, 400),
    ({"Authorization": "Basic eDp5", "Origin": OTHER}, False, True, 403),
    ({"Authorization": "Negotiate x"}, False, True, 400),
]


@pytest.mark.parametrize("plain", [False, True], ids=["typed form", "plain view"])
@pytest.mark.parametrize(("headers", "token", "cookies", "status"), MATRIX)
def test_referer_and_authorization_decide_too(
    make_site, headers, token, cookies, status, plain
):
    site = make_site(SPEC, FLASKWARE_TRUSTED_ORIGINS=[TRUSTED])
    site.app.add_url_rule("/plain", "plain", lambda: ("", 303), methods=["POST"])
    data = {"name": "a"}
    value = csrf_token(site.client, "/")
    if token:
        data["csrf_token"] = value
    client = site.client if cookies else site.app.test_client()
    response = client.post("/plain" if plain else "/", data=data, headers=headers)
    assert response.status_code == status


class Telling(SecureCookieSessionInterface):
    """Takes `Authorization: Bearer yes`, and the cookie only without a header of it."""

    def credential_of(self, request):
        if request.headers.get("Authorization", "").startswith("Bearer yes"):
            return "header"
        return "cookie" if "session" in request.cookies else None


@pytest.mark.parametrize("plain", [False, True], ids=["typed form", "plain view"])
@pytest.mark.parametrize(
    ("headers", "cookies", "status"),
    [
        ({"Authorization": "Bearer yes"}, False, 303),
        ({"Authorization": "Bearer yes"}, True, 303),
        ({"Authorization": "Bearer yes", "Sec-Fetch-Site": "cross-site"}, True, 303),
        ({"Authorization": "Bearer no"}, True, 400),
        ({"Authorization": "Bearer no", "Sec-Fetch-Site": "cross-site"}, True, 403),
        ({"Authorization": "Bearer no", "Sec-Fetch-Site": "same-origin"}, True, 303),
        ({"Authorization": "Bearer no"}, False, 303),
        ({}, True, 400),
    ],
)
def test_a_header_proves_nothing_where_the_sessions_say_that_a_cookie_counts(
    make_site, headers, cookies, status, plain
):
    site = make_site(SPEC)
    site.app.session_interface = Telling()
    site.app.add_url_rule("/plain", "plain", lambda: ("", 303), methods=["POST"])
    csrf_token(site.client, "/")
    client = site.client if cookies else site.app.test_client()
    data = {"name": "a"}
    response = client.post("/plain" if plain else "/", data=data, headers=headers)
    assert response.status_code == status


def test_a_token_is_another_one_in_each_response(make_site):
    site = make_site(SPEC)
    tokens = {csrf_token(site.client, "/") for _ in range(4)}
    assert len(tokens) == 4
    for token in tokens:
        data = {"name": "a", "csrf_token": token}
        assert site.client.post("/", data=data).status_code == 303
    # Nothing of one stands in another.
    ends = {token[-40:] for token in tokens}
    assert len(ends) == 4


@pytest.mark.flask_only("a FlaskForm knows Flask alone")
def test_the_token_of_a_template_is_masked_and_is_taken_by_a_flask_form(make_site):
    site = make_site(SPEC)

    class Hand(flask_wtf.FlaskForm):
        name = wtforms.StringField()

    @site.app.route("/hand", methods=["GET", "POST"])
    def hand():
        if Hand().validate_on_submit():
            return "yes"
        return rendered('<input name="csrf_token" value="{{ csrf_token() }}">')

    token = csrf_token(site.client, "/hand")
    assert token.startswith("m1.")
    answer = site.client.post("/hand", data={"name": "a", "csrf_token": token})
    assert answer.text == "yes"


def test_a_token_in_a_header_may_be_masked(make_site):
    site = make_site(SPEC)
    headers = {"X-CSRFToken": csrf_token(site.client, "/")}
    assert site.client.post("/", json={"name": "a"}, headers=headers).status_code == 201
    assert site.client.post("/", json={"name": "a"}).status_code == 400


@given(st.text(max_size=60))
def test_what_is_masked_is_unmasked(token):
    assert unmask(mask(token)) == token


@example("m1.0000")
@given(st.text(max_size=40).map(lambda text: f"m1.{text}"))
def test_what_nobody_masked_is_no_crash(token):
    assert unmask(token) is not None


@pytest.mark.parametrize("stream", [False, True])
def test_the_token_of_a_streamed_page_belongs_to_a_session(stream):
    app = make_app(Forms())
    app.jinja_loader = jinja2.DictLoader({"p.html": "{{ x }}{{ form.render() }}"})

    @app.route("/", methods=["GET", "POST"])
    @SPEC.handles
    def view(form):
        if form.submit():
            return "", 303
        return form.respond("p.html", stream=stream, x="y" * 5000)

    client = app.test_client()
    token = csrf_token(client, "/")
    data = {"name": "a", "csrf_token": token}
    assert client.post("/", data=data).status_code == 303


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_safe_methods_are_never_refused(make_site, method):
    site = make_site(SPEC)
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert site.client.open("/", method=method, headers=headers).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_unsafe_methods_are(make_site, method):
    site = make_site(SPEC)
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert site.client.open("/", method=method, headers=headers).status_code == 403
    assert site.calls == 0


def test_a_proven_post_opens_no_session(make_site):
    site = make_site(SPEC)
    site.client.get("/")
    response = submit(site.client, "/", data={"name": "a"})
    assert response.status_code == 303
    assert "Cookie" not in response.vary
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [
        (lambda own, other: None, "csrf_missing", "came without its token"),
        (lambda own, other: own, "csrf_expired", "open for too long"),
        (lambda own, other: other, "csrf_invalid", "not from your current session"),
        (lambda own, other: "m1.x", "csrf_invalid", "not from your current session"),
    ],
)
def test_a_refusal_says_what_is_wrong_with_the_token(make_site, sent, code, words):
    site = make_site(SPEC, WTF_CSRF_TIME_LIMIT=-1 if code == "csrf_expired" else 3600)
    other = csrf_token(site.app.test_client(), "/")
    token = sent(csrf_token(site.client, "/"), other)
    data = {"name": "a"} if token is None else {"name": "a", "csrf_token": token}
    answer = site.client.post("/", data=data, headers={"Accept": "application/json"})
    assert answer.status_code == 400
    (error,) = answer.get_json()["errors"]
    assert error["code"] == code
    assert words in error["detail"]
    assert words in site.client.post("/", data=data).text


@pytest.mark.parametrize("url", ["/typed", "/plain"])
@pytest.mark.parametrize(
    ("fallbacks", "status"), [(["the old key"], 303), ([], 400), (["another"], 400)]
)
def test_a_token_signed_with_an_earlier_key_is_accepted(url, fallbacks, status):
    app = make_guarded(SECRET_KEY="the old key")
    client = app.test_client()
    token = csrf_token(client, "/typed")
    app.config.update(SECRET_KEY="the new key", SECRET_KEY_FALLBACKS=fallbacks)
    data = {"name": "a", "csrf_token": token}
    assert client.post(url, data=data).status_code == status
    # Of a page that is made from now on, the new key signs the token.
    app.config.update(SECRET_KEY_FALLBACKS=None)
    fresh = csrf_token(client, "/typed")
    data = {"name": "a", "csrf_token": fresh}
    assert client.post(url, data=data).status_code == 303


def test_a_key_for_tokens_alone_can_be_renewed_too():
    config = {"SECRET_KEY": "of the session", "WTF_CSRF_SECRET_KEY": "old"}
    app = make_guarded(**config)
    client = app.test_client()
    data = {"name": "a", "csrf_token": csrf_token(client, "/typed")}
    app.config.update(WTF_CSRF_SECRET_KEY="new")
    assert client.post("/typed", data=data).status_code == 400
    app.config.update(SECRET_KEY_FALLBACKS=["old"])
    assert client.post("/typed", data=data).status_code == 303


def test_an_expired_token_shows_the_form_again_with_what_was_typed(make_site):
    site = make_site(SPEC, WTF_CSRF_TIME_LIMIT=-1)
    token = csrf_token(site.client, "/")
    data = {"name": "typed this", "csrf_token": token}
    response = site.client.post("/", data=data)
    assert response.status_code == 400
    assert 'value="typed this"' in response.text
    assert "open for too long" in response.text
    assert site.data is None


def test_a_form_without_a_token_is_told_in_the_log(make_site, caplog):
    assert make_site(SPEC).client.post("/", data={"name": "a"}).status_code == 400
    assert "Refused POST /: it has no CSRF token" in caplog.text
    assert "{{ form.csrf() }}" in caplog.text


@pytest.mark.parametrize(
    ("config", "refused"),
    [
        ({}, True),
        ({"SECRET_KEY": ""}, True),
        ({"SECRET_KEY": "x"}, False),
        ({"WTF_CSRF_SECRET_KEY": "x"}, False),
        ({"WTF_CSRF_ENABLED": False}, False),
        ({"FORMS_CSRF_STRATEGY": "headers"}, False),
    ],
)
def test_an_app_that_can_sign_no_token_is_refused_at_the_start(config, refused):
    if not refused:
        make_app(Forms(), **{"SECRET_KEY": None, **config})
        return
    with pytest.raises(ConfigError) as caught:
        make_app(Forms(), **{"SECRET_KEY": None, **config})
    assert "SECRET_KEY" in str(caught.value)
    assert "secrets.token_hex()" in str(caught.value)
    assert 'FORMS_CSRF_STRATEGY = "headers"' in str(caught.value)


def test_a_token_of_another_session_is_refused(make_site):
    site = make_site(SPEC)
    token = csrf_token(site.app.test_client(), "/")
    site.client.get("/")
    response = site.client.post("/", data={"name": "a", "csrf_token": token})
    assert response.status_code == 400


def test_json_with_cookies_needs_the_token_in_a_header(make_site):
    site = make_site(SPEC)
    token = csrf_token(site.client, "/")
    refused = site.client.post("/", json={"name": "a", "csrf_token": token})
    assert refused.status_code == 400
    assert refused.content_type == "application/problem+json"
    assert refused.get_json()["errors"][0]["code"] == "csrf_missing"
    taken = site.client.post("/", json={"name": "a"}, headers={"X-CSRFToken": token})
    assert taken.status_code == 201


def test_json_without_cookies_needs_none(make_site):
    assert make_site(SPEC).client.post("/", json={"name": "a"}).status_code == 201


def test_form_text_that_claims_no_type_is_not_taken_for_json(make_site):
    site = make_site(SPEC)
    body = b'{"name": "a"}'
    response = site.client.post("/", data=body, content_type="text/plain")
    assert response.status_code == 415
    assert site.data is None


def test_the_refusal_says_in_clear_words_why(make_site):
    response = make_site(SPEC).client.post(
        "/", data={"name": "a"}, headers={"Origin": OTHER}
    )
    assert "another site" in response.text
    assert response.mimetype == "text/html"


def test_a_client_of_json_gets_the_refusal_as_a_problem(make_site):
    response = make_site(SPEC).client.post(
        "/", json={"name": "a"}, headers={"Origin": OTHER}
    )
    assert response.status_code == 403
    assert response.content_type == "application/problem+json"
    assert response.get_json()["status"] == 403


def test_under_https_a_page_without_referrer_can_post(make_site):
    site = make_site(SPEC)
    client = site.app.test_client()
    page = client.get("/", base_url="https://localhost")
    token = page.text.split('name="csrf_token" value="')[1].split('"')[0]
    # What a browser without Fetch Metadata sends under no-referrer.
    response = client.post(
        "/",
        data={"name": "a", "csrf_token": token},
        base_url="https://localhost",
        headers={"Origin": "null"},
    )
    assert response.status_code == 303


def test_a_view_that_never_submits_its_form_cannot_answer_a_forged_post():
    app = make_app(Forms())

    @app.post("/")
    @SPEC.handles
    def view(form):
        return "done"

    client = app.test_client()
    assert client.post("/", data={"name": "a"}).status_code == 400
    assert submit(client, "/", data={"name": "a"}).text == "done"


def test_off_means_off_for_both_kinds_of_form(make_site):
    site = make_site(SPEC, WTF_CSRF_ENABLED=False)
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert "csrf_token" not in site.client.get("/").text
    assert site.client.post("/", data={"name": "a"}, headers=headers).status_code == 303


def test_not_by_default_still_guards_typed_forms(make_site):
    site = make_site(SPEC, WTF_CSRF_CHECK_DEFAULT=False)
    site.app.add_url_rule("/plain", "plain", lambda: "open", methods=["POST"])
    assert site.client.post("/plain").text == "open"
    assert site.client.post("/", data={"name": "a"}).status_code == 400
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert site.client.post("/", data={"name": "a"}, headers=headers).status_code == 403


def test_a_field_name_of_ones_own_is_used(make_site):
    site = make_site(SPEC, WTF_CSRF_FIELD_NAME="proof")
    page = site.client.get("/").text
    token = page.split('name="proof" value="')[1].split('"')[0]
    response = site.client.post("/", data={"name": "a", "proof": token})
    assert response.status_code == 303


def test_a_view_can_be_exempt_before_there_is_an_app(make_site):
    forms = Forms()

    @forms.exempt
    @SPEC.handles
    def view(form):
        return "got it" if form.submit() else "wrong"

    forms.init_app(app := make_app())
    app.add_url_rule("/", view_func=view, methods=["POST"])
    client = app.test_client()
    response = client.post("/", data={"name": "a"}, headers={"Origin": OTHER})
    assert response.text == "got it"


def test_an_exempt_view_does_not_exempt_others_of_its_name():
    forms = Forms()
    app = make_app(forms)
    app.add_url_rule("/a", "a", forms.exempt(lambda: "open"), methods=["POST"])
    app.add_url_rule("/b", "b", lambda: "guarded", methods=["POST"])
    client = app.test_client()
    assert client.post("/a", headers={"Origin": OTHER}).text == "open"
    assert client.post("/b", headers={"Origin": OTHER}).status_code == 403


def test_a_blueprint_and_what_is_inside_of_it_can_be_exempt():
    forms = Forms()
    app = make_app(forms)
    outer, inner = blueprint_for(app, "o"), blueprint_for(app, "i")
    inner.add_url_rule("/hook", "hook", lambda: "got it", methods=["POST"])
    forms.exempt(outer)
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    # One of the same name elsewhere is another one.
    twin = blueprint_for(app, "o")
    twin.add_url_rule("/twin", "twin", lambda: "open", methods=["POST"])
    app.register_blueprint(twin, name="twin")
    client = app.test_client()
    assert client.post("/hook", headers={"Origin": OTHER}).text == "got it"
    assert client.post("/twin", headers={"Origin": OTHER}).status_code == 403


def test_other_extensions_exempt_by_name_as_flask_wtf_lets_them():
    app = make_app(Forms())

    def named():
        return "open"

    app.add_url_rule("/", view_func=named, methods=["POST"])
    app.extensions["csrf"].exempt(f"{__name__}.named")
    assert app.test_client().post("/", headers={"Origin": OTHER}).text == "open"


def test_a_request_without_a_view_is_not_found_rather_than_refused():
    client = make_app(Forms()).test_client()
    assert client.post("/none", headers={"Origin": OTHER}).status_code == 404


def test_protect_can_be_called_for_one_view_where_it_is_off_by_default():
    app = make_app(Forms(), WTF_CSRF_CHECK_DEFAULT=False)

    @app.post("/")
    def view():
        app.extensions["csrf"].protect()
        return "guarded"

    client = app.test_client()
    assert client.post("/").status_code == 400
    assert submit(client, "/").text == "guarded"


@pytest.mark.parametrize("apply", [False, True])
def test_protect_leaves_out_what_is_exempt_if_it_is_told_to(apply):
    forms = Forms()
    app = make_app(forms, WTF_CSRF_CHECK_DEFAULT=False)

    @app.before_request
    def guard():
        app.extensions["csrf"].protect(apply_exemptions=apply)

    app.add_url_rule("/a", "a", forms.exempt(lambda: "open"), methods=["POST"])
    app.add_url_rule("/b", "b", lambda: "guarded", methods=["POST"])
    blueprint = blueprint_for(app, "c")
    blueprint.add_url_rule("/c", "c", lambda: "open", methods=["POST"])
    app.register_blueprint(forms.exempt(blueprint))
    client = app.test_client()
    for headers, refused in (({}, 400), ({"Origin": OTHER}, 403)):
        for url in ("/a", "/c"):
            status = client.post(url, headers=headers).status_code
            assert status == (200 if apply else refused)
        assert client.post("/b", headers=headers).status_code == refused
        # What has no view is not found, rather than refused.
        status = client.post("/none", headers=headers).status_code
        assert status == (404 if apply else refused)


def test_requests_that_share_an_app_context_are_judged_one_by_one(make_site):
    site = make_site(SPEC)
    site.app.add_url_rule("/plain", "plain", lambda: "changed", methods=["POST"])
    with site.app.app_context():
        assert submit(site.client, "/", data={"name": "a"}).status_code == 303
        assert site.client.post("/", data={"name": "a"}).status_code == 400
        assert site.client.post("/plain").status_code == 400


class OpenSettings(Settings):
    prefix = "OPEN_"
    distribution = "flaskware-open"


class Open(Extension[OpenSettings, None]):
    """An extension by which pages of other sites may post to some views."""

    name = "open"

    def _build(self, app, settings):
        return None

    def _takes_from_elsewhere(self, app, request):
        return request.path.startswith("/open")


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site", "Origin": OTHER}, {}]
)
@pytest.mark.parametrize("cookie", [{}, {"Cookie": "session=1"}])
def test_what_another_extension_takes_from_elsewhere_needs_no_token(headers, cookie):
    app = make_app(Forms(), Open())
    for path in ("/open/plain", "/plain"):
        app.add_url_rule(path, path, lambda: "done", methods=["POST"])
    for path in ("/open/form", "/form"):
        view = SPEC.handles(lambda form: str(form.submit()))
        app.add_url_rule(path, path, view, methods=["POST"])
    client = app.test_client()
    for path in ("/plain", "/form"):
        sent = {"data": {"name": "Ann"}, "headers": headers | cookie}
        assert "Ann" in client.post("/open/form", **sent).text
        assert client.post(f"/open{path}", **sent).status_code == 200
        refused = client.post(path, **sent)
        assert refused.status_code in {400, 403} or refused.text == "None"


class _Bare(flask_wtf.FlaskForm):
    name = wtforms.StringField()


PAGES = {
    "form": lambda: rendered("{{ m.csrf() }}", m=SPEC.bind()),
    "function": lambda: rendered("{{ csrf_token() }}"),
    "FlaskForm": lambda: str(_Bare().csrf_token),
}


@pytest.mark.flask_only("Flask-Caching knows Flask alone")
@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("is_checked", [True, False])
def test_flask_caching_never_shares_the_token_of_one_visitor(kind, is_checked):
    app = make_app(Forms(), WTF_CSRF_CHECK_DEFAULT=is_checked)
    cache = flask_caching.Cache(app, config={"CACHE_TYPE": "SimpleCache"})
    app.add_url_rule("/page", "page", cache.cached(60)(PAGES[kind]))
    app.add_url_rule("/plain", "plain", cache.cached(60)(lambda: "x" * 9))
    first, second = (app.test_client().get("/page").text for _ in range(2))
    assert len(first) > 20
    assert first != second
    assert app.test_client().get("/plain").text == "x" * 9
    assert len(list(cache.cache._cache)) == 1
