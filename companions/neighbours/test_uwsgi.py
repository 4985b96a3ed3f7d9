"""uWSGI: its processes and threads, forked before and after the app is made."""

from __future__ import annotations

import pytest
import requests
from servers import assert_serves
from servers import served

OPTIONS = (
    *("--http", "127.0.0.1:{port}", "--http-keepalive", "--post-buffering", "8192"),
    *("--wsgi", "served:app", "--need-app", "--master", "--die-on-term"),
    *("--processes", "2", "--listen", "100"),
)
KINDS = {"processes": [], "threads": ["--threads", "4"], "lazy apps": ["--lazy-apps"]}


@pytest.mark.parametrize("kind", KINDS)
def test_of_40_posts_at_once_nothing_is_lost(tmp_path, kind):
    with served(tmp_path, "uwsgi", *OPTIONS, *KINDS[kind]) as address:
        assert_serves(address)


def test_a_connection_outlives_refused_posts_whose_bodies_nobody_reads(tmp_path):
    with served(tmp_path, "uwsgi", *OPTIONS) as address:
        browser = requests.Session()
        browser.headers["Sec-Fetch-Site"] = "cross-site"
        for size in [0, 1, 1000, 100_000, 3_000_000] * 20:
            url, body = f"{address}/add/x", b"x" * size
            assert browser.post(url, data=body, timeout=300).status_code == 403
