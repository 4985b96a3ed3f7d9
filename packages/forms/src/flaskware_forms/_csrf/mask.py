"""Makes a token look different in each response, against BREACH.

An attacker who measures how well pages are compressed can guess text that every page
repeats. Masked text never repeats.
"""

from __future__ import annotations

import base64
import binascii
import secrets

_START = "m1."


def mask(token: str) -> str:
    """Hide a token behind random bytes that are sent along."""
    plain = token.encode()
    pad = secrets.token_bytes(len(plain))
    return _START + base64.urlsafe_b64encode(pad + _xor(plain, pad)).decode()


def unmask(token: str | None) -> str | None:
    """Return the token itself, whether it was masked or not."""
    if token is None or not token.startswith(_START):
        return token
    try:
        both = base64.urlsafe_b64decode(token.removeprefix(_START))
        half, odd = divmod(len(both), 2)
        return token if odd else _xor(both[:half], both[half:]).decode()
    except (binascii.Error, ValueError):
        # Never masked, so it is refused as it is.
        return token


def _xor(one: bytes, other: bytes) -> bytes:
    size = len(one)
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(size)
