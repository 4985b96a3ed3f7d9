"""Signatures by the app's secret key and its earlier keys."""

from __future__ import annotations

import hashlib
import typing as t

import itsdangerous
from flask.sansio.app import App

from .current import current_app_object


def signer(salt: str, *, app: App | None = None) -> itsdangerous.URLSafeSerializer:
    """Return a serializer that signs with ``SECRET_KEY`` and accepts earlier keys.

    Its ``dumps`` makes a text that is safe in a URL or cookie; its ``loads`` raises
    :class:`itsdangerous.BadData` for a text that was not signed so. The keys in
    ``SECRET_KEY_FALLBACKS`` are accepted too. Digests are SHA-256.

    :param salt: The purpose, such as ``"my-extension.cursor"``: a text that is signed
        for one purpose is refused for any other.
    :param app: The app whose keys are used; by default the current app.
    :raises RuntimeError: if the app has no secret key, or no app is active.
    """
    app = current_app_object() if app is None else app
    key: str | bytes | None = app.secret_key
    if not key:
        raise RuntimeError(
            f"The app {app.name!r} has no key to sign with. Set SECRET_KEY."
        )
    config: dict[str, t.Any] = app.config
    # itsdangerous signs with the last key of the list.
    keys: list[t.Any] = [*(config.get("SECRET_KEY_FALLBACKS") or ()), key]
    return itsdangerous.URLSafeSerializer(
        keys, salt=salt, signer_kwargs={"digest_method": hashlib.sha256}
    )
