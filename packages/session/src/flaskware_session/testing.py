"""For the tests of apps that use flaskware-session, and of stores made for it."""
# ruff: noqa: S101 # a suite of tests is what this module offers

from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import contextlib
import dataclasses as dc
import time
import typing as t

from ._records.record import FOREVER
from ._records.record import Record
from ._records.record import Written
from ._records.token import key_of
from ._records.token import new_token
from ._records.token import proof_of
from ._stores.protocol import AmendingStore
from ._stores.protocol import Store
from ._stores.wrapper import StoreWrapper

__all__ = ["CountingStore", "FakeClock", "store_suite", "StoreSuite"]


class FakeClock:
    """A clock that you move on yourself: ``Sessions(app, clock=FakeClock())``."""

    def __init__(self, start: float | None = None) -> None:
        self._time = time.time() if start is None else start

    def __call__(self) -> float:
        return self._time

    def advance(
        self, *, seconds: float = 0, minutes: float = 0, days: float = 0
    ) -> None:
        """Let time pass."""
        self._time += seconds + 60 * minutes + 86400 * days


class CountingStore(StoreWrapper):
    """Wraps a store and counts the trips to it: ``Sessions(store=CountingStore(…))``.

    :param store: What to wrap.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.trips: list[str] = []
        """The names of the methods called, in order."""

    def _call(self, operation: str, *args: t.Any, **kwargs: t.Any) -> t.Any:
        if operation != "close":
            self.trips.append(operation)
        return super()._call(operation, *args, **kwargs)


_IDLE, _ABSOLUTE, _INTERVAL = 60_000, 300_000, 10_000


class StoreSuite:
    """The tests that each store must pass; for pytest.

    Subclass it under a name that starts with ``Test`` and define a fixture ``store``
    that makes an empty store::

        class TestMyStore(StoreSuite):
            @pytest.fixture
            def store(self):
                return MyStore()
    """

    def make(
        self, user_id: str | None = None, *, age: int = 0, data: str = "{}"
    ) -> tuple[Record, int]:
        """A record that was made and last used ``age`` ms ago, and the time now."""
        now = int(time.time() * 1000)
        created = now - age
        token = new_token(user_id)
        record = Record(
            key=key_of(token),
            data=data,
            version=1,
            created=created,
            last_seen=created,
            expires=created + _IDLE,
            user_id=user_id,
            address="192.0.2.7" if user_id else "",
            agent="Brówser ✓" if user_id else "",
            issued=created,
            idle=_IDLE,
            until=created + _ABSOLUTE,
            kind="" if user_id else "unseen",
            proofs=proof_of(token),
        )
        return record, now

    def test_a_record_is_read_as_it_was_created(self, store: Store) -> None:
        record, now = self.make("ann", data='{"a":"\\u00e9 \\\\ \'quoted\' %s"}')
        store.create(record, now)
        assert store.read(record.key, now, _INTERVAL) == record

    def test_odd_texts_are_kept_too(self, store: Store) -> None:
        record, now = self.make("ann\nbob%0A%\x00 é", data='{"a":\n"\x00 é"}')
        store.create(record, now)
        assert store.read(record.key, now, _INTERVAL) == record
        assert store.for_user("ann\nbob%0A%\x00 é", now) == [record]

    def test_an_unknown_key_is_not_found(self, store: Store) -> None:
        record, now = self.make()
        assert store.read(record.key, now, _INTERVAL) is None

    def test_an_expired_record_is_gone_for_every_method(self, store: Store) -> None:
        record, now = self.make("ann")
        store.create(record, now)
        later = record.expires
        newer = dc.replace(record, version=2)
        other, _ = self.make("ann")
        assert store.read(record.key, later, _INTERVAL) is None
        assert store.update(newer, later) == Written(saved=False)
        moved = dc.replace(other, version=2)
        assert store.replace(record.key, moved, later) == Written(saved=False)
        assert store.for_user("ann", later) == []

    def test_a_read_is_noted_once_the_interval_is_over(self, store: Store) -> None:
        record, now = self.make("ann", age=10_000)
        store.create(record, now)
        touched = store.read(record.key, now, _INTERVAL)
        expected = dc.replace(record, last_seen=now, expires=now + 60_000)
        assert touched == expected
        assert store.for_user("ann", now) == [expected]
        assert store.read(record.key, now + 9_999, _INTERVAL) == expected

    def test_a_read_that_is_no_use_is_not_noted(self, store: Store) -> None:
        record, now = self.make("ann", age=50_000)
        store.create(record, now)
        assert store.read(record.key, now, FOREVER) == record
        assert store.for_user("ann", now) == [record]

    def test_use_never_extends_the_absolute_timeout(self, store: Store) -> None:
        record, now = self.make()
        record = dc.replace(record, until=now + 10_000, last_seen=now - 20_000)
        store.create(record, now)
        touched = store.read(record.key, now, _INTERVAL)
        assert touched is not None
        assert touched.expires == now + 10_000

    def test_an_update_of_the_version_read_is_saved(self, store: Store) -> None:
        record, now = self.make("ann")
        store.create(record, now)
        newer = dc.replace(
            record,
            version=2,
            data='{"a":1}',
            last_seen=now + 5,
            issued=now + 5,
            idle=_IDLE + 1,
            until=record.until + 1,
            kind="own",
            proofs=f"{record.proofs} {proof_of(new_token())}",
        )
        assert store.update(newer, now + 5) == Written(saved=True)
        assert store.read(record.key, now + 5, _INTERVAL) == newer

    def test_an_update_of_an_older_version_returns_the_newer(
        self, store: Store
    ) -> None:
        record, now = self.make()
        store.create(record, now)
        first = dc.replace(record, version=2, data='{"a":1}')
        store.update(first, now)
        second = dc.replace(record, version=2, data='{"b":1}')
        assert store.update(second, now) == Written(saved=False, current=first)
        assert store.read(record.key, now, _INTERVAL) == first

    def test_an_update_does_not_bring_a_record_back(self, store: Store) -> None:
        record, now = self.make("ann")
        store.create(record, now)
        assert store.delete(record.key)
        newer = dc.replace(record, version=2)
        assert store.update(newer, now) == Written(saved=False)
        assert store.read(record.key, now, _INTERVAL) is None
        assert store.for_user("ann", now) == []

    def test_an_amended_record_is_what_the_change_returns(self, store: Store) -> None:
        if not isinstance(store, AmendingStore):
            return
        record, now = self.make("ann")
        store.create(record, now)
        found: list[Record] = []
        assert store.amend(record.key, now, found.append) in {
            None,
            Written(saved=False, current=record),
        }
        assert store.read(record.key, now, _INTERVAL) == record

        def fail(found: Record) -> Record:
            raise RuntimeError(found.key)

        if not found:  # a wrapper around a store that cannot do this
            return
        with contextlib.suppress(RuntimeError):
            store.amend(record.key, now, fail)
        newer = dc.replace(record, version=2, data='{"a":1}')
        written = store.amend(record.key, now, lambda _: newer)
        assert written == Written(saved=True)
        assert store.read(record.key, now, _INTERVAL) == newer
        store.delete(record.key)
        written = store.amend(record.key, now, lambda _: newer)
        assert written == Written(saved=False)
        assert store.read(record.key, now, _INTERVAL) is None

    def test_of_many_amendments_at_once_each_is_made(self, store: Store) -> None:
        record, now = self.make()
        store.create(dc.replace(record, data="0"), now)

        def count(found: Record) -> Record:
            data = str(int(found.data) + 1)
            return dc.replace(found, version=found.version + 1, data=data)

        def amend(_: int) -> Written | None:
            if isinstance(store, AmendingStore):
                return store.amend(record.key, now, count)
            return None

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            results = set(pool.map(amend, range(40)))
        if results != {None}:
            assert results == {Written(saved=True)}
            stored = store.read(record.key, now, _INTERVAL)
            assert stored is not None
            assert (stored.version, stored.data) == (41, "40")

    def _scanned(self, store: Store, now: int, limit: int) -> list[Record]:
        found: list[Record] = []
        cursor: str | None = ""
        while cursor is not None:
            records, cursor = store.scan(cursor, limit, now)
            found += records
        return found

    def test_a_scan_finds_each_session_of_a_user(self, store: Store) -> None:
        now = self.make()[1]
        assert self._scanned(store, now, 10) == []
        made: dict[str, Record] = {}
        for number in range(25):
            record, now = self.make(f"user {number % 7}")
            store.create(record, now)
            store.create(self.make()[0], now)
            made[record.key] = record
        store.create(self.make("ann", age=400_000)[0], now)
        for limit in (1, 7, 1000):
            found = self._scanned(store, now, limit)
            assert {record.key: record for record in found} == made

    def test_the_sessions_of_several_users_end(self, store: Store) -> None:
        kept, now = self.make("ann")
        other, visitor = self.make("cid")[0], self.make()[0]
        gone = [self.make(name)[0] for name in ("ann", "bob", "bob", "dan")]
        for record in (kept, other, visitor, *gone):
            store.create(record, now)
        users = {"ann", "bob", "dan", "eve"}
        assert store.delete_users(users, keep=kept.key) == 4
        assert store.for_user("ann", now) == [kept]
        assert store.for_user("cid", now) == [other]
        assert store.read(visitor.key, now, _INTERVAL) == visitor
        assert store.for_user("bob", now) == store.for_user("dan", now) == []

    def test_a_scan_goes_on_where_sessions_end_meanwhile(self, store: Store) -> None:
        keys, now = set[str](), self.make()[1]
        for number in range(30):
            record = self.make(f"user {number}")[0]
            store.create(record, now)
            keys.add(record.key)
        cursor: str | None = ""
        while cursor is not None:
            records, cursor = store.scan(cursor, 4, now)
            for record in records:
                store.delete(record.key)
                keys.discard(record.key)
        assert not keys

    def test_a_replaced_record_is_gone_and_the_new_one_is_there(
        self, store: Store
    ) -> None:
        old, now = self.make()
        store.create(old, now)
        new = dc.replace(self.make("ann")[0], version=2)
        assert store.replace(old.key, new, now) == Written(saved=True)
        assert store.read(old.key, now, _INTERVAL) is None
        assert store.read(new.key, now, _INTERVAL) == new
        assert store.for_user("ann", now) == [new]

    def test_a_replacement_of_an_older_version_changes_nothing(
        self, store: Store
    ) -> None:
        old, now = self.make()
        store.create(old, now)
        changed = dc.replace(old, version=2, data='{"a":1}')
        store.update(changed, now)
        new = dc.replace(self.make("ann")[0], version=2)
        assert store.replace(old.key, new, now) == Written(saved=False, current=changed)
        assert store.read(new.key, now, _INTERVAL) is None
        assert store.for_user("ann", now) == []

    def test_a_replacement_that_is_made_again_is_saved(self, store: Store) -> None:
        """As where the answer to the first attempt was lost."""
        old, now = self.make("ann")
        store.create(old, now)
        new = dc.replace(old, key=self.make("ann")[0].key, version=2)
        for _ in range(2):
            assert store.replace(old.key, new, now) == Written(saved=True)
        assert store.for_user("ann", now) == [new]

    def test_a_replacement_of_what_is_gone_creates_nothing(self, store: Store) -> None:
        old, now = self.make()
        new = dc.replace(self.make("ann")[0], version=2)
        assert store.replace(old.key, new, now) == Written(saved=False)
        assert store.read(new.key, now, _INTERVAL) is None

    def test_a_key_that_is_taken_is_not_stored_again(self, store: Store) -> None:
        record, now = self.make("ann", data='{"a":1}')
        assert store.create(record, now)
        assert not store.create(dc.replace(record, data='{"b":1}'), now)
        assert store.read(record.key, now, _INTERVAL) == record

    def test_of_a_deletion_and_a_replacement_at_once_one_is_made(
        self, store: Store
    ) -> None:
        for turn in range(20):
            user_id = f"ann{turn}"
            old, now = self.make(user_id)
            store.create(old, now)
            new = dc.replace(self.make(user_id)[0], version=2)
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                replaced = pool.submit(store.replace, old.key, new, now)
                deleted = pool.submit(store.delete, old.key)
                is_replaced = replaced.result().saved
                assert is_replaced != deleted.result()
            left = [new] if is_replaced else []
            assert store.for_user(user_id, now) == left

    def test_a_maximum_leaves_the_others_where_the_kept_one_is_gone(
        self, store: Store
    ) -> None:
        """As where two sign-ins meet, and the first has ended the second."""
        one, now = self.make("ann")
        store.create(one, now)
        assert store.limit_user("ann", 1, now, keep=self.make("ann")[0].key) == 0
        assert store.for_user("ann", now) == [one]

    def test_of_many_maxima_at_once_as_many_are_left(self, store: Store) -> None:
        def sign_in(record: Record) -> None:
            store.create(record, now)
            store.limit_user(user_id, 2, now, keep=record.key)

        for turn in range(5):
            user_id = f"ann{turn}"
            now = self.make()[1]
            records = [self.make(user_id)[0] for _ in range(4)]
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                list(pool.map(sign_in, records))
            assert len(store.for_user(user_id, now)) == 2

    def test_a_maximum_removes_the_longest_unseen(self, store: Store) -> None:
        now = self.make()[1]
        mine = [self.make("ann", age=n * 1000)[0] for n in (1, 2, 3, 4)]
        other = self.make("bob", age=5000)[0]
        for record in (*mine, other):
            store.create(record, now)
        assert store.limit_user("ann", 4, now, keep=mine[3].key) == 0
        assert store.limit_user("ann", 2, now, keep=mine[3].key) == 2
        assert store.for_user("ann", now) == [mine[0], mine[3]]
        assert store.for_user("bob", now) == [other]

    def test_a_version_that_is_not_the_stored_one_deletes_nothing(
        self, store: Store
    ) -> None:
        record, now = self.make("ann")
        store.create(record, now)
        assert not store.delete(record.key, version=7)
        assert store.for_user("ann", now) == [record]

    def test_deleting_says_whether_there_was_a_record(self, store: Store) -> None:
        record, now = self.make()
        store.create(record, now)
        assert store.delete(record.key)
        assert not store.delete(record.key)

    def test_deleting_a_version_spares_a_newer_one(self, store: Store) -> None:
        record, now = self.make()
        store.create(record, now)
        store.update(dc.replace(record, version=2), now)
        assert not store.delete(record.key, version=1)
        assert store.read(record.key, now, _INTERVAL) is not None
        assert store.delete(record.key, version=2)

    def test_a_user_has_their_own_records_the_last_seen_first(
        self, store: Store
    ) -> None:
        older, now = self.make("ann", age=5_000)
        newer, _ = self.make("ann", age=1_000)
        for record in (older, newer, self.make("bob")[0], self.make()[0]):
            store.create(record, now)
        assert store.for_user("ann", now) == [newer, older]
        assert store.for_user("an", now) == []

    def test_deleting_a_user_spares_the_kept_one_and_others(self, store: Store) -> None:
        one, now = self.make("ann")
        two, _ = self.make("ann")
        other, _ = self.make("bob")
        for record in (one, two, other):
            store.create(record, now)
        assert store.delete_user("ann", keep=one.key) == 1
        assert store.for_user("ann", now) == [one]
        assert store.delete_user("ann") == 1
        assert store.for_user("bob", now) == [other]

    def test_a_revoked_record_cannot_be_touched_or_changed(self, store: Store) -> None:
        record, now = self.make("ann", age=20_000)
        store.create(record, now)
        assert store.delete_user("ann") == 1
        assert store.read(record.key, now, _INTERVAL) is None
        assert store.update(dc.replace(record, version=2), now) == Written(saved=False)
        again = dc.replace(self.make("ann")[0], version=2)
        assert store.replace(record.key, again, now) == Written(saved=False)
        assert store.for_user("ann", now) == []

    def test_statistics_count_sessions_and_users(self, store: Store) -> None:
        _, now = self.make()
        for user_id in ("ann", "ann", "bob", None):
            store.create(self.make(user_id)[0], now)
        stats = store.stats(now)
        assert (stats.sessions, stats.users) == (4, 2), stats

    def test_pruning_removes_what_expired_and_nothing_else(self, store: Store) -> None:
        live, now = self.make("ann")
        store.create(live, now)
        gone = [self.make("ann")[0] for _ in range(3)]
        for record in gone:
            short = dc.replace(record, expires=now + 50)
            store.create(short, now)
        while store.prune(now + 50, 2):
            pass
        assert store.stats(now + 50).expired == 0
        assert store.for_user("ann", now + 50) == [live]
        assert store.read(live.key, now + 50, _INTERVAL) == live

    def test_of_many_updates_at_once_one_is_saved(self, store: Store) -> None:
        record, now = self.make()
        store.create(record, now)
        candidates = [
            dc.replace(record, version=2, data=f'{{"n":{n}}}') for n in range(8)
        ]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            moments = [now] * len(candidates)
            results = list(pool.map(store.update, candidates, moments))
        assert sum(result.saved for result in results) == 1
        winner = next(
            one for one, result in zip(candidates, results, strict=True) if result.saved
        )
        assert store.read(record.key, now, _INTERVAL) == winner

    def test_a_store_that_answers_is_said_to_answer(self, store: Store) -> None:
        store.ping()

    def test_a_closed_store_opens_again(self, store: Store) -> None:
        record, now = self.make()
        store.create(record, now)
        store.close()
        assert store.read(record.key, now, _INTERVAL) == record


def store_suite(make: cabc.Callable[[], Store]) -> type[StoreSuite]:
    """The tests that each store must pass, as a class for pytest.

    Assign it to a name that starts with ``Test``::

        TestMyStore = store_suite(MyStore)

    :param make: Makes an empty store; it is closed after each test. Where that takes
        other fixtures, subclass :class:`StoreSuite` instead.
    """
    import pytest

    class Suite(StoreSuite):
        @pytest.fixture
        def store(self) -> cabc.Iterator[Store]:
            store = make()
            yield store
            store.close()

    return Suite
