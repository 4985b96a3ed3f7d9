"""Servers as processes, and what each has to do with ``served.py``."""

from __future__ import annotations

import concurrent.futures
import contextlib
import socket
import time
import typing as t
from pathlib import Path

import family
import requests
from processes import command
from processes import running

from flaskware_core.testing import free_port

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@contextlib.contextmanager
def served(folder: Path, name: str, *arguments: str) -> t.Iterator[str]:
    """Serve the app by a command of this environment; yield the address.

    :param arguments: Those of the command; ``{port}`` stands for the port.
    """
    family.create_app(folder)  # makes the tables before several workers would
    port = free_port()
    options = (part.format(port=port) for part in arguments)
    with running(command(name), *options, NEIGHBOUR_FOLDER=str(folder)) as process:
        deadline = time.monotonic() + 120
        while not _listens(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def assert_serves(address: str, *, posts: int = 40) -> None:
    """Send posts of one session at once; all of them count, in streams and async."""
    browser = requests.Session()
    browser.headers.update(SAME_ORIGIN)
    browser.post(f"{address}/sign-in", data={"user": "7"}, timeout=300)
    cookies = browser.cookies.get_dict()

    def post(number: int) -> int:
        return requests.post(
            f"{address}/add/{number:02}",
            cookies=cookies,
            headers=SAME_ORIGIN,
            timeout=300,
        ).status_code

    with concurrent.futures.ThreadPoolExecutor(posts) as pool:
        assert set(pool.map(post, range(posts))) == {200}
    assert browser.get(f"{address}/added", timeout=300).json() == {
        "added": posts,
        "user": "7",
    }
    lines = browser.get(f"{address}/stream", timeout=300).text.split()
    assert sorted(lines) == [f"{number:02}" for number in range(posts)]
    assert browser.get(f"{address}/async", timeout=300).json() == {"count": posts}
    headers = {"Sec-Fetch-Site": "cross-site"}
    refused = requests.post(f"{address}/add/x", headers=headers, timeout=300)
    assert refused.status_code == 403
    page = browser.get(f"{address}/page", timeout=300)
    assert "'nonce-" in page.headers["Content-Security-Policy"]
