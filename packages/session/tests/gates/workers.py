"""A pre-forking server for the gates: what dies is forked again.

python workers.py FOLDER STORE PORT WORKERS [--preload]
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import typing as t
from pathlib import Path

from shop import make_shop
from shop import SharedClock
from werkzeug.serving import make_server
from werkzeug.serving import WSGIRequestHandler


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: object) -> None:
        pass


def serve(listening: socket.socket, app: t.Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    server = make_server(
        *("127.0.0.1", 0, app),
        threaded=True,
        request_handler=_Handler,
        fd=listening.fileno(),
    )
    server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("store")
    parser.add_argument("port", type=int)
    parser.add_argument("workers", type=int)
    parser.add_argument("--preload", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    # An outage that the gate makes is no news; an exception in a view is.
    logging.getLogger("flaskware.session").setLevel(logging.CRITICAL)
    listening = socket.create_server(("127.0.0.1", options.port), backlog=1024)
    app: t.Any = None

    def make() -> t.Any:
        clock = SharedClock(options.folder / "clock")
        made, _ = make_shop(options.store, clock, options.folder)
        return made

    if options.preload:
        app = make()
        app.test_client().get("/all")
    children: set[int] = set()

    def stop(*_: object) -> None:
        for child in children:
            os.kill(child, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    while True:
        while len(children) < options.workers:
            child = os.fork()
            if child == 0:
                try:
                    serve(listening, app or make())
                finally:
                    os._exit(1)
            children.add(child)
        children.discard(os.wait()[0])


if __name__ == "__main__":
    main()
