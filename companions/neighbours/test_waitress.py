"""Waitress: one process with threads."""

from __future__ import annotations

from servers import assert_serves
from servers import served

OPTIONS = ("--listen", "127.0.0.1:{port}", "--threads", "8", "served:app")


def test_of_40_posts_at_once_nothing_is_lost(tmp_path):
    with served(tmp_path, "waitress-serve", *OPTIONS) as address:
        assert_serves(address)
