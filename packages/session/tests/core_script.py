"""Runs the generators of the core on answers that are written down beforehand."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

from flaskware_session import Record
from flaskware_session import SessionEnded
from flaskware_session import StoreUnavailable
from flaskware_session import Written
from flaskware_session._core.operations import Amend
from flaskware_session._core.operations import Call
from flaskware_session._core.operations import Create
from flaskware_session._core.operations import Delete
from flaskware_session._core.operations import IsCrowded
from flaskware_session._core.operations import LimitUser
from flaskware_session._core.operations import Notify
from flaskware_session._core.operations import Operation
from flaskware_session._core.operations import Queue
from flaskware_session._core.operations import Read
from flaskware_session._core.operations import Replace
from flaskware_session._core.operations import Steps
from flaskware_session._core.operations import Update
from flaskware_session._core.policy import SessionPolicy
from flaskware_session._core.visit import Visit
from flaskware_session._records.codec import decode
from flaskware_session._records.record import Lifetime
from flaskware_session._records.token import Keys
from flaskware_session._records.token import proof_of
from flaskware_session._records.token import with_new_secret

NOW = 1_000_000
TOKEN = "u" + "A" * 76
NEW_TOKEN = with_new_secret(TOKEN)
LIFETIME = Lifetime(60_000, 600_000, 1_000, renewal=300_000, grace=10_000)
KEYS = Keys([b"new", b"old"])
KEY = KEYS.of(TOKEN)
OLD_KEY = KEYS.older_of(TOKEN)[0]

STORED = Record(
    KEY,
    '{"a":1}',
    3,
    NOW - 1000,
    NOW - 10,
    NOW + 50_000,
    "ann",
    issued=NOW - 1000,
    idle=60_000,
    until=NOW + 599_000,
    proofs=proof_of(TOKEN),
)
VISITOR = dc.replace(STORED, user_id=None)
NEWER = dc.replace(STORED, version=4, data='{"a":1,"b":2}')
PENDING = dc.replace(
    STORED, proofs=f"{proof_of(TOKEN)} {proof_of(NEW_TOKEN)}", issued=NOW - 500
)
"""As after a renewal whose new id was not seen yet."""

SAVED = Written(saved=True)
CONFLICT = Written(saved=False, current=NEWER)
GONE = Written(saved=False)
DOWN = StoreUnavailable("down")

# What no answer is needed to.
_UNANSWERED = (Amend, Notify, Queue)


def policy_of(**rules: t.Any) -> SessionPolicy:
    rules = {"lifetime": LIFETIME, "keys": KEYS, "clock": lambda: NOW / 1000} | rules
    return SessionPolicy(**rules)


def visit_of(record: Record | None = STORED, token: str = TOKEN) -> Visit:
    """A visit that has read a record."""
    visit = Visit([token])
    if record is not None:
        visit.sent_id = token
        visit.opened(record, decode(record.data) or {}, token)
    return visit


class Played(t.NamedTuple):
    """What a generator asked for, and what came of it."""

    operations: list[Operation]
    error: Exception | None
    result: object

    @property
    def lines(self) -> list[str]:
        return [line_of(operation) for operation in self.operations]


def play(steps: Steps[t.Any], *answers: object) -> Played:
    """Run a generator to its end; an answer that is an exception is thrown in."""
    rest, seen = iter(answers), list[Operation]()
    answer: object = None
    try:
        while True:
            if isinstance(answer, Exception):
                operation = steps.throw(answer)
            else:
                operation = steps.send(answer)
            if isinstance(operation, IsCrowded):
                answer = False  # as in most stores, always
                continue
            seen.append(operation)
            is_answered = not isinstance(operation, _UNANSWERED)
            answer = next(rest) if is_answered else None
    except StopIteration as stop:
        assert list(rest) == [], "an answer was not asked for"
        return Played(seen, None, stop.value)
    except (StoreUnavailable, SessionEnded, ValueError, RuntimeError) as error:
        return Played(seen, error, None)


def line_of(operation: Operation) -> str:  # noqa: C901 # a table
    """An operation in a few words, for a table."""
    match operation:
        case Update(record, _):
            return f"update {record.data}"
        case Create(record, _):
            return f"create {record.data}"
        case Replace(_, record, _):
            return f"replace {record.data}"
        case Read(key, _, _):
            return f"read {_name(key)}"
        case Delete(key, version):
            return f"delete {_name(key)}{f' v{version}' if version else ''}"
        case LimitUser(user_id, most, _, _):
            return f"limit {user_id} {most}"
        case Notify(signal, details, _):
            keys = details.get("keys", [])
            dropped = " dropped" if details.get("dropped") else ""
            return " ".join([signal, *t.cast("list[str]", keys)]) + dropped
        case Amend():
            return "amend"
        case Queue():
            return "queue"
        case Call():
            return "call"


def _name(key: str) -> str:
    names = {KEY: "key", OLD_KEY: "old key"}
    return names.get(key, "new key")


Act: t.TypeAlias = cabc.Callable[[Visit], object]
