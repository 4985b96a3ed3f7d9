"""Send requests without a cookie to a page that shows a form.

python tests/gates/flood.py redis --requests 100000

Such a page puts a CSRF token into the session, and a crawler never comes back. A bit
over an hour later, when ``SESSION_UNSEEN_TIMEOUT`` has passed, nothing of it may be
left in the store. While it lasts, visitors sign in, and others send forms and so come
back, who must still have their sessions afterwards; with Redis and memcached, in a
server with 4 and 2 MB of memory, which 13,000 requests fill
(``SESSION_VISITOR_SHARE``). The exit code is 1 if one of them cannot, if more is left
than their sessions, or if a user who was signed in before is not any more.
"""

from __future__ import annotations

import argparse
import collections
import json
import logging
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import flask
from places import CANNOT_RUN
from places import free_port
from places import KINDS
from places import memcached_server
from places import Missing
from places import opened
from places import Place
from raw import raw_of
from raw import RawMemcached
from raw import RawRedis
from shop import make_shop

from flaskware_session.testing import FakeClock

LATER_MINUTES = 61
USERS = 20
_EVERY = 200


def run(place: Place, requests: int, folder: Path) -> dict[str, t.Any]:
    clock = FakeClock()
    app, sessions = make_shop(place.url, clock, folder, idle_timeout=86400 * 7)
    raw = raw_of(place)
    if isinstance(raw, RawRedis):
        raw.client.config_set("maxmemory", "4mb")
        raw.client.config_set("maxmemory-policy", "noeviction")
    users = [app.test_client() for _ in range(USERS)]
    for number, user in enumerate(users):
        assert user.get(f"/in/user{number}").status_code == 200
    statuses = collections.Counter[int]()
    visitors: list[_Visitor] = []
    signed_in = 0
    for number in range(requests):
        answer = app.test_client().get("/form")
        statuses[answer.status_code] += 1
        if number % _EVERY == _EVERY - 1:
            visitors.append(_Visitor(app))
            signed_in += app.test_client().get(f"/in/v{number}").status_code == 200
    wanted = requests // _EVERY
    stayed = sum(
        user.get("/me").json["user"] == f"user{number}"
        for number, user in enumerate(users)
    )
    with app.app_context():
        before = sessions.stats().sessions
        clock.advance(minutes=LATER_MINUTES)
        while sessions.prune():
            pass
        left = sessions.stats().sessions
    has_own_clock = isinstance(raw, RawRedis | RawMemcached)
    if isinstance(raw, RawRedis | RawMemcached):
        left = raw.outliving(LATER_MINUTES * 60)
    came_back = sum(visitor.is_served for visitor in visitors)
    kept = sum(visitor.is_served and visitor.sends() for visitor in visitors)
    return {
        "store": place.kind,
        "requests": requests,
        "statuses": statuses,
        "stored": before,
        # Besides those who signed in, with a list and a mark for each user, and those
        # who came back; where there is no room, cookies carry these.
        "left": left - (3 if has_own_clock else 1) * (USERS + signed_in) - came_back,
        "forms refused": wanted - came_back,
        "visitors lost": came_back - kept,
        "sign-ins refused": wanted - signed_in,
        "signed out": USERS - stayed,
    }


class _Visitor:
    """Somebody who asks for the form and sends it."""

    def __init__(self, app: flask.Flask) -> None:
        self._client = app.test_client()
        self._token = self._client.get("/form").text
        self.is_served = self.sends()

    def sends(self) -> bool:
        """Send the form; say whether it was taken."""
        form = {"csrf_token": self._token}
        return self._client.post("/form", data=form).status_code == 200


def is_good(found: dict[str, t.Any]) -> bool:
    bad = ("forms refused", "visitors lost", "sign-ins refused", "signed out")
    is_whole = not any(found[name] for name in bad)
    return is_whole and found["left"] <= 0 and set(found["statuses"]) == {200}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", choices=[kind for kind in KINDS if kind != "cluster"])
    parser.add_argument("--requests", type=int, default=2_000)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    started = time.monotonic()
    try:
        with opened(options.store) as place, tempfile.TemporaryDirectory() as folder:
            if options.store == "memcached":
                port = free_port()
                small = memcached_server(port, megabytes=2)
                small.start()
                place.url = f"memcached://127.0.0.1:{port}"
                try:
                    found = run(place, options.requests, Path(folder))
                finally:
                    small.kill()
            else:
                found = run(place, options.requests, Path(folder))
    except Missing as error:
        print(error)
        sys.exit(CANNOT_RUN)
    print(json.dumps(found | {"seconds": round(time.monotonic() - started, 1)}))
    sys.exit(0 if is_good(found) else 1)


if __name__ == "__main__":
    main()
