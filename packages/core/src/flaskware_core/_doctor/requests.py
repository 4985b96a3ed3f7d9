"""Checks of what an app takes for granted about requests: hosts, proxies, sizes."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import flask
from flask.sansio.app import App
from werkzeug.middleware.proxy_fix import ProxyFix

from flaskware_core._findings.finding import Finding
from flaskware_core._findings.finding import Level

from .middleware import middleware_of

_MIB = 1024 * 1024
# More proxies than this in a row are rare; each number counts for one header.
_MOST_PROXIES = 4


class _Limit(t.NamedTuple):
    key: str
    most: int
    missing: Finding
    high: Finding


_HIGH = "a few requests fill the memory or the disk"
# Each finding is written out, so that the page of errors has its id.
_LIMITS = (
    _Limit(
        "MAX_CONTENT_LENGTH",
        1024 * _MIB,
        Finding(
            "core.body-limit",
            Level.WARNING,
            "MAX_CONTENT_LENGTH is not set, so a body of any size is read.",
            "MAX_CONTENT_LENGTH = 16 * 1024 * 1024",
            asvs="5.2.1",
        ),
        Finding(
            "core.body-limit-high",
            Level.WARNING,
            f"MAX_CONTENT_LENGTH is above 1 GiB: {_HIGH}.",
            "MAX_CONTENT_LENGTH = 16 * 1024 * 1024, and more for the view that needs"
            " it: request.max_content_length = …",
            asvs="5.2.1",
        ),
    ),
    _Limit(
        "MAX_FORM_MEMORY_SIZE",
        64 * _MIB,
        Finding(
            "core.form-memory-limit",
            Level.WARNING,
            "MAX_FORM_MEMORY_SIZE is not set, so a form field of any size is kept in"
            " memory.",
            "MAX_FORM_MEMORY_SIZE = 1024 * 1024",
            asvs="5.2.1",
        ),
        Finding(
            "core.form-memory-limit-high",
            Level.WARNING,
            f"MAX_FORM_MEMORY_SIZE is above 64 MiB: {_HIGH}.",
            "MAX_FORM_MEMORY_SIZE = 1024 * 1024, and more for the view that needs it:"
            " request.max_form_memory_size = …",
            asvs="5.2.1",
        ),
    ),
    _Limit(
        "MAX_FORM_PARTS",
        100_000,
        Finding(
            "core.form-parts-limit",
            Level.WARNING,
            "MAX_FORM_PARTS is not set, so a multipart form may have any number of"
            " parts.",
            "MAX_FORM_PARTS = 1000",
            asvs="5.2.1",
        ),
        Finding(
            "core.form-parts-limit-high",
            Level.WARNING,
            f"MAX_FORM_PARTS is above 100,000: {_HIGH}.",
            "MAX_FORM_PARTS = 1000, and more for the view that needs it:"
            " request.max_form_parts = …",
            asvs="5.2.1",
        ),
    ),
)


def check_requests(app: App, *, deploy: bool) -> cabc.Iterator[Finding]:
    """Yield the findings about hosts, proxies and sizes."""
    config = t.cast("cabc.Mapping[str, t.Any]", app.config)
    for limit in _LIMITS:
        given = config.get(limit.key)
        if given is None:
            yield limit.missing
        elif given > limit.most:
            yield limit.high
    if config.get("TRUSTED_HOSTS"):
        yield from _hosts(config["TRUSTED_HOSTS"])
    elif deploy:
        yield Finding(
            "core.trusted-hosts",
            Level.WARNING,
            "TRUSTED_HOSTS is not set, so a request may name any host, and links built"
            " from it, for example in an email, lead there.",
            'TRUSTED_HOSTS = ["www.example.org"]',
            asvs="2.2.1",
        )
    if deploy and isinstance(app, flask.Flask):
        yield from _proxies(app)


def _hosts(hosts: cabc.Iterable[t.Any]) -> cabc.Iterator[Finding]:
    for host in [hosts] if isinstance(hosts, str) else [str(each) for each in hosts]:
        stem = host.removeprefix(".")
        if host.startswith(".") and "." not in stem:
            yield Finding(
                "core.trusted-hosts-wide",
                Level.ERROR,
                f"TRUSTED_HOSTS has {host!r}, which trusts every host that ends so,"
                " and anybody can have one.",
                'TRUSTED_HOSTS = ["www.example.org"], or ".example.org" for a domain'
                " of yours with its subdomains.",
                asvs="2.2.1",
            )
        elif isinstance(hosts, str) or not _is_host(stem):
            yield Finding(
                "core.trusted-hosts-never",
                Level.ERROR,
                f"TRUSTED_HOSTS has {host!r}, which no host matches: the app answers"
                " every request with 400.",
                'Write names of hosts in a list: TRUSTED_HOSTS = ["www.example.org"].'
                ' A domain with its subdomains is ".example.org".',
                asvs="2.2.1",
            )


def _is_host(text: str) -> bool:
    name = text.rpartition(":")[0] if text.rpartition(":")[2].isdigit() else text
    if name.startswith("[") and name.endswith("]"):
        return True
    letters = name.replace("-", "").replace("_", "").replace(".", "")
    return letters.isalnum()


def _proxies(app: flask.Flask) -> cabc.Iterator[Finding]:
    fixes = [each for each in middleware_of(app) if isinstance(each, ProxyFix)]
    if not fixes:
        yield Finding(
            "core.proxy",
            Level.INFO,
            "The app has no ProxyFix: behind a proxy, the scheme, host and client"
            " address it sees are the proxy's.",
            "Behind a proxy, write app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1,"
            " x_proto=1), with the actual number of proxies.",
            asvs="4.1.3",
        )
    if len(fixes) > 1:
        yield Finding(
            "core.proxy-twice",
            Level.ERROR,
            f"The app has {len(fixes)} ProxyFix around each other, so a header that a"
            " client sends itself is believed.",
            "Keep one, with the actual number of proxies.",
            asvs="4.1.3",
        )
    for fix in fixes:
        counts = {
            name: getattr(fix, name)
            for name in ("x_for", "x_proto", "x_host", "x_port", "x_prefix")
        }
        many = [f"{name}={n}" for name, n in counts.items() if n > _MOST_PROXIES]
        if many:
            yield Finding(
                "core.proxy-hops",
                Level.ERROR,
                f"ProxyFix has {', '.join(many)}: unless there are as many proxies, a"
                " client writes its own address, scheme or host.",
                "Write the number of proxies that add to the header, most often 1.",
                asvs="4.1.3",
            )
        if fix.x_host and not app.config.get("TRUSTED_HOSTS"):
            yield Finding(
                "core.proxy-host",
                Level.WARNING,
                "ProxyFix takes the host from X-Forwarded-Host, and TRUSTED_HOSTS is"
                " not set: a proxy that passes the header on lets a client choose the"
                " host.",
                "Set TRUSTED_HOSTS, or have the proxy pass on Host and write x_host=0.",
                asvs="4.1.3",
            )
