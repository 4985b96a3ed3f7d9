from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import secrets
import sys
import typing as t

import flask
import flask.testing
import pytest

from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_session import MemoryStore
from flaskware_session import Record
from flaskware_session import session_unreadable
from flaskware_session import Sessions
from flaskware_session import Store
from flaskware_session._stores.sealed import Cipher
from flaskware_session._stores.sealed import SealedStore
from flaskware_session.testing import CountingStore
from flaskware_session.testing import StoreSuite

Build = cabc.Callable[..., flask.Flask]
NEW, NEWEST = "new" * 6, "newest" * 6
ONE, TWO = secrets.token_urlsafe(32), secrets.token_urlsafe(32)


def records(store: MemoryStore) -> list[Record]:
    return list(store._records.values())


def visit(
    build: Build, store: Store, path: str, cookie: str | None = None, **settings: t.Any
) -> tuple[t.Any, str | None]:
    """One request by an app of its own, as after a deployment."""
    client = build(Sessions(store=store, **settings)).test_client()
    if cookie is not None:
        client.set_cookie("session", cookie)
    response = client.get(path)
    found = client.get_cookie("session")
    return response.json or response.text, None if found is None else found.value


class TestSealedStore(StoreSuite):
    @pytest.fixture
    def store(self) -> SealedStore:
        return SealedStore(MemoryStore(), Cipher([b"k" * 32], accept_plain=False))


def test_content_is_encrypted_and_read_again(build: Build) -> None:
    store = MemoryStore()
    _, cookie = visit(build, store, "/set/name/alice", encryption_keys=[ONE])
    [record] = records(store)
    assert "alice" not in record.data
    assert record.data.startswith("aes-gcm:")
    found, _ = visit(build, store, "/read", cookie, encryption_keys=[ONE])
    assert found["data"] == {"name": "alice"}


def test_keys_are_rotated_and_a_write_uses_the_first(build: Build) -> None:
    store = MemoryStore()
    _, cookie = visit(build, store, "/set/a/1", encryption_keys=[ONE])
    before = records(store)[0].data
    found, _ = visit(build, store, "/read", cookie, encryption_keys=[TWO, ONE])
    assert found["data"] == {"a": "1"}
    visit(build, store, "/set/b/2", cookie, encryption_keys=[TWO, ONE])
    assert records(store)[0].data.split(":")[1] != before.split(":")[1]
    found, _ = visit(build, store, "/read", cookie, encryption_keys=[TWO])
    assert found["data"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize("damage", ["other key", "moved", "cut", "nonsense", "plain"])
def test_what_cannot_be_decrypted_is_no_session_and_an_event(
    build: Build, damage: str
) -> None:
    store, handles = MemoryStore(), []
    _, cookie = visit(build, store, "/set/a/1", encryption_keys=[ONE])
    [record] = records(store)
    if damage == "moved":
        visit(build, store, "/set/a/2", encryption_keys=[ONE])
        [other] = [one for one in records(store) if one.key != record.key]
        record = dc.replace(record, data=other.data)
    else:
        data = {
            "other key": record.data,
            "cut": record.data[:40],
            "nonsense": "aes-gcm:" + record.data.split(":")[1] + ":~~~",
            "plain": '{"a":"1"}',
        }[damage]
        record = dc.replace(record, data=data)
    store._records[record.key] = record
    key = TWO if damage == "other key" else ONE

    def note(sender: object, handle: str, **details: object) -> None:
        handles.append(handle)

    with session_unreadable.connected_to(note):
        found, _ = visit(build, store, "/read", cookie, encryption_keys=[key])
    assert found == {"data": {}, "user": None, "new": True}
    assert len(handles) == 1


def test_what_was_stored_before_there_were_keys_is_read_if_that_is_wanted(
    build: Build,
) -> None:
    store = MemoryStore()
    _, cookie = visit(build, store, "/set/a/1")
    settings = {"encryption_keys": [ONE], "encryption_accept_plain": True}
    found, _ = visit(build, store, "/read", cookie, **settings)
    assert found["data"] == {"a": "1"}
    visit(build, store, "/set/a/2", cookie, **settings)
    assert records(store)[0].data.startswith("aes-gcm:")


@pytest.mark.parametrize("key", ["short", "x" * 60, "ä" * 43])
def test_a_key_of_another_form_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError, match="32 bytes in URL-safe base64") as caught:
        make_app(Sessions(store="memory://", encryption_keys=[key]))
    assert key not in str(caught.value)


def test_without_the_library_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == "cryptography":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ConfigError, match=r"flaskware-session\[encryption\]"):
        make_app(Sessions(store="memory://", encryption_keys=[ONE]))


def test_a_pepper_that_can_be_guessed_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match="16 characters or more") as caught:
        make_app(Sessions(store="memory://"), SESSION_PEPPERS=["hunter2"])
    assert "hunter2" not in str(caught.value)
    assert "token_hex" in str(caught.value)
    make_app(Sessions(store="memory://"), SESSION_PEPPERS=[NEW, "hunter2"])


def test_a_session_is_found_under_an_earlier_pepper_once(build: Build) -> None:
    store = MemoryStore()
    _, cookie = visit(build, store, "/login/ann")
    for peppers in ([NEW, ""], [NEWEST, NEW], [NEWEST]):
        before = records(store)[0].key
        counting = CountingStore(store)
        found, same = visit(build, counting, "/read", cookie, peppers=peppers)
        assert (found["user"], same) == ("ann", cookie)
        assert (records(store)[0].key == before) is (len(peppers) == 1)
        if len(peppers) == 1:
            assert counting.trips == ["read"]
    assert len(records(store)) == 1
    found, _ = visit(build, store, "/read", cookie, peppers=["wrong" * 4])
    assert found["user"] is None


def test_a_session_survives_a_new_pepper_with_its_encryption(build: Build) -> None:
    store = MemoryStore()
    _, cookie = visit(build, store, "/set/a/1", encryption_keys=[ONE])
    settings = {"encryption_keys": [ONE], "peppers": [NEW, ""]}
    found, _ = visit(build, store, "/read", cookie, **settings)
    assert found["data"] == {"a": "1"}
    found, _ = visit(build, store, "/read", cookie, **settings)
    assert found["data"] == {"a": "1"}


def test_no_secret_is_in_the_representation_of_the_settings() -> None:
    sessions = Sessions(
        store="memory://", encryption_keys=[ONE], peppers=["s3cr3t" * 6]
    )
    text = repr(sessions.settings_of(make_app(sessions)))
    assert ONE not in text
    assert "s3cr3t" not in text
