from __future__ import annotations

import collections.abc as cabc
import typing as t

from flask.sansio.app import App

from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_core import describe

from .cookie import Policy
from .cookie import SessionCookie

_SAME_SITE = ("Lax", "Strict", "None")


def cookie_from_config(app: App, policy: Policy) -> SessionCookie:
    """Read Flask's ``SESSION_COOKIE_*`` keys.

    :raises ConfigError: where they contradict each other or the policy.
    """
    config = t.cast("cabc.Mapping[str, t.Any]", app.config)
    problems = list(_contradictions(config, policy))
    if problems:
        raise ConfigError("flaskware-session", problems)
    if policy == "auto" and _needs_secure(config):
        policy = "secure"
    name: str = config["SESSION_COOKIE_NAME"]
    return SessionCookie(
        name=name,
        policy=policy,
        domain=config["SESSION_COOKIE_DOMAIN"] or None,
        path=config["SESSION_COOKIE_PATH"] or config["APPLICATION_ROOT"] or "/",
        # Browsers differ without the attribute; Lax is the default of most.
        samesite=config["SESSION_COOKIE_SAMESITE"] or "Lax",
        httponly=config["SESSION_COOKIE_HTTPONLY"],
        partitioned=config["SESSION_COOKIE_PARTITIONED"],
        # Not the app, which may be forgotten.
        config=config,
    )


def _needs_secure(config: cabc.Mapping[str, t.Any]) -> bool:
    # Browsers refuse a cookie of the latter three kinds that is not Secure.
    return bool(
        config["SESSION_COOKIE_SECURE"]
        or config["SESSION_COOKIE_PARTITIONED"]
        or config["SESSION_COOKIE_SAMESITE"] == "None"
        or config["SESSION_COOKIE_NAME"].startswith(("__Host-", "__Secure-"))
    )


def _contradictions(
    config: cabc.Mapping[str, t.Any], policy: Policy
) -> cabc.Iterator[ConfigProblem]:
    samesite = config["SESSION_COOKIE_SAMESITE"]
    if samesite and samesite not in _SAME_SITE:
        yield ConfigProblem(
            "SESSION_COOKIE_SAMESITE",
            "'Lax', 'Strict' or 'None', written so",
            describe(samesite),
            'SESSION_COOKIE_SAMESITE = "Lax"',
        )
    name: str = config["SESSION_COOKIE_NAME"]
    path = config["SESSION_COOKIE_PATH"] or config["APPLICATION_ROOT"] or "/"
    if name.startswith("__Host-") and (config["SESSION_COOKIE_DOMAIN"] or path != "/"):
        yield ConfigProblem(
            "SESSION_COOKIE_NAME",
            "a name without __Host-, which browsers accept only without a domain and"
            " with the path /",
            describe(name),
            "SESSION_COOKIE_NAME without the prefix, or no SESSION_COOKIE_DOMAIN and"
            ' SESSION_COOKIE_PATH = "/"',
        )
    if policy == "plain" and _needs_secure(config):
        yield ConfigProblem(
            "SESSION_COOKIE_POLICY",
            "'auto' or 'secure': another key makes a cookie that must be Secure"
            " (SESSION_COOKIE_SECURE, _PARTITIONED, _SAMESITE = 'None', or the prefix"
            " of SESSION_COOKIE_NAME)",
            "'plain'",
            'SESSION_COOKIE_POLICY = "secure"',
        )
