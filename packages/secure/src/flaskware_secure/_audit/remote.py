"""Audit of a server from outside, by its URL."""

from __future__ import annotations

import http.client
import typing as t
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from .audit import EndpointAudit
from .grading import grade_headers
from .grading import graded
from .grading import GradeFinding

# Bytes of a page that are searched for scripts.
_MOST = 1 << 20


class AuditError(RuntimeError):
    """An address could not be audited."""


def audit_url(url: str, *, timeout: float = 10.0) -> EndpointAudit:
    """Audit the response of an address to a GET, after its redirects.

    A second request checks that plain http is redirected to https.

    :param timeout: Seconds to wait for each answer.
    :raises AuditError: if the address is not valid, or nothing answers there.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise AuditError(f"{url!r} is not an address; write https://www.example.org/.")
    status, final, lines, body = _get(url, timeout)
    base = grade_headers(lines, body=body, host=urlsplit(final).netloc)
    findings = (*base.findings, *_redirection(parts.netloc, final, timeout))
    return EndpointAudit(str(status), final, lines, True, graded(findings))


def _redirection(host: str, final: str, timeout: float) -> tuple[GradeFinding, ...]:
    if urlsplit(final).scheme == "https":
        try:
            _, reached, _, _ = _get(f"http://{host.partition(':')[0]}/", timeout)
        except AuditError:
            return ()  # nothing listens there, as it should be
        if urlsplit(reached).scheme == "https":
            return ()
    message = "Plain http is not redirected to https."
    fix = 'TRUSTED_HOSTS = ["www.example.org"]'
    return (GradeFinding("redirect-missing", -20, message, fix),)


def _get(url: str, timeout: float) -> tuple[int, str, tuple[tuple[str, str], ...], str]:
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        url, headers={"User-Agent": "flaskware-secure", "Accept": "text/html,*/*"}
    )
    try:
        # Its own opener: the opener of the process keeps the certificates it first saw.
        response: t.Any = urllib.request.build_opener().open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        response = error  # an error page has headers too
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AuditError(f"{url} did not answer: {error}.") from None
    with response:
        try:
            body: bytes = response.read(_MOST)
        except (OSError, http.client.HTTPException) as error:
            raise AuditError(f"{url} broke off the answer: {error}.") from None
        return (
            response.status,
            response.url,
            tuple(response.headers.items()),
            body.decode(errors="replace"),
        )
