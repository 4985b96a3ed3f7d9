from __future__ import annotations

import io
import json
import typing as t

import pydantic
import pytest
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.test import EnvironBuilder
from werkzeug.test import run_wsgi_app

from flaskware_core.testing import make_app
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Steps
from flaskware_forms import Upload

FORM = "application/x-www-form-urlencoded"


class Inner(pydantic.BaseModel):
    x: int = 0


class Model(pydantic.BaseModel):
    name: str = ""
    tags: list[str] = []
    inner: Inner = Inner()
    file: Upload | None = None


class Plain(pydantic.BaseModel):
    name: str = ""


SPEC = FormSpec(Model, name="m")

BAD = {
    "a JSON list": (b"[1]", "application/json", 422),
    "a JSON number": (b"3", "application/json", 422),
    "JSON null": (b"null", "application/json", 422),
    "no JSON": (b"{", "application/json", 400),
    "an empty JSON body": (b"", "application/json", 400),
    "JSON that is not UTF-8": (b'{"name": "\xff"}', "application/json", 400),
    "JSON in UTF-16": (b"\xff\xfe{\x00}\x00", "application/json", 400),
    "a JSON number too large to print": (
        b'{"inner": {"x": %s}, "name": 1}' % (b"9" * 5000),
        "application/json",
        400,
    ),
    "JSON with half a character": (b'{"name": "\\ud800"}', "application/json", 400),
    "JSON with NaN": (b'{"inner": {"x": NaN}}', "application/json", 400),
    "a wrong type": (b'{"name": 5}', "application/json", 422),
    "deep JSON": (b"[" * 100_000, "application/json", 400),
    "closed deep JSON": (b"[" * 150 + b"]" * 150, "application/json", 400),
    "many JSON entries": (json.dumps([1] * 1001).encode(), "application/json", 413),
    "a file sent as JSON text": (b'{"file": "x"}', "application/json", 422),
    "a huge index": (b"tags-999999999=a", FORM, 400),
    "deep names": (b"inner" + b".x" * 50 + b"=1", FORM, 400),
    "forty thousand keys": (b"&".join(b"k%d=" % i for i in range(40_000)), FORM, 400),
    "a form that is not UTF-8": (b"name=\xff", FORM, 400),
    "a form with U+0000": (b"name=a%00b", FORM, 400),
    "a form with U+0000 in a list": (b"tags=a&tags=%00", FORM, 400),
    "JSON with U+0000": (b'{"tags": ["a\\u0000b"]}', "application/json", 400),
    "another charset": (b"name=a", f"{FORM}; charset=utf-16", 415),
    "a type that is no form": (b"<a/>", "application/xml", 415),
    "multipart without boundary": (b"--x", "multipart/form-data", 400),
    "truncated multipart": (
        b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nab',
        "multipart/form-data; boundary=x",
        400,
    ),
    "a file sent as text": (b"file=x", FORM, 422),
    "a body above the limit": (b"name=" + b"a" * (12 << 20), FORM, 413),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_body_is_a_refusal_and_never_a_crash(make_site, name):
    body, content_type, status = BAD[name]
    site = make_site(SPEC)
    response = site.post(body, content_type=content_type)
    assert response.status_code == status
    assert site.data is None


NAMELESS = (
    b"--b\r\nContent-Disposition: form-data%s\r\n\r\n1\r\n"
    b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n1\r\n--b--\r\n'
)


@pytest.mark.parametrize("part", [b"", b'; filename="a"'], ids=["text", "file"])
@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {}])
def test_a_part_without_a_name_is_refused_on_one_page_and_on_several(part, headers):
    app = make_app(Forms())
    spec = FormSpec(Plain, name="a")
    steps = Steps(Plain, name="b", pages={"p": ["name"]})
    app.add_url_rule("/", "a", spec.handles(lambda form: str(form.submit())))
    view = steps.handles(lambda flow, step: str(flow.submit()))
    app.add_url_rule("/<step>", "b", view)
    for url in ("/", "/p"):
        content_type = "multipart/form-data; boundary=b"
        response = app.test_client().post(
            url, data=NAMELESS % part, content_type=content_type, headers=headers
        )
        assert response.status_code == 400, response.text
        assert "has no name" in response.text


def test_text_that_looks_like_an_escape_of_u0000_is_text(make_site):
    site = make_site(SPEC)
    body = json.dumps({"name": "\\u0000"}).encode()
    assert site.post(body, content_type="application/json").status_code == 201
    assert site.data == Model(name="\\u0000")


def test_the_limit_holds_also_where_the_token_is_looked_for(make_site):
    body = {"name": "a" * (12 << 20)}
    assert make_site(SPEC).client.post("/", data=body).status_code == 413


def test_a_body_without_content_is_an_empty_form(make_site):
    site = make_site(SPEC)
    assert site.post().status_code == 303
    assert site.data == Model()


@pytest.mark.flask_only("Quart reads no wsgi.input")
@pytest.mark.parametrize(
    ("size", "status"), [(500, "201"), (996, "413"), (5000, "413")]
)
def test_a_body_that_does_not_tell_its_length_is_never_cut_off(make_site, size, status):
    site = make_site(SPEC, MAX_CONTENT_LENGTH=1000)
    for content_type, body in (
        (FORM, b"name=" + b"a" * size),
        ("application/json", b'{"name":"%s"}' % (b"a" * size)),
    ):
        environ = EnvironBuilder(
            "/",
            method="POST",
            content_type=content_type,
            headers={
                "Transfer-Encoding": "chunked",
                "Sec-Fetch-Site": "same-origin",
                "Accept": "application/json",
            },
        ).get_environ()
        # As a server that decodes chunks hands it on: of unknown length, with an end.
        environ.pop("CONTENT_LENGTH", None)
        environ["wsgi.input_terminated"] = True
        environ["wsgi.input"] = io.BytesIO(body)
        _, got, _ = run_wsgi_app(site.app, environ)
        assert got.startswith(status)


class ServersOwnError(Exception):
    """As Gunicorn's InvalidChunkSize, which is neither an OSError nor a ValueError."""


class BrokenInput(io.BytesIO):
    def __init__(self, error: Exception) -> None:
        super().__init__(b"")
        self.error = error

    def read(self, size: int | None = -1, /) -> bytes:
        raise self.error

    def readinto(self, buffer: t.Any, /) -> int:
        raise self.error


def send_broken(app: t.Any, error: Exception, content_type: str, **headers: str) -> str:
    environ = EnvironBuilder(
        "/",
        method="POST",
        content_type=content_type,
        headers={"Transfer-Encoding": "chunked", **headers},
    ).get_environ()
    environ.pop("CONTENT_LENGTH", None)
    environ["wsgi.input_terminated"] = True
    environ["wsgi.input"] = BrokenInput(error)
    return run_wsgi_app(app, environ)[1]


@pytest.mark.flask_only("Quart reads no wsgi.input")
@pytest.mark.parametrize(
    "content_type", [FORM, "multipart/form-data; boundary=x", "application/json", ""]
)
@pytest.mark.parametrize(
    "error", [ServersOwnError("zzz"), OSError(), EOFError(), ValueError()], ids=repr
)
@pytest.mark.parametrize("site_header", [{"Sec-Fetch-Site": "same-origin"}, {}])
def test_a_body_that_the_server_cannot_read_is_a_bad_request(
    make_site, content_type, error, site_header
):
    app = make_site(SPEC).app
    assert send_broken(app, error, content_type, **site_header).startswith("400")


@pytest.mark.flask_only("Quart reads no wsgi.input")
def test_a_body_that_the_server_cannot_read_is_one_for_a_plain_view_too(make_site):
    app = make_site(SPEC).app
    app.add_url_rule("/plain", "plain", lambda: "", methods=["POST"])
    environ = EnvironBuilder("/plain", method="POST", content_type=FORM).get_environ()
    environ["CONTENT_LENGTH"] = "5"
    environ["wsgi.input"] = BrokenInput(ServersOwnError("zzz"))
    assert run_wsgi_app(app, environ)[1].startswith("400")


@pytest.mark.flask_only("Quart reads no wsgi.input")
def test_a_mistake_in_a_stream_stays_a_mistake(make_site):
    app = make_site(SPEC).app
    with pytest.raises(TypeError, match="a mistake"):
        send_broken(app, TypeError("a mistake"), FORM)


@pytest.mark.flask_only("Quart reads no wsgi.input")
def test_what_a_stream_refuses_by_itself_stands(make_site):
    app = make_site(SPEC).app
    assert send_broken(app, RequestEntityTooLarge(), FORM).startswith("413")


def test_the_limit_of_the_app_stands_above_that_of_the_form(make_site):
    site = make_site(SPEC, FORMS_MAX_BODY_SIZE=10, MAX_CONTENT_LENGTH=100)
    assert site.post({"name": "a" * 50}).status_code == 303
    assert site.post({"name": "a" * 200}).status_code == 413


def test_json_as_deep_and_as_long_as_allowed_is_read(make_site):
    class Deep(pydantic.BaseModel):
        a: t.Annotated[list[str], pydantic.Field(max_length=10)]

    site = make_site(FormSpec(Deep, name="d"), FORMS_MAX_DEPTH=2, FORMS_MAX_ENTRIES=5)
    # Brackets in texts are counted and then found to be none.
    assert site.post(json={"a": ["[[[", "{{{,,,"]}).status_code == 201
    assert site.post(json={"a": ["1", "2", "3", "4"]}).status_code == 413


def test_a_wrong_shape_can_still_be_shown_as_a_page(make_site):
    site = make_site(SPEC)
    for body in ({"inner": "x", "tags": "y"}, {"inner": [1], "tags": {"a": 1}}, [1]):
        response = site.post(json=body, headers={"Accept": "text/html"})
        assert response.status_code == 422
        assert "<form" in response.text


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    body=st.binary(max_size=80)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["name", "tags", "inner", "x", "file"]), inner
            )
        ),
        max_leaves=8,
    ).map(lambda data: json.dumps(data).encode()),
    content_type=st.sampled_from(
        ["application/json", FORM, "multipart/form-data; boundary=x", "", "text/x"]
    ),
    accept=st.sampled_from(["text/html", "application/json", "*/*"]),
)
def test_no_body_is_an_error_of_the_server(make_site, body, content_type, accept):
    site = make_site(SPEC)
    headers = {"Accept": accept}
    response = site.post(body, content_type=content_type, headers=headers)
    assert response.status_code < 500


# Werkzeug leaves the temporary files of a broken body to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile")
@pytest.mark.filterwarnings("ignore:Unclosed file")
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    parts=st.lists(
        st.sampled_from(
            [
                b'\r\nContent-Disposition: form-data; name="name"\r\n\r\nab\r\n',
                b'\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n',
                b"\r\n",
                b'\r\nContent-Disposition: form-data; name="tags-1"\r\n\r\n',
                b"\r\nContent-Disposition: form-data\r\n\r\nx\r\n",
                b"--x",
                b"--x--",
                b"\xff\x00",
                b'name="',
            ]
        ),
        max_size=10,
    )
)
def test_no_multipart_body_is_an_error_of_the_server(make_site, parts):
    response = make_site(SPEC).post(
        b"--x" + b"".join(parts), content_type="multipart/form-data; boundary=x"
    )
    assert response.status_code < 500


class Large(pydantic.BaseModel):
    text: str
    blank: str
    after: str


@pytest.mark.parametrize("blank", [b"", b"\r\n"], ids=["as RFC 2046", "as browsers"])
def test_a_large_form_is_read_the_same_wherever_a_server_divides_it(make_site, blank):
    site = make_site(FormSpec(Large, name="large"))
    start = b"--b\r\nContent-Disposition: form-data; name="

    def part(name: bytes, text: bytes) -> bytes:
        return start + b'"%s"\r\n' % name + (text and b"\r\n" + text) + b"\r\n"

    wrong = []
    for length in range((1 << 16) - 220, (1 << 16) - 50):
        body = part(b"text", b"x" * length)
        body += part(b"blank", b"") + blank + part(b"after", b"y") + b"--b--\r\n"
        site.data = None
        site.post(body, content_type="multipart/form-data; boundary=b")
        if site.data != Large(text="x" * length, blank="", after="y"):
            wrong.append(length)
    assert wrong == []
