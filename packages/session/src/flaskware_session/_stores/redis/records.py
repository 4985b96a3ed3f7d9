"""Records as Redis keeps them, and what its answers mean."""

from __future__ import annotations

import typing as t

from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.record import Record
from flaskware_session._records.record import Written


def raise_outage(error: Exception) -> None:
    """Raise an outage; return ``None`` if the key holds a value of another type.

    :raises StoreUnavailable: for every other error.
    """
    # Another program's key: as good as no session.
    if "WRONGTYPE" in str(error):
        return
    raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


def escaped(text: str) -> str:
    """Escape a text for use in a pattern of keys."""
    return "".join(f"\\{char}" if char in "*?[]\\^" else char for char in text)


def written_of(key: str, answer: t.Any) -> Written:
    """Read the answer of a script for a conditional write."""
    if answer == 1:
        return Written(saved=True)
    return Written(saved=False, current=record_of(key, answer))


def line_of(user_id: str) -> str:
    """Encode the id of a user without line breaks."""
    return user_id.replace("%", "%25").replace("\n", "%0A")


def fields_of(record: Record) -> tuple[str | int, ...]:
    """Return a record as the scripts take it.

    :return: Version, expiry and user, which they decide by; then the whole as a text.
    """
    user = line_of(record.user_id or "")
    address = record.address.replace("\n", " ")
    agent = record.agent.replace("\n", " ")
    text = (
        f"{record.version}\n{record.last_seen}\n{record.expires}\n{record.created}\n"
        f"{record.issued}\n{address}\n{agent}\n{user}\n{record.data}"
    )
    return record.version, record.expires, user, text


def record_of(key: str, answer: t.Any) -> Record | None:
    """Read a record from an answer; ``None`` if it holds no record."""
    if not isinstance(answer, bytes | str):
        return None
    try:
        version, last_seen, expires, created, issued, address, agent, user, data = (
            text_of(answer).split("\n", 8)
        )
        return Record(
            key,
            data,
            int(version),
            int(created),
            int(last_seen),
            int(expires),
            user.replace("%0A", "\n").replace("%25", "%") or None,
            address,
            agent,
            int(issued),
        )
    except ValueError:
        return None


def text_of(value: bytes | str) -> str:
    """Return a text of an answer, whether the client has decoded it or not."""
    return value.decode() if isinstance(value, bytes) else value
