"""Gunicorn: its kinds of workers, with and without preload."""

from __future__ import annotations

import pytest
from servers import assert_serves
from servers import served

KINDS = {
    "sync": ["--workers", "4"],
    "gthread, preload": ["--workers", "2", "--threads", "8", "--preload"],
    "gevent": ["--workers", "2", "--worker-class", "gevent"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_of_40_posts_at_once_nothing_is_lost(tmp_path, kind):
    options = ("--timeout", "300", "--bind", "127.0.0.1:{port}", *KINDS[kind])
    with served(tmp_path, "gunicorn", *options, "served:app") as address:
        assert_serves(address)
