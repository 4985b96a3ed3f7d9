"""Hashes of passwords, and the columns that they are stored in."""

from __future__ import annotations

import functools
import typing as t

import sqlalchemy as sa
from werkzeug.security import check_password_hash

from flaskware_sqlalchemy._errors import SecretRefused

if t.TYPE_CHECKING:
    from argon2 import PasswordHasher

_ARGON = "$argon2"


class HashedPassword:
    """The hash of a password, which can be verified and not read.

    Hashes are those of Argon2id with the parameters of RFC 9106 that argon2-cffi has by
    default. Hashes of ``werkzeug.security.generate_password_hash`` can be verified too.

    :param text: A hash that was made before. Use :meth:`of` for a password.
    :raises ValueError: if it is no such hash.
    """

    __slots__ = ("_text",)
    # Migrations and messages name the class by this module.
    __module__ = "flaskware_sqlalchemy"

    def __init__(self, text: str) -> None:
        if not text.startswith((_ARGON, "scrypt:", "pbkdf2:")):
            raise ValueError(
                "This text is no hash of a password. For a password, write"
                " `HashedPassword.of(password)`."
            )
        self._text = text

    @classmethod
    def of(cls, password: str) -> t.Self:
        """Hash a password, which takes some 50 milliseconds and 64 MiB."""
        return cls(_hasher().hash(password))

    @property
    def text(self) -> str:
        """The hash, with its salt and parameters, as it is stored."""
        return self._text

    def verify(self, password: str) -> bool:
        """Return True if this is the hash of a password."""
        if not self._text.startswith(_ARGON):
            return check_password_hash(self._text, password)
        from argon2.exceptions import VerificationError

        try:
            return _hasher().verify(self._text, password)
        except VerificationError:
            return False

    @property
    def is_outdated(self) -> bool:
        """True if :meth:`of` would make another kind of hash today.

        At the next login, hash the password again.
        """
        if not self._text.startswith(_ARGON):
            return True
        return _hasher().check_needs_rehash(self._text)

    @staticmethod
    def verify_nobody(password: str) -> bool:
        """Return False after as long as :meth:`verify` takes.

        For a login with a name that nobody has: the time would reveal it.
        """
        _nobody().verify(password)
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HashedPassword) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "<HashedPassword>"


class PasswordHash(sa.types.TypeDecorator[HashedPassword]):
    """A column of :class:`HashedPassword`.

    :raises SecretRefused: if a value is a password and not its hash.
    """

    __module__ = "flaskware_sqlalchemy"

    impl = sa.String(255)
    cache_ok = True

    def process_bind_param(
        self,
        value: HashedPassword | None,
        dialect: sa.Dialect,  # noqa: ARG002
    ) -> str | None:
        """Return the text of the hash."""
        if value is None:
            return None
        if not isinstance(value, HashedPassword):  # pyright: ignore[reportUnnecessaryIsInstance]
            # The value is not shown: it may be a password.
            raise SecretRefused(
                f"{type(value).__name__} is no HashedPassword. Write"
                " `HashedPassword.of(password)`."
            )
        return value.text

    def process_result_value(
        self,
        value: str | None,
        dialect: sa.Dialect,  # noqa: ARG002
    ) -> HashedPassword | None:
        """Return the hash."""
        return None if value is None else HashedPassword(value)


@functools.cache
def _hasher() -> PasswordHasher:
    try:
        from argon2 import PasswordHasher
    except ImportError as error:
        raise ImportError(
            "Hashes of passwords need a package that is not installed. Write"
            " `pip install 'flaskware-sqlalchemy[passwords]'`."
        ) from error
    return PasswordHasher()


@functools.cache
def _nobody() -> HashedPassword:
    return HashedPassword.of("nobody")
