"""A browser for the gates: one jar of cookies, shared by parallel requests."""

from __future__ import annotations

import http.client
import json
import typing as t
from http.cookies import SimpleCookie


class Answer(t.NamedTuple):
    """What came back.

    :param status: 0 if the answer was lost on the way.
    """

    status: int
    body: dict[str, t.Any]
    set_cookie: list[str]


class Browser:
    """Sends what is in the jar when a request begins, and takes what an answer sets.

    :param port: Of the server on this machine.
    """

    def __init__(self, port: int, jar: dict[str, str] | None = None) -> None:
        self._port = port
        self.jar: dict[str, str] = dict(jar or {})

    def get(self, path: str) -> Answer:
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.jar.items())}
        if not self.jar:
            del headers["Cookie"]
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=90)
            try:
                connection.request("GET", path, headers=headers)
                response = connection.getresponse()
                text = response.read()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            return Answer(0, {}, [])
        lines = response.headers.get_all("Set-Cookie") or []
        for line in lines:
            self._take(line)
        try:
            body = json.loads(text)
        except ValueError:
            body = {}
        return Answer(response.status, body, lines)

    def _take(self, line: str) -> None:
        for name, morsel in SimpleCookie(line).items():
            if morsel["max-age"] == "0":
                self.jar.pop(name, None)
            else:
                self.jar[name] = morsel.value
