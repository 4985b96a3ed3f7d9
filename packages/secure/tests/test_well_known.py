from __future__ import annotations

import asyncio
import collections.abc as cabc
import datetime
import typing as t

import flask
import hypothesis
import pytest
import quart
from hypothesis import strategies as st

from flaskware_core import ConfigError
from flaskware_core import examine
from flaskware_core.testing import blueprint_for
from flaskware_core.testing import make_app
from flaskware_secure import SecureHeaders

TXT = "/.well-known/security.txt"
PASSWORD = "/.well-known/change-password"
CONTACT = ["mailto:security@example.org"]


def _app(**settings: t.Any) -> flask.Flask:
    keys = {f"SECURE_{name.upper()}": value for name, value in settings.items()}
    return make_app(SecureHeaders(), **keys)


def _txt_app(**fields: t.Any) -> flask.Flask:
    fields = {"contacts": CONTACT, "expires": "2027-01-31", **fields}
    return _app(**{f"security_txt_{name}": value for name, value in fields.items()})


def test_the_file_has_every_field_that_is_set() -> None:
    app = _txt_app(
        contacts=[*CONTACT, "tel:+1-201-555-0123"],
        expires="2027-01-31T12:30:00+02:00",
        encryption=["openpgp4fpr:5f2de5521c63a801ab59ccb603d49de44b29100f"],
        acknowledgments=["https://example.org/thanks"],
        languages=["en", "pt-BR"],
        canonical=["https://www.example.org/.well-known/security.txt"],
        policy=["https://example.org/policy?a=b&c=%20d"],
        hiring=["https://example.org/jobs"],
    )
    response = app.test_client().get(TXT)
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.text.splitlines() == [
        "Contact: mailto:security@example.org",
        "Contact: tel:+1-201-555-0123",
        "Expires: 2027-01-31T12:30:00+02:00",
        "Encryption: openpgp4fpr:5f2de5521c63a801ab59ccb603d49de44b29100f",
        "Acknowledgments: https://example.org/thanks",
        "Canonical: https://www.example.org/.well-known/security.txt",
        "Policy: https://example.org/policy?a=b&c=%20d",
        "Hiring: https://example.org/jobs",
        "Preferred-Languages: en, pt-BR",
    ]


@pytest.mark.parametrize(
    "expires",
    [
        "2027-01-31",
        datetime.date(2027, 1, 31),
        datetime.datetime(2027, 1, 31),  # noqa: DTZ001 - without a zone on purpose
        datetime.datetime(2027, 1, 31, tzinfo=datetime.UTC),
    ],
)
def test_the_end_is_in_utc_if_it_names_no_zone(expires: object) -> None:
    text = _txt_app(expires=expires).test_client().get(TXT).text
    assert "Expires: 2027-01-31T00:00:00Z\n" in text


def test_an_app_without_the_settings_has_no_such_address() -> None:
    client = _app().test_client()
    assert {client.get(path).status_code for path in (TXT, PASSWORD)} == {404}


@pytest.mark.parametrize(
    ("settings", "code", "write"),
    [
        (
            {"security_txt_contacts": CONTACT},
            "security-txt.no-expiry",
            "SECURE_SECURITY_TXT_EXPIRES = ",
        ),
        (
            {"security_txt_expires": "2027-01-31"},
            "security-txt.no-contact",
            "SECURE_SECURITY_TXT_CONTACTS = ",
        ),
    ],
)
def test_a_file_that_lacks_what_it_needs_is_refused(
    settings: dict[str, object], code: str, write: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        _app(**settings)
    [problem] = caught.value.problems
    assert getattr(problem, "code", "") == code
    assert problem.write.startswith(write)


@pytest.mark.parametrize(
    ("fields", "code", "write"),
    [
        ({"contacts": ["a@example.org"]}, "bad-address", "mailto:a@example.org"),
        ({"contacts": ["mailto:nobody"]}, "bad-address", "https://"),
        ({"contacts": ["https://"]}, "bad-address", "https://"),
        ({"contacts": ["https://[::1"]}, "bad-address", "https://"),
        ({"contacts": ["mailto:a@b.example\nExpires: x"]}, "bad-address", "https://"),
        ({"encryption": ["http://a.example"]}, "bad-address", "https://a.example"),
        ({"canonical": ["mailto:a@b.example"]}, "bad-address", "https://"),
        ({"policy": ["/policy"]}, "bad-address", "https://"),
        ({"acknowledgments": ["thanks"]}, "bad-address", "https://"),
        ({"hiring": ["http://a.example/"]}, "bad-address", "https://a.example/"),
        ({"languages": ["en, de"]}, "bad-language", "en"),
        ({"languages": ["e"]}, "bad-language", "en"),
    ],
)
def test_a_field_that_nobody_could_use_is_refused(
    fields: dict[str, object], code: str, write: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        _txt_app(**fields)
    [problem] = caught.value.problems
    assert getattr(problem, "code", "") == f"security-txt.{code}"
    assert problem.key == f"SECURE_SECURITY_TXT_{next(iter(fields)).upper()}"
    assert write in problem.write


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        _app(
            security_txt_policy=["x"], security_txt_languages=["!"], change_password=""
        )
    assert len(caught.value.problems) == 5


@hypothesis.settings(database=None, deadline=None, max_examples=60)
@hypothesis.given(
    st.one_of(
        st.text(max_size=20),
        st.text("ab.:/?#[]@\r\n\x85 ", max_size=12).map("https://a".__add__),
        st.text("ab.:@\r\n\x85 ", max_size=12).map("mailto:a@b".__add__),
    )
)
def test_whatever_is_accepted_is_one_line(address: str) -> None:
    try:
        app = _txt_app(contacts=[address], encryption=[address])
    except ConfigError:
        return
    lines = app.test_client().get(TXT).text.splitlines()
    names = [line.partition(": ")[0] for line in lines]
    assert names == ["Contact", "Expires", "Encryption"]
    assert lines[0] == f"Contact: {address}"


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("account.password", "/below/account/password"),
        ("/settings?tab=password", "/below/settings?tab=password"),
        ("https://id.example.org/password", "https://id.example.org/password"),
    ],
)
def test_password_managers_are_sent_to_the_page(target: str, location: str) -> None:
    app = _app(change_password=target)
    account = blueprint_for(app, "account", url_prefix="/account")
    account.add_url_rule("/password", "password", lambda: "page")
    app.register_blueprint(account)
    client = app.test_client()
    # Below a path where a server mounts the app.
    response = client.get(PASSWORD, environ_overrides={"SCRIPT_NAME": "/below"})
    assert response.status_code == 302
    assert response.headers["Location"] == location
    assert client.post(PASSWORD).status_code == 405


@pytest.mark.parametrize(
    "target",
    [
        "", "//evil.example", "/\\evil.example", "/a\r\nb", "http://a.example/",
        "https://", "https://[", "javascript:alert(1)", "a b", PASSWORD,
        "flaskware_secure.change_password",
    ],
)  # fmt: skip
def test_a_target_that_leads_astray_is_refused(target: str) -> None:
    with pytest.raises(ConfigError, match=r"change-password\.bad-target"):
        _app(change_password=target)


@pytest.mark.parametrize("path", [TXT, PASSWORD])
def test_a_hook_that_asks_everybody_to_sign_in_hides_neither(path: str) -> None:
    app = make_app()
    app.before_request(lambda: flask.redirect("/login"))
    app.config.update(
        SECURE_SECURITY_TXT_CONTACTS=CONTACT,
        SECURE_SECURITY_TXT_EXPIRES="2027-01-31",
        SECURE_CHANGE_PASSWORD="/password",
    )
    SecureHeaders(app)
    client = app.test_client()
    assert client.get("/").headers["Location"] == "/login"
    for method in ("GET", "HEAD"):
        response = client.open(path, method=method)
        assert response.headers.get("Location") != "/login"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_the_file_is_given_over_https_only(
    live_app: cabc.Callable[..., flask.Flask],
) -> None:
    app = live_app(
        SECURE_SECURITY_TXT_CONTACTS=CONTACT,
        SECURE_SECURITY_TXT_EXPIRES="2027-01-31",
        SECURE_HTTPS_HOST="www.example.org",
    )
    response = app.test_client().get(TXT, base_url="http://www.example.org")
    assert response.headers["Location"] == f"https://www.example.org{TXT}"


def test_quart_answers_them_too() -> None:
    app = quart.Quart("quart_well_known")
    SecureHeaders(
        app,
        security_txt_contacts=CONTACT,
        security_txt_expires="2027-01-31",
        change_password="password",
    )

    @app.get("/account/password")
    async def password() -> str:
        return "page"

    async def use() -> None:
        client = app.test_client()
        response = await client.get(TXT)
        assert "Contact: mailto:" in await response.get_data(as_text=True)
        response = await client.get(PASSWORD)
        assert response.status_code == 302
        assert response.headers["Location"] == "/account/password"

    asyncio.run(use())


def _ids(app: flask.Flask) -> set[str]:
    return {finding.id for finding in examine(app).findings}


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (-1, {"secure.security-txt-expired"}),
        (29, {"secure.security-txt-expires"}),
        (40, set[str]()),
        (360, set[str]()),
        (400, {"secure.security-txt-long"}),
    ],
)
def test_the_doctor_warns_before_the_file_expires(
    days: int, expected: set[str]
) -> None:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    found = {each for each in _ids(_txt_app(expires=end)) if "security-txt" in each}
    assert found == expected


def test_the_doctor_asks_for_a_page_that_is_there() -> None:
    def found(app: flask.Flask) -> bool:
        return "secure.change-password-endpoint" in _ids(app)

    app = _app(change_password="password")
    assert found(app)
    app.add_url_rule("/a/<int:number>", "password", lambda number=0: f"{number}")
    assert found(app)
    app.add_url_rule("/a", "password", defaults={"number": 1})
    assert not found(app)
    assert not found(_app(change_password="/somewhere"))


def test_the_doctor_finds_a_route_and_a_setting_for_one_address() -> None:
    app = _app(change_password="/password")
    assert "secure.well-known-twice" not in _ids(app)
    app.add_url_rule(PASSWORD, "own", lambda: "own")
    assert "secure.well-known-twice" in _ids(app)
