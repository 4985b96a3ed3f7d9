"""Encryption of what the store holds."""

from __future__ import annotations

import base64
import binascii
import collections.abc as cabc
import dataclasses as dc
import hashlib
import os
import typing as t

from flaskware_session._records.record import Record
from flaskware_session._records.record import Scanned
from flaskware_session._records.record import Written

from .async_protocol import AsyncStore
from .protocol import Store
from .wrapper import StoreWrapper

if t.TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_Change: t.TypeAlias = cabc.Callable[[Record], Record | None]
_START = "aes-gcm:"
_NONCE_BYTES = 12
KEY_BYTES = 32


def key_from(text: str) -> bytes:
    """Read a key: 32 bytes in base64, as ``secrets.token_urlsafe(32)`` makes them.

    :raises ValueError: if it is something else.
    """
    padded = text + "=" * (-len(text) % 4)
    try:
        key = base64.b64decode(padded, altchars=b"-_", validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"{KEY_BYTES} bytes in URL-safe base64")
    return key


class Cipher:
    """AES-256-GCM (NIST SP 800-38D) with a ring of keys.

    The text names the key that it was encrypted with, so that keys can be rotated, and
    is bound to the hashed id of its session, so that it cannot be moved to another.

    :param keys: The first encrypts; all of them decrypt.
    :param accept_plain: Whether a text that was stored without encryption is read too.
    """

    def __init__(self, keys: cabc.Sequence[bytes], *, accept_plain: bool) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._ring: dict[str, AESGCM] = {_name(key): AESGCM(key) for key in keys}
        self._first = _name(keys[0])
        self._accept_plain = accept_plain

    def seal(self, key: str, text: str) -> str:
        """Encrypt the content of the session that has this key."""
        # A random nonce of 96 bits is good for 2**32 texts a key: SP 800-38D, 8.3.
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ring[self._first].encrypt(nonce, text.encode(), key.encode())
        packed = base64.b64encode(nonce + sealed).decode("ascii")
        return f"{_START}{self._first}:{packed}"

    def open(self, key: str, text: str) -> str | None:
        """Decrypt, or return ``None`` for what no key of the ring has made for it."""
        from cryptography.exceptions import InvalidTag

        if not text.startswith(_START):
            return text if self._accept_plain else None
        name, _, packed = text.removeprefix(_START).partition(":")
        if name not in self._ring:
            return None
        try:
            data = base64.b64decode(packed, validate=True)
            nonce, sealed = data[:_NONCE_BYTES], data[_NONCE_BYTES:]
            return self._ring[name].decrypt(nonce, sealed, key.encode()).decode()
        except (binascii.Error, InvalidTag, ValueError):
            return None


class _Sealing:
    """Encryption of records on the way in, and decryption on the way out."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher

    def sealed(self, record: Record) -> Record:
        return dc.replace(record, data=self._cipher.seal(record.key, record.data))

    def opened(self, record: Record | None) -> Record | None:
        if record is None:
            return None
        # An empty text is no content of a session, so that it is noticed as unreadable.
        text = self._cipher.open(record.key, record.data) or ""
        return dc.replace(record, data=text)

    def all_opened(self, records: cabc.Iterable[Record]) -> list[Record]:
        found = map(self.opened, records)
        return [record for record in found if record is not None]

    def opened_in(self, written: Written) -> Written:
        if written.current is None:
            return written
        return dc.replace(written, current=self.opened(written.current))

    def sealing(self, change: _Change) -> _Change:
        def change_sealed(found: Record) -> Record | None:
            changed = change(self.opened(found) or found)
            return None if changed is None else self.sealed(changed)

        return change_sealed


class SealedStore(StoreWrapper):
    """A store whose content is encrypted on the way in and decrypted on the way out.

    The user, address and browser stay readable, since devices are found and listed by
    them.
    """

    store: Store

    def __init__(self, store: Store, cipher: Cipher) -> None:
        super().__init__(store)
        self._sealing = _Sealing(cipher)

    def read(self, key: str, now: int, interval: int) -> Record | None:
        """See :meth:`Store.read`; what cannot be decrypted has no content."""
        return self._sealing.opened(self.store.read(key, now, interval))

    def create(self, record: Record, now: int) -> bool:
        return self.store.create(self._sealing.sealed(record), now)

    def update(self, record: Record, now: int) -> Written:
        sealed = self._sealing.sealed(record)
        return self._sealing.opened_in(self.store.update(sealed, now))

    def amend(self, key: str, now: int, change: _Change) -> Written | None:
        """See :meth:`AmendingStore.amend`."""
        written = super().amend(key, now, self._sealing.sealing(change))
        return None if written is None else self._sealing.opened_in(written)

    def replace(self, old_key: str, record: Record, now: int) -> Written:
        sealed = self._sealing.sealed(record)
        return self._sealing.opened_in(self.store.replace(old_key, sealed, now))

    def for_user(self, user_id: str, now: int) -> list[Record]:
        return self._sealing.all_opened(self.store.for_user(user_id, now))

    def scan(self, cursor: str, limit: int, now: int) -> Scanned:
        records, cursor_after = self.store.scan(cursor, limit, now)
        return Scanned(self._sealing.all_opened(records), cursor_after)


class AsyncSealedStore:
    """Same as :class:`SealedStore`, for coroutines."""

    def __init__(self, store: AsyncStore, cipher: Cipher) -> None:
        self.store = store
        self._sealing = _Sealing(cipher)

    def __getattr__(self, name: str) -> t.Any:
        # The other methods pass no content on.
        return getattr(self.store, name)

    async def read(self, key: str, now: int, interval: int) -> Record | None:
        return self._sealing.opened(await self.store.read(key, now, interval))

    async def create(self, record: Record, now: int) -> bool:
        return await self.store.create(self._sealing.sealed(record), now)

    async def update(self, record: Record, now: int) -> Written:
        sealed = self._sealing.sealed(record)
        return self._sealing.opened_in(await self.store.update(sealed, now))

    async def amend(self, key: str, now: int, change: _Change) -> Written | None:
        amend = getattr(self.store, "amend", None)
        if amend is None:
            return None
        written: Written | None = await amend(key, now, self._sealing.sealing(change))
        return None if written is None else self._sealing.opened_in(written)

    async def replace(self, old_key: str, record: Record, now: int) -> Written:
        sealed = self._sealing.sealed(record)
        return self._sealing.opened_in(await self.store.replace(old_key, sealed, now))

    async def for_user(self, user_id: str, now: int) -> list[Record]:
        return self._sealing.all_opened(await self.store.for_user(user_id, now))

    async def scan(self, cursor: str, limit: int, now: int) -> Scanned:
        records, cursor_after = await self.store.scan(cursor, limit, now)
        return Scanned(self._sealing.all_opened(records), cursor_after)


def plain_store(store: Store) -> Store:
    """The store beneath the encryption, if there is any."""
    return store.store if isinstance(store, SealedStore) else store


def _name(key: bytes) -> str:
    return hashlib.sha256(b"flaskware-session key:" + key).hexdigest()[:8]
