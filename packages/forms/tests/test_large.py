"""Three gigabytes, sent to a real server."""

from __future__ import annotations

import collections.abc as cabc
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux", reason="what a process used is read from /proc"
    ),
]
SERVER = """
import pydantic, flask
from typing import Annotated
from flaskware_forms import Forms, FormSpec, Image, Upload
from werkzeug.serving import make_server

app = flask.Flask("large")
app.config["SECRET_KEY"] = "0123456789abcdef" * 4
Forms(app)

class Album(pydantic.BaseModel):
    title: str = ""
    cover: Annotated[Upload, Image("png")] | None = None

@app.post("/")
@FormSpec(Album, name="album").handles
def view(form):
    return "yes" if form.submit() else form.respond("-")

server = make_server("127.0.0.1", 0, app)
print(server.server_port, flush=True)
server.serve_forever()
"""
SIZE = 3 << 30
PIECE = b"x" * (1 << 20)
MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="cover"; filename="a.png"\r\n\r\n'
)


@pytest.fixture
def server() -> cabc.Iterator[tuple[int, int]]:
    """The port and the process of a server."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    yield int(process.stdout.readline()), process.pid
    process.terminate()
    process.wait()
    process.stdout.close()


def peak(pid: int) -> int:
    """How many bytes a process ever held in memory at once."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def send(port: int, headers: str, start: bytes, *, chunked: bool) -> str:
    """Send three gigabytes, or what the server takes of them; the answer's status."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        head = "POST / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n"
        connection.sendall(f"{head}{headers}\r\n".encode())
        sent = 0
        try:
            while sent < SIZE:
                piece = start or PIECE
                start = b""
                if chunked:
                    piece = b"%x\r\n%s\r\n" % (len(piece), piece)
                connection.sendall(piece)
                sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            # It was refused before all of it was sent.
            pass
        try:
            return connection.recv(100).decode().partition("\r\n")[0]
        except ConnectionResetError:
            return ""


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("content_type", "start"),
    [
        ("multipart/form-data; boundary=b", MULTIPART),
        ("application/x-www-form-urlencoded", b"title="),
        ("application/json", b'{"title": "'),
    ],
)
def test_three_gigabytes_are_refused_in_constant_memory(
    server, content_type, start, chunked
):
    port, pid = server
    # What the first request makes the server load is not of the body.
    small = b"title=x"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(small), small)
        )
        assert b"200" in connection.recv(100)
    before = peak(pid)
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {SIZE}"
    headers = f"Content-Type: {content_type}\r\n{length}\r\n"
    status = send(port, headers, start, chunked=chunked)
    # The answer may be lost where the server closes while more is on its way.
    assert "413" in status or status == ""
    assert peak(pid) - before < 64 << 20
    # And the server goes on.
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"405" in connection.recv(100)
