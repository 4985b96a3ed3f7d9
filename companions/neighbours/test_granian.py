"""Granian: its WSGI workers."""

from __future__ import annotations

from servers import assert_serves
from servers import served

OPTIONS = (
    *("--interface", "wsgi", "--port", "{port}", "--workers", "2", "--no-ws"),
    "served:app",
)


def test_of_40_posts_at_once_nothing_is_lost(tmp_path):
    with served(tmp_path, "granian", *OPTIONS) as address:
        assert_serves(address)
