"""Bodies that nobody would write, to a whole app: never a crash, never for long."""

from __future__ import annotations

import json
import time

import pydantic
import pytest
from forms_models import Branch
from forms_models import Way
from hypothesis import example
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st

from flaskware_core.testing import make_app
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Steps
from flaskware_forms import Upload


class Kept(pydantic.BaseModel):
    name: str = ""
    number: int | None = None
    tags: list[str] = []
    grid: list[list[int]] = []
    tree: Branch | None = None
    pay: Way | None = None
    pays: list[Way] = []


class Odd(Kept):
    file: Upload | None = None
    files: list[Upload] = []


SPEC = FormSpec(Odd, name="odd")
STEPS = Steps(
    Kept,
    name="kept",
    pages={"one": ["name", "tags", "tree", "pay"], "two": ["number", "grid", "pays"]},
)
APP = make_app(Forms())
ANSWERS = {200, 201, 204, 303, 400, 413, 415, 422}
quick = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@APP.route("/", methods=["POST"])
@SPEC.handles
def view(form):
    if form.submit():
        return "", 303
    return str(form.render()), form._submission.status if form.errors else 200


@APP.route("/steps/<step>")
@STEPS.handles
def page(flow, step):
    if flow.submit():
        return flow.done("/")
    if flow.form.errors:
        return str(flow.render()), 422
    return flow.respond("never.html") if flow._next else str(flow.render())


CLIENT = APP.test_client()


URLS = ("/steps/two", "/")


def post(body: bytes, content_type: str, urls=URLS, **headers: str) -> int:
    for url in urls:
        response = CLIENT.post(
            url,
            data=body,
            content_type=content_type,
            headers={"Sec-Fetch-Site": "same-origin", **headers},
        )
        assert response.status_code in ANSWERS, (url, response.text)
    return response.status_code


_STEPS = st.sampled_from(
    ["name", "tags", "grid", "tree", "below", "twin", "pay", "pays", "kind", "number",
     "kind:card", "kind:iban", "card", "file", "files", "_row", "add:tags", "0", "1",
     "999", "-1", "", "\0", "٣", "x"]
)  # fmt: skip
_NAMES = st.lists(_STEPS, min_size=1, max_size=5).flatmap(
    lambda steps: st.lists(
        st.sampled_from(["-", ".", "[", "]", "][", ""]),
        min_size=len(steps),
        max_size=len(steps),
    ).map(lambda seps: "".join(a + b for a, b in zip(steps, seps, strict=True)))
)
_VALUES = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["card", "iban", "1", "on", "add:tree.below", "remove:pays-0"]),
)


@quick
@given(
    st.lists(st.tuples(_NAMES, _VALUES), max_size=8),
    st.sampled_from(["", "HX", "V"]),
)
@example([("_row", "add:pays-0")], "")
@example([("pays-0", "x"), ("_row", "add:pays")], "")
@example([("tree", "x"), ("_row", "add:tree.below")], "")
def test_any_form_has_an_answer(pairs, kind):
    from urllib.parse import urlencode

    headers = {"HX": {"HX-Request": "1"}, "V": {"Form-Validate-Only": "tags,pay"}}
    body = urlencode(pairs, errors="replace").encode()
    post(body, "application/x-www-form-urlencoded", **headers.get(kind, {}))


@quick
@given(_NAMES)
def test_any_name_may_be_asked_for(name):
    if name.isascii() and name.isprintable():
        headers = {"Form-Validate-Only": name, "HX-Request": "1"}
        form = "application/x-www-form-urlencoded"
        post(b"tags=a&pays-0.kind=card&tree.below-0.name=x", form, **headers)


_DISPOSITIONS = st.sampled_from(
    [b'form-data; name="name"', b'form-data; name="file"; filename="a.png"',
     b"form-data",
     b'form-data; name="files"; filename=""', b'form-data; name="name"; filename="x"',
     b'form-data; name="file"', b"attachment", b"", b'form-data; name="tags"',
     b"form-data; name*=utf-8''n%ff; filename*=utf-8''%ff", b'form-data; name="\xff"']
)  # fmt: skip
_PARTS = st.builds(
    lambda disposition, more, body: b"Content-Disposition: %s\r\n%s\r\n%s"
    % (disposition, more, body),
    _DISPOSITIONS,
    st.sampled_from(
        [b"", b"Content-Type: image/png\r\n", b"Content-Type: ;;=\r\n", b"X\r\n",
         b"Content-Transfer-Encoding: base64\r\n", b"Content-Type: a; charset=no\r\n"]
    ),
    st.binary(max_size=20),
)  # fmt: skip


# Werkzeug leaves the temporary files of a body that breaks off to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@quick
@given(
    st.lists(_PARTS, max_size=4),
    st.sampled_from([b"--b--\r\n", b"--b--", b"", b"--b", b"\r\n"]),
    st.integers(0, 60),
    st.sampled_from(["b", '"b"', "c", "", "b" * 200, "b; charset=utf-16"]),
)
def test_any_multipart_body_has_an_answer(parts, end, cut, boundary):
    body = b"".join(b"--b\r\n%s\r\n" % part for part in parts) + end
    content_type = f"multipart/form-data; boundary={boundary}"
    post(body, content_type)
    # And truncated.
    post(body[: len(body) - cut], content_type)


@quick
@given(st.binary(max_size=60))
def test_any_bytes_have_an_answer_whatever_they_are_called(body):
    for content_type in (
        "multipart/form-data; boundary=b",
        "application/x-www-form-urlencoded",
        "application/json",
        "text/plain",
        "",
    ):
        post(body, content_type)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "tags", "tree", "below", "pay", "kind", "file", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@quick
@given(_JSON)
def test_any_json_has_an_answer(data):
    post(json.dumps(data).encode(), "application/json")


MILLION = 1_000_000


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"&".join(b"k%d=1" % i for i in range(MILLION)), "urlencoded"),
        (b"tags=1&" * 140_000, "urlencoded"),
        (b"tags-999999999=1", "urlencoded"),
        (b"tree." + b"below-0." * 100_000 + b"name=1", "urlencoded"),
        (b"{" + b",".join(b'"k%d":1' % i for i in range(100_000)) + b"}", "json"),
        (b'{"tree":' * 5_000 + b"1" + b"}" * 5_000, "json"),
        (b"[" * 100_000, "json"),
        (b'{"number":' + b"9" * 500_000 + b"}", "json"),
        (b"number=" + b"9" * 400_000, "urlencoded"),
    ],
    ids=["keys", "values", "index", "depth", "json keys", "json depth", "json brackets",
         "json digits", "digits"],
)  # fmt: skip
def test_a_large_body_is_refused_before_it_costs_much(body, content_type):
    kind = {
        "urlencoded": "application/x-www-form-urlencoded",
        "json": "application/json",
    }[content_type]
    before = time.process_time()
    assert post(body, kind, ["/"]) in {400, 413, 422}
    # No figure, but what is quadratic would take minutes.
    assert time.process_time() - before < 30


def test_a_list_of_parts_is_bounded():
    part = b'--b\r\nContent-Disposition: form-data; name="tags"\r\n\r\nx\r\n'
    body = part * 5000 + b"--b--\r\n"
    assert post(body, "multipart/form-data; boundary=b") == 413
