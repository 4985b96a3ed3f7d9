"""Helpers for the tests of apps with typed forms."""

from __future__ import annotations

import html
import re
import typing as t

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

if t.TYPE_CHECKING:
    from quart.typing import TestClientProtocol
    from quart.wrappers import Response

__all__ = ["async_csrf_token", "async_submit", "csrf_token", "submit"]

_TOKEN = re.compile(r'name="csrf_token"[^>]*?value="([^"]+)"')


def submit(client: FlaskClient, url: str, /, **options: t.Any) -> TestResponse:
    """Post like a browser from a page of the app itself.

    :param options: Arguments of :meth:`werkzeug.test.Client.post`, such as ``data``,
        ``json`` or ``headers``.
    """
    return client.post(url, **_proven(options))


async def async_submit(
    client: TestClientProtocol, url: str, /, **options: t.Any
) -> Response:
    """Same as :func:`submit`, for the client of Quart.

    :param options: Arguments of its ``post``, such as ``form``, ``files`` or ``json``.
    """
    return await client.post(url, **_proven(options))


def csrf_token(client: FlaskClient, url: str, /) -> str:
    """Return the token in the form on a page, to post as ``csrf_token``.

    :raises LookupError: if the page has no form with a token.
    """
    response = client.get(url)
    return _token_in(response.get_data(as_text=True), url, response.status_code)


async def async_csrf_token(client: TestClientProtocol, url: str, /) -> str:
    """Same as :func:`csrf_token`, for the client of Quart.

    :raises LookupError: if the page has no form with a token.
    """
    response = await client.get(url)
    text = await response.get_data(as_text=True)
    return _token_in(text, url, response.status_code)


def _proven(options: dict[str, t.Any]) -> dict[str, t.Any]:
    headers: dict[str, str] = options.get("headers") or {}
    return {**options, "headers": {"Sec-Fetch-Site": "same-origin", **headers}}


def _token_in(text: str, url: str, status: int) -> str:
    match = _TOKEN.search(text)
    if match is None:
        raise LookupError(
            f"GET {url} answered {status} without an input named csrf_token."
        )
    return html.unescape(match[1])
