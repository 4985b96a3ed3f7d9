"""What is Quart's own: coroutines, bodies that are awaited, its event loop."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import http.client
import io
import subprocess
import sys
import threading
import time
import typing as t

import hypercorn
import hypercorn.asyncio
import jinja2
import pydantic
import pytest
import quart
import quart.views

from flaskware_core import WouldBlock
from flaskware_core.testing import free_port
from flaskware_core.testing import make_app
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Steps
from flaskware_forms import Ui
from flaskware_forms import Upload
from flaskware_forms.testing import async_csrf_token
from flaskware_forms.testing import async_submit
from flaskware_forms.testing import csrf_token
from flaskware_forms.testing import submit

PROVEN = {"Sec-Fetch-Site": "same-origin"}


class Notice(pydantic.BaseModel):
    title: t.Annotated[str, pydantic.Field(min_length=2)]
    paper: Upload | None = None


class Two(pydantic.BaseModel):
    a: int
    b: int


SPEC = FormSpec(Notice, name="notice", buttons={"send": "Send", "draft": "Keep"})
STEPS = Steps(Two, name="two", pages={"first": ["a"], "last": ["b"]})


@SPEC.check("title")
async def is_free(value: str) -> str | None:
    await asyncio.sleep(0)
    return "Taken." if value == "taken" else None


def make_board() -> t.Any:
    app: t.Any = make_app(Forms(), framework="quart")
    app.jinja_loader = jinja2.DictLoader(
        {
            "page.html": "<h1>{{ title }}</h1>{% block form %}{{ form.render() }}"
            "{% endblock %}"
        }
    )
    app.seen = []

    @app.route("/", methods=["GET", "POST"])
    @SPEC.handles
    async def board(form):
        if data := await form.async_submit():
            paper = data.paper and (data.paper.filename, data.paper.read())
            app.seen.append((data.title, paper, form.pressed))
            return form.done("/", {"title": data.title})
        return await form.async_respond("page.html", title="Board")

    @app.route("/<step>", methods=["GET", "POST"])
    @STEPS.handles
    async def steps(flow, step):
        if data := await flow.async_submit():
            app.seen.append(data)
            return flow.done("/")
        return await flow.async_respond("page.html", title=step)

    return app


@pytest.fixture
def board():
    return make_board()


def test_a_form_is_shown_sent_and_refused_in_a_coroutine(board):
    client = board.test_client()
    page = client.get("/")
    assert page.status_code == 200
    assert "<h1>Board</h1>" in page.text
    assert 'minlength="2"' in page.text
    assert client.post("/", data={"title": "ab"}).status_code == 400
    data = {"title": "ab", "csrf_token": csrf_token(client, "/"), "_button": "draft"}
    assert client.post("/", data=data).status_code == 303
    assert board.seen == [("ab", None, "draft")]
    wrong = submit(client, "/", data={"title": "x"})
    assert wrong.status_code == 422
    assert "Write at least 2 characters." in wrong.text
    assert "Taken." in submit(client, "/", data={"title": "taken"}).text
    fragment = submit(client, "/", data={}, headers={"HX-Request": "true"})
    assert fragment.status_code == 422
    assert fragment.text.startswith("<form")


def test_a_client_of_json_gets_the_same_answers(board):
    client = board.test_client()
    made = submit(client, "/", json={"title": "ab"})
    assert (made.status_code, made.json) == (201, {"title": "ab"})
    assert made.headers["Location"] == "/"
    wrong = submit(client, "/", json={"title": "x"})
    assert wrong.status_code == 422
    assert wrong.content_type == "application/problem+json"
    refused = client.post("/", json={}, headers={"Sec-Fetch-Site": "cross-site"})
    assert refused.status_code == 403
    assert refused.content_type == "application/problem+json"


def test_some_fields_are_validated_in_a_coroutine(board):
    headers = {"Form-Validate-Only": "title", "Accept": "application/json"}
    for title, status in (("ab", 204), ("x", 422), ("taken", 422)):
        sent = {"data": {"title": title}, "headers": headers}
        assert submit(board.test_client(), "/", **sent).status_code == status
    assert board.seen == []


def test_steps_lead_through_their_pages_in_a_coroutine(board):
    client = board.test_client()
    assert client.get("/last").headers["Location"] == "/first"
    assert submit(client, "/first", data={"a": "x"}).status_code == 422
    assert submit(client, "/first", data={"a": "1"}).headers["Location"] == "/last"
    back = submit(client, "/last", data={"b": "2", "_back": "1"})
    assert back.headers["Location"] == "/first"
    assert 'value="1"' in client.get("/first").text
    assert submit(client, "/last", data={"b": "2"}).headers["Location"] == "/"
    assert board.seen[0].model_dump() == {"a": 1, "b": 2}


CALLS = {
    "await form.async_submit()": lambda form: form.submit(),
    "await form.async_respond()": lambda form: form.respond("page.html"),
    "await form.async_load()": lambda form: form.submitted,
    "await form.async_load() ": lambda form: form.pressed,
}


@pytest.mark.parametrize("instead", CALLS)
def test_a_call_that_waits_is_refused_in_a_coroutine(board, instead):
    @board.post("/blocking")
    async def view():
        with pytest.raises(WouldBlock) as refused:
            CALLS[instead](SPEC.bind())
        return str(refused.value)

    told = submit(board.test_client(), "/blocking", data={"title": "ab"}).text
    assert f"`{instead.strip()}`" in told


def test_what_a_request_sent_is_known_once_its_body_is_loaded(board):
    @board.post("/loaded")
    async def view():
        form = SPEC.bind()
        await form.async_load()
        return f"{form.submitted} {form.pressed}"

    answer = submit(board.test_client(), "/loaded", data={"title": "ab"})
    assert answer.text == "True send"


def test_a_plain_view_waits_in_its_thread(board):
    @board.route("/plain", methods=["GET", "POST"])
    @SPEC.handles
    def view(form):
        if data := form.submit():
            return data.title
        return form.respond("page.html", title="Plain")

    client = board.test_client()
    assert "<h1>Plain</h1>" in client.get("/plain").text
    assert submit(client, "/plain", data={"title": "ab"}).text == "ab"
    assert "Taken." in submit(client, "/plain", data={"title": "taken"}).text


def multipart(content: bytes, *, end: bytes = b"--b--\r\n") -> bytes:
    return (
        b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\nab\r\n'
        b'--b\r\nContent-Disposition: form-data; name="paper"; filename="a.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\n" + content + b"\r\n" + end
    )


def send(app: t.Any, body: bytes, size: int, **headers: str) -> tuple[int, str]:
    """Send a body in pieces, and without its length."""

    async def main() -> tuple[int, str]:
        client = quart.Quart.test_client(app)
        sent = {"Content-Type": "multipart/form-data; boundary=b", **PROVEN, **headers}
        async with client.request("/", method="POST", headers=sent) as connection:
            for start in range(0, len(body), size):
                await connection.send(body[start : start + size])
                await asyncio.sleep(0)
            await connection.send_complete()
        response = await connection.as_response()
        return response.status_code, await response.get_data(as_text=True)

    found: tuple[int, str] = app.run_blocking(main())
    return found


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_a_file_arrives_whole_in_pieces_of_any_size(board, size):
    content = bytes(range(256)) * 2
    assert send(board, multipart(content), size)[0] == 303
    assert board.seen == [("ab", ("a.txt", content), "send")]


def test_a_body_beyond_the_limit_of_its_form_is_not_read_to_its_end(board):
    limit = SPEC.compiled.max_body_size(board.extensions["forms"].settings_of(board))
    assert send(board, multipart(b"x" * limit), 1 << 16)[0] == 413
    told = {"Content-Length": str(limit + 1)}
    assert send(board, b"", 9, **told)[0] == 413
    assert board.seen == []


def test_a_body_that_is_cut_off_is_refused(board):
    status, text = send(board, multipart(b"abc", end=b""), 16)
    assert (status, board.seen) == (400, [])
    assert "not the form" in text


def test_the_limit_of_the_app_holds_if_it_has_its_own(board):
    board.config["MAX_CONTENT_LENGTH"] = 100
    assert send(board, multipart(b"x" * 200), 50)[0] == 413


def test_requests_that_arrive_together_keep_their_bodies_apart(board):
    async def post(client: t.Any, number: int) -> int:
        data = {"title": f"number {number}"}
        answer = await client.post("/", form=data, headers=PROVEN)
        return t.cast("int", answer.status_code)

    async def main() -> list[int]:
        client = quart.Quart.test_client(board)
        return await asyncio.gather(*(post(client, n) for n in range(20)))

    assert board.run_blocking(main()) == [303] * 20
    assert {seen[0] for seen in board.seen} == {f"number {n}" for n in range(20)}


def test_code_of_the_app_reads_the_same_form(board):
    @board.before_request
    async def note():
        board.seen.append(dict(await quart.request.form))

    data = {"title": "ab", "paper": (io.BytesIO(b"abc"), "a.txt")}
    assert submit(board.test_client(), "/", data=data).status_code == 303
    assert board.seen == [{"title": "ab"}, ("ab", ("a.txt", b"abc"), "send")]


def test_a_class_of_views_of_quart_takes_forms(board):
    class Edit(quart.views.MethodView):
        @SPEC.handles
        async def post(self, form):
            if data := await form.async_submit():
                return f"{type(self).__name__} {data.title}"
            return form.render(), form.status

    board.add_url_rule("/edit", view_func=Edit.as_view("edit"))
    client = board.test_client()
    assert submit(client, "/edit", data={"title": "ab"}).text == "Edit ab"
    assert client.post("/edit", data={"title": "ab"}).status_code == 400


def test_a_view_that_never_looks_at_its_form_cannot_answer_a_forged_post(board):
    @board.post("/blind")
    @SPEC.handles
    async def view(form):
        return "done"

    client = board.test_client()
    assert client.post("/blind", data={"title": "ab"}).status_code == 400
    assert submit(client, "/blind", data={"title": "ab"}).text == "done"


def test_one_object_serves_an_app_of_each_framework():
    forms, tokens = Forms(), []
    for framework in ("flask", "quart"):
        app: t.Any = make_app(forms, framework=framework)
        app.jinja_loader = jinja2.DictLoader({"page.html": "{{ form.render() }}"})

        @app.route("/", methods=["GET", "POST"])
        @SPEC.handles
        def view(form):
            return form.submit().title if form.submitted else form.respond("page.html")

        tokens.append((client := app.test_client(), csrf_token(client, "/")))
    (one, token), (other, _) = tokens
    # The session of one is read by the other, and so is the token.
    other.set_cookie("session", one.get_cookie("session").value)
    data = {"title": "ab", "csrf_token": token}
    assert other.post("/", data=data).text == one.post("/", data=data).text == "ab"


def test_the_command_is_under_quart_too(board):
    done = board.test_cli_runner().invoke(args=["forms", "openapi"])
    assert '"openapi": "3.1' in done.output


def test_a_module_of_flask_imports_no_quart():
    code = (
        "import sys, flask, flaskware_forms, pydantic\n"
        "app = flask.Flask('x'); app.config['SECRET_KEY'] = 'k' * 40\n"
        "flaskware_forms.Forms(app)\n"
        "class M(pydantic.BaseModel): a: int\n"
        "spec = flaskware_forms.FormSpec(M, name='m')\n"
        "app.add_url_rule('/', 'x', spec.handles(lambda f: str(f.submit())))\n"
        "print(app.test_client().post('/', data={'a': 1}).status_code)\n"
        "print('quart' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "200\nFalse\n", done.stderr


async def rooms() -> list[str]:
    await asyncio.sleep(0)
    return ["hall", "attic"]


class Booking(pydantic.BaseModel):
    room: t.Annotated[str, Ui(choices=rooms)]


BOOKING = FormSpec(Booking, name="booking")


@pytest.mark.parametrize("framework", ["flask", "quart"])
@pytest.mark.parametrize("url", ["/async", "/plain"])
def test_choices_may_be_awaited(framework, url):
    app: t.Any = make_app(Forms(), framework=framework)
    app.jinja_loader = jinja2.DictLoader({"page.html": "{{ form.render() }}"})

    @app.route("/async", methods=["GET", "POST"])
    @BOOKING.handles
    async def awaited(form):
        if data := await form.async_submit():
            return data.room
        return await form.async_respond("page.html")

    @app.route("/plain", methods=["GET", "POST"])
    @BOOKING.handles
    def plain(form):
        if data := form.submit():
            return data.room
        return form.respond("page.html")

    client = app.test_client()
    assert '<option value="attic">' in client.get(url).text
    assert submit(client, url, data={"room": "hall"}).text == "hall"
    assert submit(client, url, data={"room": "cellar"}).status_code == 422


@contextlib.contextmanager
def hypercorn_serving(app: t.Any) -> cabc.Iterator[http.client.HTTPConnection]:
    """Serve an app by the server that Quart itself brings, and connect to it."""
    port = free_port()
    config = hypercorn.Config()
    config.bind = [f"127.0.0.1:{port}"]
    loop, done = asyncio.new_event_loop(), asyncio.Event()
    serve = hypercorn.asyncio.serve(app, config, shutdown_trigger=done.wait)
    thread = threading.Thread(target=loop.run_until_complete, args=(serve,))
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        for _ in range(200):
            with contextlib.suppress(ConnectionRefusedError):
                connection.connect()
                break
            time.sleep(0.05)
        yield connection
    finally:
        connection.close()
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


def test_a_server_streams_an_upload_and_refuses_what_is_too_large(board):
    content = bytes(range(256)) * 12_000  # 3 MB
    body = multipart(content)
    pieces = (body[at : at + 50_000] for at in range(0, len(body), 50_000))
    headers = {"Content-Type": "multipart/form-data; boundary=b", **PROVEN}
    with hypercorn_serving(board) as connection:
        connection.request("POST", "/", pieces, headers, encode_chunked=True)
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:9]) == (303, b"<!doctype")
        # The answer comes before the body.
        connection.putrequest("POST", "/")
        for name, value in {**headers, "Content-Length": "99999999"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == 413
    assert board.seen == [("ab", ("a.txt", content), "send")]


def test_a_flashed_message_and_a_form_share_a_page_and_its_session(board):
    board.jinja_loader = jinja2.DictLoader(
        {
            "page.html": "{% for text in get_flashed_messages() %}<p>{{ text }}</p>"
            "{% endfor %}{{ csrf_meta_tag() }}{{ form.render() }}"
        }
    )

    @board.get("/flash")
    async def flash():
        await quart.flash("<b>Kept</b>")
        return ""

    client = board.test_client()
    client.get("/flash")
    page = client.get("/").text
    assert "<p>&lt;b&gt;Kept&lt;/b&gt;</p>" in page
    token = page.split('<meta name="csrf-token" content="')[1].split('"')[0]
    headers = {"X-CSRFToken": token}
    assert client.post("/", json={"title": "ab"}, headers=headers).status_code == 201


def test_the_helpers_of_tests_have_twins_for_the_client_of_quart(board):
    async def main() -> list[int]:
        client = quart.Quart.test_client(board)
        token = await async_csrf_token(client, "/")
        with pytest.raises(LookupError, match=r"GET /none answered 404"):
            await async_csrf_token(client, "/none")
        answers = [
            await client.post("/", form={"title": "ab"}),
            await client.post("/", form={"title": "ab", "csrf_token": token}),
            await async_submit(client, "/", form={"title": "cd"}),
        ]
        return [answer.status_code for answer in answers]

    assert board.run_blocking(main()) == [400, 303, 303]
