"""Read sessions whose records somebody has corrupted.

python tests/gates/fuzz.py redis --records 100000

A session of a user is stored, and one of its records is changed from below: bits,
numbers and words of the frame, the whole by another program's bytes, the content by
what JSON allows and a session does not. Then requests read it, write it, list the
user's sessions and revoke them. No answer may be a 500 or an outage, nothing may hang,
and what cannot be a session is an empty one, which a signal reports with its reason.
``--only N`` repeats one case of a run.
"""

from __future__ import annotations

import argparse
import collections
import collections.abc as cabc
import dataclasses as dc
import json
import logging
import pickle
import random
import re
import signal
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import flask
from places import CANNOT_RUN
from places import KINDS
from places import Missing
from places import opened
from places import Place
from raw import Raw
from raw import raw_of
from raw import Value
from shop import make_shop

from flaskware_session import session_unreadable

CONTENT = '{"fuzz":"MARKER"}'
_HANG_SECONDS = 60
_TIDY_EVERY = 500
_EXAMPLES = 6


class Hang(Exception):
    """A request did not end."""


def _deep(chosen: random.Random, few: int, many: int) -> str:
    depth = chosen.randrange(few, many)
    start, end = chosen.choice(
        [("[", "]"), ('{"a":', "}"), ('{"~t":[', "]}"), ('[{"~d":[["a",', "]]}]")]
    )
    close = end * depth if chosen.random() < 0.7 else ""
    return start * depth + "1" + close


def _impossible(chosen: random.Random) -> str:
    """Return a text that cannot be the content of a session."""
    value = chosen.choice(
        [
            *('{"~s":"yesterday"}', '{"~s":5}', '{"~a":"2024-13-01"}', '{"~b":"!"}'),
            *('{"~b":5}', '{"~u":"5"}', '{"~u":5}', '{"~n":"x"}', '{"~n":[1]}'),
            *('{"~t":5}', '{"~d":5}', '{"~d":[[[1],2]]}', '{"~d":[[{"a":1},2]]}'),
            *('{"~d":[1]}', "1" + "0" * 5000, "-" + "9" * 5000, "tru", "'a'", ""),
            *('"\x01', "{,}", "[1,]", '{"a" 1}', "{1:1}", "\\", "[" * 100_000),
        ]
    )
    root = chosen.choice(
        [
            *("", " ", "[]", "1", "null", '"x"', "true", "-1.5", "NaN", "{", '{"a":'),
            *('{"~t":[1]}', '{"~u":"' + "0" * 32 + '"}', '{"~n":"1"}', '{"~m":"x"}'),
            *('{"~d":[[0,0]]}', '{"~d":[[null,0]]}', '[["a",1]]', '{"a":1}x', "\ufeff"),
            *('{"~s":"2024-01-01"}', '{"~b":"AA=="}', '{"a":' * 50_000),
        ]
    )
    if chosen.random() < 0.4:
        return root
    around = chosen.choice(['{"a":%s}', '{"a":[1,%s]}', '{"b":1,"a":{"c":%s}}'])
    return around.replace("%s", value)


def _odd(chosen: random.Random) -> str:
    """Return a text that may or may not be one."""
    return chosen.choice(
        [
            lambda: f'{{"a":{_deep(chosen, 1, 300)}}}',
            lambda: f'{{"a":{_deep(chosen, 300, 30_000)}}}',
            lambda: _deep(chosen, 1, 30_000),
            lambda: '{"a":"\\ud800"}',
            lambda: '{"\\udfff":1}',
            lambda: '{"a":NaN,"b":Infinity,"c":-Infinity,"d":1e999}',
            lambda: '{"a":1,"a":2}',
            lambda: '{"":"","\\u0000":1}',
            lambda: '{"~w":5}',
            lambda: '{"a":1,"~w":{"x":"y","z":[1]}}',
            lambda: '{"a":1,"~w":[[["b"]]]}',
            lambda: '{"~":1,"~~":2,"~~~d":3}',
            lambda: '{"~d":[["a",1]]}',
            lambda: '{"a":{"~d":[[{"~t":[1]},2],[1,2]]}}',
            lambda: '{"a":{"_permanent":true}}',
            lambda: '{"_permanent":"yes"}',
            lambda: '{"_permanent":{"a":[1]}}',
            lambda: f'{{"a":"{"x" * 200_000}"}}',
        ]
    )()


class Case(t.NamedTuple):
    """How one record was corrupted.

    :param is_certain: Whether it cannot be a session any more.
    """

    what: str
    is_certain: bool


class Fuzz:
    """Corrupts, asks, and counts.

    :param settings: More settings of the app.
    """

    def __init__(self, place: Place, folder: Path, seed: int) -> None:
        self._raw: Raw | None = raw_of(place)
        self._seed = seed
        # Data that looks like an outage must be seen as the failure that it is.
        self._app, self._sessions = make_shop(
            place.url, time.time, folder, store_timeout=10, budget=20
        )
        self._add_views()
        self._reasons: list[object] = []
        self._errors: list[str] = []
        session_unreadable.connect(self._note, self._app)
        flask.got_request_exception.connect(self._failed, self._app)
        self.counts = collections.Counter[str]()
        self.examples: list[str] = []
        self._begin()

    def run(self, numbers: cabc.Iterable[int]) -> None:
        for number in numbers:
            if number % _TIDY_EVERY == 0:
                self._begin()
            case = self._corrupt(random.Random(f"{self._seed}:{number}"))
            if case is None:
                self.counts["not stored"] += 1
                continue
            self.counts["records"] += 1
            self._ask(number, case)
            self._restore()

    @property
    def bad(self) -> int:
        return sum(self.counts[name] for name in ("failed", "hung", "silent", "full"))

    # What is asked.

    def _ask(self, number: int, case: Case) -> None:
        self._reasons.clear()
        self._errors.clear()
        signal.setitimer(signal.ITIMER_REAL, _HANG_SECONDS)
        try:
            found = self._visit("/keys")
            silent = case.is_certain and not any(self._reasons)
            full = case.is_certain and found is not None and found["data"]
            if number % 3 == 0:
                self._visit("/form")
            if number % 5 == 0:
                self._visit("/in/ann")
            if number % 7 == 0:
                self._visit("/devices", cookie=False)
        except Hang:
            self._count("hung", number, case)
            return
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if self._errors:
            self._count("failed", number, case)
        if silent:
            self._count("silent", number, case)
        if full:
            self._count("full", number, case)

    def _visit(self, path: str, *, cookie: bool = True) -> dict[str, t.Any] | None:
        client = self._app.test_client()
        if cookie:
            client.set_cookie("session", self._cookie)
        response = client.get(path)
        if response.status_code not in {200, 403}:
            self._errors.append(f"{path}: {response.status_code}")
            return None
        return t.cast("dict[str, t.Any] | None", response.get_json(silent=True))

    def _count(self, name: str, number: int, case: Case) -> None:
        self.counts[name] += 1
        if sum(one.startswith(name) for one in self.examples) < _EXAMPLES:
            errors = ", ".join(self._errors)[:300]
            self.examples.append(f"{name} #{number}: {case.what[:200]} {errors}")

    # How it is corrupted.

    def _corrupt(self, chosen: random.Random) -> Case | None:
        if self._raw is None or chosen.random() < 0.2:
            return self._by_protocol(chosen)
        name, value = chosen.choice(list(self._base.items()))
        if isinstance(value, tuple) and len(value) > 1:
            column = chosen.randrange(len(value))
            new, case = self._changed(chosen, value[column])
            row = (*value[:column], new, *value[column + 1 :])
            return case if self._raw.put(name, row) else None
        if isinstance(value, tuple):
            self._raw.put(name, new := _foreign(chosen))
            return Case(f"foreign {new[:40]!r} under {name!r}", False)
        new, case = self._changed(chosen, value)
        return case if self._raw.put(name, new) else None

    def _changed(self, chosen: random.Random, value: t.Any) -> tuple[t.Any, Case]:
        if not isinstance(value, bytes | str):
            new = chosen.choice(
                [0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**70, 1.5, None, "x", b"x"]
            )
            return new, Case(f"{value!r} is {new!r}", False)
        text = value if isinstance(value, bytes) else value.encode()
        hostile, certain = _impossible(chosen), True
        if chosen.random() < 0.5:
            hostile, certain = _odd(chosen), False
        if chosen.random() < 0.5:
            for old, new in (
                (CONTENT, hostile),
                (json.dumps(CONTENT)[1:-1], json.dumps(hostile)[1:-1]),
            ):
                if old.encode() in text:
                    return self._like(
                        value, text.replace(old.encode(), new.encode(), 1)
                    ), Case(f"content {new[:150]}", certain)
        new_text = _mutated(chosen, text)
        return self._like(value, new_text), Case(f"bytes {new_text[:150]!r}", False)

    @staticmethod
    def _like(value: bytes | str, text: bytes) -> bytes | str:
        return text if isinstance(value, bytes) else text.decode("utf-8", "replace")

    def _by_protocol(self, chosen: random.Random) -> Case | None:
        """Corrupt a record by what the store itself takes."""
        hostile, certain = _impossible(chosen), True
        changes: dict[str, t.Any] = {"data": hostile}
        if chosen.random() < 0.5:
            certain, changes = False, {"data": _odd(chosen)}
        # What this process keeps as objects nobody else can change.
        if not certain and self._raw is not None:
            field = chosen.choice(dc.fields(self._record))
            old = getattr(self._record, field.name)
            if field.name not in {"key", "data"} and isinstance(old, int):
                changes = {field.name: chosen.choice([0, -1, 1, 2**53, 2**62])}
            elif field.name not in {"key", "data"}:
                odd = chosen.choice(["", "x", "\n", "\x00", "é" * 3, self._record.key])
                changes = {field.name: odd}
        try:
            self._store.delete(self._record.key)
            if not self._store.create(dc.replace(self._record, **changes), self._now()):
                return None
        except Exception:  # noqa: BLE001 # a store may refuse it in any way
            return None
        return Case(f"record {str(changes)[:150]}", certain)

    # The session that is corrupted.

    def _begin(self) -> None:
        """Empty the store, and store the session anew."""
        if self._raw is not None:
            self._raw.clear()
        with self._app.app_context():
            self._store = self._sessions.store
            self._sessions.revoke_user("ann")
            while self._sessions.prune():
                pass
        client = self._app.test_client()
        assert client.get("/begin").status_code == 200
        cookie = client.get_cookie("session")
        assert cookie is not None
        self._cookie = cookie.value
        [self._record] = self._store.for_user("ann", self._now())
        assert self._record.data == CONTENT, self._record.data
        self._base: dict[t.Any, Value] = {} if self._raw is None else self._raw.all()

    def _restore(self) -> None:
        if self._raw is None:
            self._store.delete_user("ann")
            self._store.delete(self._record.key)
            self._store.create(self._record, self._now())
            return
        for name, value in self._base.items():
            self._raw.put(name, value)

    def _now(self) -> int:
        return int(time.time() * 1000)

    def _add_views(self) -> None:
        sessions = self._sessions

        @self._app.get("/begin")
        def begin() -> str:
            sessions.login("ann")
            flask.session["fuzz"] = "MARKER"
            return "ok"

        @self._app.get("/keys")
        def keys() -> dict[str, t.Any]:
            return {"data": [key for key, _ in flask.session.items()]}

        @self._app.get("/devices")
        def devices() -> str:
            found = sessions.for_user("ann")
            for one in found:
                sessions.revoke(one.handle, user_id="ann")
            return str(sessions.revoke_user("ann"))

    def _note(self, sender: object, **details: t.Any) -> None:
        self._reasons.append(details.get("reason"))

    def _failed(self, sender: object, exception: BaseException, **_: t.Any) -> None:
        self._errors.append(repr(exception)[:120])


def _foreign(chosen: random.Random) -> bytes:
    return chosen.choice(
        [
            b"",
            b"\x00",
            b"\xff" * 9,
            pickle.dumps({"a": 1}),
            b"\x81\xa1a\x01",
            b"[]",
            b"null",
            b"1",
            b"{}",
            b'["x"]',
            b"[" * 100_000,
            b"\n" * 30,
            b"1\n" * 30,
            b"OK",
            json.dumps({"next": "x", "data": None}).encode(),
            chosen.randbytes(chosen.randrange(1, 300)),
        ]
    )


def _mutated(chosen: random.Random, text: bytes) -> bytes:
    if not text or chosen.random() < 0.1:
        return _foreign(chosen)
    place = chosen.randrange(len(text))
    kind = chosen.randrange(7)
    if kind == 0:
        flipped = text[place] ^ (1 << chosen.randrange(8))
        return text[:place] + bytes([flipped]) + text[place + 1 :]
    if kind == 1:
        return text[:place]
    if kind == 2:
        return text[place:]
    if kind == 3:
        return text[:place] + chosen.randbytes(chosen.randrange(1, 9)) + text[place:]
    if kind == 4:
        return text[:place] + text[: chosen.randrange(len(text))] + text[place:]
    pattern = rb"\d+" if kind == 5 else rb"[A-Za-z0-9_-]{12,}"
    words = list(re.finditer(pattern, text))
    if not words:
        return text[place:] + text[:place]
    word = chosen.choice(words)
    numbers = (b"0", b"-1", b"", b"9" * 16, b"9" * 400, b"1e5", b"nan", b"0x1")
    texts = (b"", b"x", chosen.choice(words)[0], b"\n", b"\x00", b"~" * 70)
    new = chosen.choice(numbers if kind == 5 else texts)
    return text[: word.start()] + new + text[word.end() :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", choices=[kind for kind in KINDS if kind != "cluster"])
    parser.add_argument("--records", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    options = parser.parse_args()
    # The extension says what it could not read, each time; --only shows it.
    logging.disable(logging.CRITICAL if options.only is None else logging.NOTSET)

    def hang(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, hang)
    started = time.monotonic()
    try:
        with opened(options.store) as place, tempfile.TemporaryDirectory() as folder:
            fuzz = Fuzz(place, Path(folder), options.seed)
            only = options.only
            fuzz.run(range(options.records) if only is None else [only])
    except Missing as error:
        print(error)
        sys.exit(CANNOT_RUN)
    seconds = round(time.monotonic() - started, 1)
    print(*fuzz.examples, sep="\n")
    print(json.dumps({"store": options.store, "seconds": seconds} | fuzz.counts))
    sys.exit(1 if fuzz.bad or not fuzz.counts["records"] else 0)


if __name__ == "__main__":
    main()
