"""Ending a session that may have another key by now."""

from __future__ import annotations

import collections.abc as cabc

from flaskware_session._drive.asking import Asking
from flaskware_session._drive.asking import Spent
from flaskware_session._records.record import Record
from flaskware_session._records.token import Keys


def end_session(
    asking: Asking, keys: Keys, record: Record, token: str | None, spent: Spent
) -> bool:
    """Remove a session under whatever key it has now; say whether there was one.

    :param record: As it was read, which may be long ago.
    :param token: The id that it was read with.
    """
    store = asking.store
    # A store knows for a minute what an id was replaced by.
    if asking.ask(spent, "delete", store.delete, record.key):
        return True
    for key in keys.all_of(token):
        if key != record.key and asking.ask(spent, "delete", store.delete, key):
            return True
    if record.user_id is None:
        return False
    ended = False
    now = asking.now()
    for found in asking.ask(spent, "read", store.for_user, record.user_id, now):
        if _is_same(found, record):
            ended |= asking.ask(spent, "delete", store.delete, found.key)
    return ended


def key_now(record: Record, found: cabc.Iterable[Record]) -> str:
    """The key that a session has, of the sessions of its user.

    :param record: As it was read, which may be long ago.
    """
    keys = [one.key for one in found if _is_same(one, record)]
    return keys[0] if keys and record.key not in keys else record.key


def _is_same(one: Record, other: Record) -> bool:
    # What a session keeps as it gets new ids; another sign-in has another moment.
    return (one.created, one.address, one.agent) == (
        other.created,
        other.address,
        other.agent,
    )
