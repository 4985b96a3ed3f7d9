from __future__ import annotations

import pytest

from flaskware_core import closest


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("STOER", "store"),
        ("store", "store"),
        ("idle", "idle_timeout"),
        ("'selff'", "'self'"),
        ("xqz", None),
        ("", None),
    ],
)
def test_a_misspelled_name_is_answered_with_the_closest(name, expected):
    known = ["store", "idle_timeout", "'self'"]
    assert closest(name, known) == expected


def test_the_answer_is_spelled_as_in_the_known_names():
    assert closest("pool size", ["PoolSize", "Echo"]) == "PoolSize"


def test_nothing_is_close_to_an_empty_list():
    assert closest("store", []) is None
