"""Records as Redis keeps them, and what its answers mean."""

from __future__ import annotations

import collections.abc as cabc
import secrets
import typing as t

from flaskware_session._errors import StoreRefused
from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.record import checked
from flaskware_session._records.record import foreign
from flaskware_session._records.record import Record
from flaskware_session._records.record import Written
from flaskware_session._records.token import is_key
from flaskware_session._records.token import is_of_user


def raise_outage(error: Exception) -> None:
    """Raise an outage; return ``None`` if the key holds a value of another type.

    :raises StoreRefused: for a value that Redis cannot hold.
    :raises StoreUnavailable: for every other error.
    """
    # Another program's key: as good as no session.
    if "WRONGTYPE" in str(error):
        return
    # A value that the client cannot encode, or that Redis cannot hold.
    if isinstance(error, UnicodeError):
        raise error
    if type(error).__name__ == "DataError" or "maximum allowed size" in str(error):
        raise StoreRefused(type(error).__name__) from error
    raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


class Names(t.NamedTuple):
    """Names of the keys that belong to one tag, which is what a cluster hashes."""

    start: str

    @classmethod
    def of(cls, namespace: str, tag: str) -> t.Self:
        """Return the names of a tag in a namespace."""
        # A brace in the namespace would be taken for the beginning of the tag.
        space = namespace.replace("{", "%7B").replace("}", "%7D")
        return cls(f"{space}:{{{tag}}}:")

    @property
    def sessions(self) -> str:
        """Prefix of the name of each session."""
        return f"{self.start}s:"

    def all(self, key: str) -> tuple[str, ...]:
        """Return the names of a session, of the user's index and of the epoch."""
        return f"{self.start}s:{key}", f"{self.start}u", f"{self.start}e"

    def of_user(self, keys: cabc.Iterable[str]) -> tuple[str, ...]:
        """Return the names that a script for all sessions of a user declares.

        None may be missing for long: while a cluster moves the slot, it would refuse.
        """
        index, epoch = f"{self.start}u", f"{self.start}e"
        return index, index, epoch, *(self.sessions + key for key in keys)


def pattern_of(namespace: str, kind: str) -> str:
    """Return the pattern of the keys of a kind: ``s`` for sessions, ``u`` for users."""
    start, _, end = Names.of(namespace, "\n").start.partition("\n")
    plain = "".join(f"\\{char}" if char in "*?[]\\^" else char for char in start)
    return f"{plain}*{end}{kind}" + (":*" if kind == "s" else "")


def keys_of_users(names: cabc.Iterable[bytes | str]) -> list[str]:
    """Return the keys of the sessions with these names that belong to a user."""
    keys = {text_of(name).rpartition(":")[2] for name in names}
    return [key for key in keys if is_key(key) and is_of_user(key)]


def scanned_of(answer: t.Any) -> tuple[str | None, list[t.Any]]:
    """Read the answer of SCAN: the cursor, ``None`` at the end, and the names."""
    cursor, names = answer
    return (None if int(cursor) == 0 else str(int(cursor))), list(names)


def written_of(key: str, answer: t.Any) -> Written:
    """Read the answer of a script for a conditional write."""
    if answer == 1:
        return Written(saved=True)
    return Written(saved=False, current=record_of(key, answer))


def line_of(text: str) -> str:
    """Encode a text without line breaks."""
    return text.replace("%", "%25").replace("\n", "%0A")


def fields_of(record: Record) -> tuple[str | int, ...]:
    """Return a record as the scripts take it.

    :return: Version, expiry and user, which they decide by; then the whole as a text;
        then a fresh epoch, for a user who has none.
    """
    user = line_of(record.user_id or "")
    lines = (
        record.version, record.last_seen, record.expires, record.idle, record.until,
        user, record.created, record.issued, line_of(record.kind), record.proofs,
        line_of(record.address), line_of(record.agent), record.data,
    )  # fmt: skip
    text = "\n".join(map(str, lines))
    return record.version, record.expires, user, text, new_epoch()


def new_epoch() -> str:
    """Make an epoch that no session has."""
    return secrets.token_urlsafe(9)


def record_of(key: str, answer: t.Any) -> Record | None:
    """Read a record from an answer; ``None`` if it holds no record."""
    if isinstance(answer, list):
        return foreign(key, "it is no record")
    if not isinstance(answer, bytes | str):
        return None
    try:
        (
            version, seen, expires, idle, until, user, created, issued, kind, proofs,
            address, agent, data,
        ) = text_of(answer).split("\n", 12)  # fmt: skip
        return checked(
            key,
            (
                data, int(version), int(created), int(seen), int(expires),
                text_in(user) or None, text_in(address), text_in(agent), int(issued),
                int(idle), int(until), text_in(kind), proofs,
            ),
        )  # fmt: skip
    except ValueError:
        return foreign(key, "it is no record")


def text_in(line: str) -> str:
    """Decode what :func:`line_of` has made."""
    return line.replace("%0A", "\n").replace("%25", "%") if "%" in line else line


def text_of(value: bytes | str) -> str:
    """Return a text of an answer, whether the client has decoded it or not."""
    return value.decode() if isinstance(value, bytes) else value


def info_of(answer: object) -> dict[str, str]:
    """Return a section of what a server says of itself, by name."""
    if isinstance(answer, dict):  # redis-py's client has read it
        found = t.cast("dict[object, object]", answer)
        return {str(key): str(value) for key, value in found.items()}
    lines = text_of(t.cast("bytes", answer or b"")).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def fullness_in(memory: dict[str, str]) -> float | None:
    """Return the share of a server's memory that is taken; see ``BoundedStore``."""
    limit = int(memory.get("maxmemory", 0))
    if not limit:
        return None
    # Buffers of replicas, which the limit is not for.
    others = int(memory.get("mem_not_counted_for_evict", 0))
    return (int(memory.get("used_memory", 0)) - others) / limit
