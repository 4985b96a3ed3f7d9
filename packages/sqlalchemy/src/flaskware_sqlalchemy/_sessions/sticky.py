"""Remembering in a browser that it has just written."""

from __future__ import annotations

import hashlib
import time
import typing as t

import flask
import itsdangerous

COOKIE = "flaskware_sqlalchemy_wrote"
_SALT = "flaskware-sqlalchemy.wrote"


def wrote_lately(seconds: float) -> bool:
    """Whether the request comes with a cookie that is signed and not too old."""
    value = flask.request.cookies.get(COOKIE)
    if value is None:
        return False
    try:
        written = float(_signer().loads(value))
    except (itsdangerous.BadData, TypeError, ValueError):
        return False
    return 0 <= time.time() - written <= seconds


def remember(response: flask.Response, seconds: float) -> None:
    """Set the cookie."""
    response.set_cookie(
        COOKIE,
        _signer().dumps(time.time()),
        max_age=max(1, round(seconds)),
        secure=flask.request.is_secure,
        httponly=True,
        samesite="Lax",
    )


def _signer() -> itsdangerous.URLSafeSerializer:
    return signer(_SALT)


def signer(salt: str) -> itsdangerous.URLSafeSerializer:
    """What signs with the app's secret key, and accepts its earlier ones.

    :raises RuntimeError: if the app has no secret key.
    """
    app = flask.current_app
    if not app.secret_key:
        raise RuntimeError(
            "Cursors and cookies are signed, and this app has no key for it. Set"
            " SECRET_KEY."
        )
    # itsdangerous signs with the last key of the list.
    config: dict[str, t.Any] = app.config
    keys: list[t.Any] = [*(config.get("SECRET_KEY_FALLBACKS") or ()), app.secret_key]
    return itsdangerous.URLSafeSerializer(
        keys, salt=salt, signer_kwargs={"digest_method": hashlib.sha256}
    )
