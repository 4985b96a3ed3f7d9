"""Helpers for the tests of apps with typed forms."""

from __future__ import annotations

import html
import re
import typing as t

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

__all__ = ["csrf_token", "submit"]

_TOKEN = re.compile(r'name="csrf_token"[^>]*?value="([^"]+)"')


def submit(client: FlaskClient, url: str, /, **options: t.Any) -> TestResponse:
    """Post like a browser from a page of the app itself.

    :param options: Arguments of :meth:`werkzeug.test.Client.post`, such as ``data``,
        ``json`` or ``headers``.
    """
    headers: dict[str, str] = {
        "Sec-Fetch-Site": "same-origin",
        **options.pop("headers", {}),
    }
    return client.post(url, headers=headers, **options)


def csrf_token(client: FlaskClient, url: str, /) -> str:
    """Return the token in the form on a page, to post as ``csrf_token``.

    :raises LookupError: if the page has no form with a token.
    """
    response = client.get(url)
    match = _TOKEN.search(response.get_data(as_text=True))
    if match is None:
        raise LookupError(
            f"GET {url} answered {response.status} without an input named csrf_token."
        )
    return html.unescape(match[1])
