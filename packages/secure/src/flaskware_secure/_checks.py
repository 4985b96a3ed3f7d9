"""Checks of ``flask doctor`` on policies and transport."""

from __future__ import annotations

import collections.abc as cabc
import datetime
import typing as t

from flask.sansio.app import App
from werkzeug.routing import Rule

from flaskware_core import Finding
from flaskware_core import Level

from ._headers.transport import is_loopback
from ._headers.transport import Redirection
from ._policy.lint import lint
from ._policy.policy import Policy
from ._policy.weakness import Weakness
from ._policy.weakness import weaknesses
from ._settings import SecureSettings
from ._well_known.routes import ENDPOINTS
from ._well_known.routes import is_endpoint
from ._well_known.security_txt import SecurityTxt

_HALF_A_YEAR = 180 * 24 * 60 * 60
_SOON = datetime.timedelta(days=30)
_LONG = datetime.timedelta(days=366)


def check_secure(
    app: App,
    settings: SecureSettings,
    redirection: Redirection,
    cookies: cabc.Mapping[str, str],
    policy_of: cabc.Callable[[str | None], Policy],
    *,
    deploy: bool,
) -> cabc.Iterator[Finding]:
    """Yield findings about an app's policies and transport."""
    base = policy_of(None)
    yield from _weak(weaknesses(base.csp), "The app's policy")
    yield from _unreported(settings, base)
    for endpoint in sorted(app.view_functions):
        policy = policy_of(endpoint)
        if policy is not base:
            yield from _override(endpoint, policy, base)
    yield from _changed_cookies(cookies)
    if (file := settings.security_txt) is not None:
        yield from _validity(file)
    if settings.change_password is not None:
        yield from _password_page(app, settings.change_password)
    yield from _well_known_twice(app)
    if deploy:
        yield from _transport(settings, redirection)
        yield from _leniencies(settings)
        yield from _collection(settings)


def _weak(found: cabc.Iterable[Weakness], whose: str) -> cabc.Iterator[Finding]:
    for weakness in found:
        styles = weakness.code == "csp-weak-styles"
        yield Finding(
            f"secure.{weakness.code}",
            Level.INFO if styles else Level.WARNING,
            f"{whose} is weak at {weakness.directive}: {weakness.message}.",
            f"Write {weakness.fix}.",
            asvs="3.4.3",
        )


def _unreported(settings: SecureSettings, policy: Policy) -> cabc.Iterator[Finding]:
    csp = policy.csp if settings.report_only else policy.csp_report_only
    if csp and "report-to" not in csp and "report-uri" not in csp:
        yield Finding(
            "secure.report-only-unheard",
            Level.INFO,
            "A report-only CSP names no endpoint for its reports, so violations only"
            " show in the browser's console.",
            "Add report-to with reporting_endpoints, or report-uri.",
            asvs="3.4.7",
        )


def _override(endpoint: str, policy: Policy, base: Policy) -> cabc.Iterator[Finding]:
    for problem in lint(policy):
        yield Finding(
            "secure.override-wrong",
            Level.ERROR,
            f"With its overrides, the policy of the endpoint {endpoint!r} is wrong at"
            f" {problem.key}: expected {problem.expected}.",
            problem.write,
            asvs="3.4.3",
        )
    known = frozenset(weaknesses(base.csp))
    new = [each for each in weaknesses(policy.csp) if each not in known]
    yield from _weak(new, f"The override of the endpoint {endpoint!r}")


def _changed_cookies(cookies: cabc.Mapping[str, str]) -> cabc.Iterator[Finding]:
    for name, change in sorted(cookies.items()):
        yield Finding(
            "secure.cookie-changed",
            Level.INFO,
            f"The cookie {name} leaves the app with other flags than it was set with:"
            f" {change}.",
            "Set these flags where the cookie is set, or name it in"
            " SECURE_COOKIES_READABLE if a script reads it.",
            symbol=name,
            asvs="3.3.1",
        )


def _validity(file: SecurityTxt) -> cabc.Iterator[Finding]:
    left = file.end - datetime.datetime.now(datetime.UTC)
    day = file.end.date().isoformat()
    renew = "Check that its addresses are right, and set SECURE_SECURITY_TXT_EXPIRES."
    if left <= datetime.timedelta():
        yield Finding(
            "secure.security-txt-expired",
            Level.WARNING,
            f"security.txt expired on {day}, so that nobody relies on it.",
            renew,
        )
    elif left <= _SOON:
        yield Finding(
            "secure.security-txt-expires",
            Level.WARNING,
            f"security.txt expires on {day}, in less than 30 days.",
            renew,
        )
    elif left > _LONG:
        yield Finding(
            "secure.security-txt-long",
            Level.INFO,
            f"security.txt is valid until {day}. RFC 9116 recommends less than a year,"
            " so that its addresses are checked in time.",
            "Set SECURE_SECURITY_TXT_EXPIRES to a day within a year.",
        )


def _password_page(app: App, target: str) -> cabc.Iterator[Finding]:
    if not is_endpoint(target):
        return
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint == target]
    if any(_opens(rule) for rule in rules):
        return
    yield Finding(
        "secure.change-password-endpoint",
        Level.ERROR,
        f"SECURE_CHANGE_PASSWORD names the endpoint {target!r}, and the app has none of"
        " that name that answers a GET without arguments.",
        "Name the endpoint of the page where users change their password.",
        asvs="6.2.2",
    )


def _opens(rule: Rule) -> bool:
    """Return whether a link without arguments leads to a rule."""
    # Werkzeug writes no type for a rule without defaults.
    arguments = t.cast("set[str]", rule.arguments)
    needed = arguments.difference(rule.defaults or ())
    return not needed and "GET" in (rule.methods or ())


def _well_known_twice(app: App) -> cabc.Iterator[Finding]:
    for path, endpoint in ENDPOINTS.items():
        if endpoint not in app.view_functions:
            continue
        for rule in app.url_map.iter_rules():
            if rule.rule == path and rule.endpoint != endpoint:
                yield Finding(
                    "secure.well-known-twice",
                    Level.WARNING,
                    f"The endpoint {rule.endpoint!r} and a setting both answer {path}.",
                    "Remove the route, or the setting.",
                    symbol=rule.endpoint,
                )


def _transport(
    settings: SecureSettings, redirection: Redirection
) -> cabc.Iterator[Finding]:
    if redirection.on and not redirection.knows_hosts:
        yield Finding(
            "secure.redirect-any-host",
            Level.WARNING,
            "The app does not know its hosts, so only pages are redirected from plain"
            " http to https, to the host that a request names.",
            'TRUSTED_HOSTS = ["www.example.org"], or SECURE_REDIRECT_HTTPS = False'
            " if the server in front redirects.",
            asvs="4.1.2",
        )
    if any(is_loopback(host) for host in redirection.trusted_hosts):
        yield Finding(
            "secure.proxy-hides-host",
            Level.WARNING,
            "TRUSTED_HOSTS names this machine. A proxy in front that does not pass on"
            " Host, as nginx by default, makes every request look like one to it.",
            "Remove it from TRUSTED_HOSTS, and have the proxy pass the host on:"
            " proxy_set_header Host $host;",
            asvs="4.1.3",
        )
    seconds = settings.hsts.seconds
    if seconds == 0:
        yield Finding(
            "secure.hsts-off",
            Level.WARNING,
            "HSTS is off, so an attacker can intercept each visit that starts over"
            " http.",
            "SECURE_HSTS_SECONDS = 3600, then more once everything works over https.",
            asvs="3.4.1",
        )
    elif seconds < _HALF_A_YEAR and not settings.hsts_steps:
        yield Finding(
            "secure.hsts-short",
            Level.INFO,
            f"SECURE_HSTS_SECONDS is {seconds}, less than half a year.",
            "SECURE_HSTS_SECONDS = 31536000, once everything works over https.",
            asvs="3.4.1",
        )


def _collection(settings: SecureSettings) -> cabc.Iterator[Finding]:
    if settings.reports == "memory":
        yield Finding(
            "secure.reports-in-memory",
            Level.INFO,
            "SECURE_REPORTS is 'memory', so each process has its own reports and"
            " loses them when it ends.",
            'SECURE_REPORTS = "sqlite:///reports.db", or another database.',
            asvs="3.4.7",
        )


def _leniencies(settings: SecureSettings) -> cabc.Iterator[Finding]:
    if settings.report_only:
        yield Finding(
            "secure.report-only",
            Level.WARNING,
            "SECURE_REPORT_ONLY is on, so the CSP blocks nothing.",
            "SECURE_REPORT_ONLY = False",
            asvs="3.4.3",
        )
    if settings.cookies != "fix":
        yield Finding(
            "secure.cookies-not-fixed",
            Level.INFO,
            f"SECURE_COOKIES is {settings.cookies!r}, so cookies keep the flags that"
            " the code gave them.",
            'SECURE_COOKIES = "fix"',
            asvs="3.3.1",
        )
    if settings.isolation != "enforce":
        yield Finding(
            "secure.isolation-off",
            Level.INFO,
            f"SECURE_ISOLATION is {settings.isolation!r}, so pages of other sites can"
            " make a browser post here.",
            'SECURE_ISOLATION = "enforce", with override(cross_site=True) for the'
            " views that other sites may post to.",
            asvs="3.5.1",
        )
