"""What a session's object notes when its record was stored, or is gone."""

from __future__ import annotations

from flaskware_session._records.codec import decode
from flaskware_session._records.codec import encode
from flaskware_session._records.codec import is_immutable
from flaskware_session._records.record import Record
from flaskware_session._records.record import Written
from flaskware_session._web.session import PERMANENT
from flaskware_session._web.session import ServerSession


def is_gone(written: Written) -> bool:
    """Whether there is nothing to write to: the session has ended, or another id."""
    return written.current is None or written.current.is_alias


def is_empty(session: ServerSession, items: dict[str, str]) -> bool:
    """Whether nothing would be lost by not storing a session."""
    return session._user_id is None and not items.keys() - {PERMANENT}


def items_of(record: Record) -> dict[str, str]:
    """The content of a record, encoded by key."""
    return encode(decode(record.data) or {})


def refuse_new_id(session: ServerSession) -> None:
    """Raise an error where the browser cannot be told a new id any more."""
    if session._is_sent:
        raise RuntimeError(
            "The response has begun, so that the browser cannot be given the id of a"
            " session any more. Call `session.save()` in the view, before it returns"
            " the response that is streamed."
        )


def stored(
    session: ServerSession,
    record: Record,
    token: str | None,
    *,
    before: Record | None = None,
) -> None:
    """Note that the session is what the store holds now."""
    # The cookie of a known id changes only with how long the browser keeps it.
    if before is None or _is_permanent(before) != _is_permanent(record):
        session._cookie = "set"
    session._record, session._token = record, token
    session._read_only = False
    settle(session)
    # The view may go on to change what it has been handed.
    values = (session._data or {}).values()
    session._suspect = not all(map(is_immutable, values))


def show(session: ServerSession, record: Record) -> None:
    """Have the session hold what others have stored; what is the same stays as it is.

    Otherwise what they added would be taken for deleted at the next save.
    """
    mine = session._data = session._data or {}
    theirs = decode(record.data) or {}
    old, new = encode(mine), encode(theirs)
    for key in old.keys() - new.keys():
        del mine[key]
    for key in new:
        if old.get(key) != new[key]:
            mine[key] = theirs[key]


def settle(session: ServerSession) -> None:
    """Note that nothing is left to be stored."""
    session._suspect = session._forced = False
    session._renewed = session._fresh = session._cleared = False
    session._counted.clear()


def _is_permanent(record: Record) -> bool:
    return '"_permanent":true' in record.data


def forget(session: ServerSession) -> None:
    """Note that the session is gone, by its own request."""
    session._record = session._token = None
    session._cookie = "delete"
    settle(session)
