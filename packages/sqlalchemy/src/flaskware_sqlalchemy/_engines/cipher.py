"""Cipher: the keys of an app, as the types of its columns find them.

A type gets the dialect of an engine and nothing else, and each engine has a dialect of
its own. So columns are encrypted in threads and scripts too, where no app is current.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import weakref

import sqlalchemy as sa

if t.TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

KEY = "SQLALCHEMY_ENCRYPTION_KEYS"
_ciphers: weakref.WeakKeyDictionary[sa.Dialect, Cipher] = weakref.WeakKeyDictionary()


class Cipher:
    """Fernet of the package cryptography, with keys that can be rotated.

    :param keys: The first encrypts; all of them decrypt.
    """

    def __init__(self, keys: cabc.Sequence[str]) -> None:
        from cryptography.fernet import Fernet
        from cryptography.fernet import MultiFernet

        rings = [Fernet(key) for key in keys]
        self._all: MultiFernet = MultiFernet(rings)
        self._first = rings[0]

    def seal(self, text: str) -> str:
        """Encrypt a text."""
        return self._first.encrypt(text.encode()).decode("ascii")

    def open(self, token: str) -> str:
        """Decrypt a text.

        :raises ValueError: if none of the keys has encrypted it.
        """
        from cryptography.fernet import InvalidToken

        try:
            return self._all.decrypt(token).decode()
        except InvalidToken:
            raise ValueError(
                f"A value was encrypted with none of the keys in {KEY}, or was changed."
                " Add the key that it was encrypted with to the end of the list."
            ) from None

    def renew(self, token: str) -> str | None:
        """Encrypt a value with the first key; ``None`` if it is already."""
        from cryptography.fernet import InvalidToken

        try:
            self._first.decrypt(token)
        except InvalidToken:
            return self.seal(self.open(token))
        return None


def set_cipher(engine: sa.Engine, cipher: Cipher) -> None:
    """Give the types of an engine's columns their keys."""
    _ciphers[engine.dialect] = cipher


def share_cipher(engine: sa.Engine, other: sa.Engine) -> None:
    """Give another engine for the same database the same keys, if there are any."""
    found = _ciphers.get(engine.dialect)
    if found is not None:
        _ciphers[other.dialect] = found


def cipher_of(dialect: sa.Dialect) -> Cipher:
    """Return the keys for the columns of an engine.

    :raises RuntimeError: if the app has none.
    """
    found = _ciphers.get(dialect)
    if found is None:
        raise RuntimeError(
            f"A column is encrypted, and the app has no keys. Write {KEY} = [the output"
            " of `python -c 'from cryptography.fernet import Fernet;"
            " print(Fernet.generate_key().decode())'`]."
        )
    return found


def is_key(text: str) -> bool:
    """Return True for a key as ``Fernet.generate_key()`` makes them."""
    from cryptography.fernet import Fernet

    try:
        Fernet(text)
    except ValueError:
        return False
    return True
