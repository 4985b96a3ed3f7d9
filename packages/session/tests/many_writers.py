"""A process whose threads all write to one session at the same moment.

python many_writers.py URL COOKIE NUMBER THREADS: prints the counts of statuses as JSON.
It begins when its input ends.
"""

from __future__ import annotations

import collections
import json
import sys
import tempfile
import threading

import flask

from flaskware_session import Sessions


def main(url: str, cookie: str, number: int, threads: int) -> None:
    app = flask.Flask("writers", instance_path=tempfile.gettempdir())
    Sessions(app, store=url, cookie_policy="plain", store_timeout=10, budget=60)
    statuses: collections.Counter[int] = collections.Counter()

    @app.get("/set/<key>")
    def set_key(key: str) -> str:
        flask.session[key] = 1
        return "ok"

    def write(thread: int) -> None:
        client = app.test_client()
        client.set_cookie("session", cookie)
        start.wait()
        statuses[client.get(f"/set/k{number}-{thread}").status_code] += 1

    start = threading.Barrier(threads)
    sys.stdin.read()
    workers = [threading.Thread(target=write, args=(one,)) for one in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(json.dumps(statuses))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
