"""Hypercorn: the app as WSGI, in its threads."""

from __future__ import annotations

from servers import assert_serves
from servers import served

OPTIONS = ("--bind", "127.0.0.1:{port}", "--workers", "2", "wsgi:served:app")


def test_of_40_posts_at_once_nothing_is_lost(tmp_path):
    with served(tmp_path, "hypercorn", *OPTIONS) as address:
        assert_serves(address)
