"""Set the board up and serve it: `python -m noticeboard --help`."""

from __future__ import annotations

import argparse
import collections.abc as cabc
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from flask import Flask
from werkzeug.serving import make_server
from werkzeug.serving import WSGIRequestHandler

from flaskware_core import check_connections
from flaskware_core import ConfigError

from . import create_app
from .extensions import alembic
from .seed import PASSWORD
from .seed import seed
from .walkthrough import Walkthrough

HOST = "127.0.0.1"
WORKERS = 4


class _QuietHandler(WSGIRequestHandler):
    """Request handler that logs errors only: a check prints its own steps."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def main() -> int:
    arguments = _parse()
    # Process managers stop it with SIGTERM; clean up as after Ctrl+C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.ExitStack() as stack:
            return _run(arguments, stack)
    except ConfigError as error:
        print(f"error: {error.format_message()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s demo --")
    parser.add_argument("--port", type=int, default=None, help="default: 5000")
    parser.add_argument(
        "--check", action="store_true", help="go through the app over HTTP, and exit"
    )
    parser.add_argument("--reset", action="store_true", help="delete what is stored")
    parser.add_argument(
        "--production",
        action="store_true",
        help=f"PostgreSQL, Redis and gunicorn with {WORKERS} workers",
    )
    return parser.parse_args()


def _run(arguments: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    # A check must not disturb a demo that is being served, nor its data.
    port: int = arguments.port or (_free_port() if arguments.check else 5000)
    if not _is_free(port):
        print(
            f"error: port {port} is in use. Stop what listens there, or choose"
            f" another: nox -s demo -- --port {port + 1}",
            file=sys.stderr,
        )
        return 1
    folder: str | None = None
    if arguments.check:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="noticeboard-"))
    if arguments.production:
        os.environ.update(_production_environment(stack))
    app = create_app(instance_path=folder)
    if arguments.reset:
        shutil.rmtree(app.instance_path, ignore_errors=True)
        app = create_app(instance_path=folder)
    _set_up(app, production=arguments.production)
    url = f"http://{HOST}:{port}"
    if not arguments.check:
        print(f"  sign in      ada@example.org / {PASSWORD}")
        print(f"  look at      {url}   (stop with Ctrl+C)\n", flush=True)
        with _serving(app, port, production=arguments.production, verbose=True):
            while True:
                time.sleep(3600)
    with _serving(app, port, production=arguments.production):
        return 0 if Walkthrough(url).run() else 1


def _set_up(app: Flask, *, production: bool) -> None:
    print("Notice board, the Flaskware demo\n")
    check_connections(app)
    with app.app_context():
        applied = len(alembic.upgrade())
        written = seed()
    kind = "from the environment" if production else f"embedded, in {app.instance_path}"
    print(f"  data         {kind}")
    print(
        f"  migrations   {applied} applied" if applied else "  migrations   up to date"
    )
    print(f"  seeded       {written} notices" if written else "  seeded       before")


@contextlib.contextmanager
def _serving(
    app: Flask, port: int, *, production: bool, verbose: bool = False
) -> cabc.Generator[None]:
    if production:
        with _gunicorn(port, str(app.secret_key)):
            yield
        return
    handler = WSGIRequestHandler if verbose else _QuietHandler
    server = make_server(HOST, port, app, threaded=True, request_handler=handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def _gunicorn(port: int, secret_key: str) -> cabc.Generator[None]:
    # The workers read the same configuration, from the environment alone.
    environment = {**os.environ, "FLASK_SECRET_KEY": secret_key}
    command = [sys.executable, "-m", "gunicorn", "--workers", str(WORKERS)]
    # Threads, so that a slow client occupies a thread and not a worker.
    command += ["--threads", "4"]
    command += ["--bind", f"{HOST}:{port}", "--log-level", "warning"]
    process = subprocess.Popen([*command, "noticeboard:create_app()"], env=environment)
    try:
        deadline = time.monotonic() + 120
        while not _is_alive(port) and process.poll() is None:
            if time.monotonic() > deadline:
                raise SystemExit("error: gunicorn serves nothing after two minutes")
            time.sleep(0.05)
        if process.poll() is not None:
            raise SystemExit(f"error: gunicorn exited with {process.returncode}")
        yield
    finally:
        process.terminate()
        process.wait()


def _production_environment(stack: contextlib.ExitStack) -> dict[str, str]:
    """Return settings with new PostgreSQL and Redis databases, dropped at exit."""
    from flaskware_core.testing import Services
    from flaskware_core.testing import ServiceUnavailable
    from flaskware_core.testing import temporary_database
    from flaskware_core.testing import temporary_redis

    services = stack.enter_context(Services())
    try:
        postgresql, redis = services.get("postgresql"), services.get("redis")
    except ServiceUnavailable as error:
        raise SystemExit(f"error: {error}") from None
    print(f"  services     {postgresql}, {redis}")
    board = stack.enter_context(temporary_database(postgresql))
    audit = stack.enter_context(temporary_database(postgresql))
    return {
        "FLASK_SQLALCHEMY_DATABASE_URI": board,
        "FLASK_SQLALCHEMY_BINDS__audit": audit,
        "FLASK_SESSION_STORE": stack.enter_context(temporary_redis(redis)),
    }


def _is_alive(port: int) -> bool:
    # The port is bound before the workers have imported the app.
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/livez", timeout=120):
            return True
    except OSError:
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
