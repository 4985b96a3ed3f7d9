"""Apps for tests: made, served and isolated."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import threading
import typing as t
from pathlib import Path

import flask
from flask.sansio.app import App
from werkzeug.serving import make_server

from flaskware_core._extension import Extension
from flaskware_core._installed import installed_on
from flaskware_core._web.current import active_context
from flaskware_core._web.current import current_app_object
from flaskware_core._web.current import framework_of
from flaskware_core._web.hooks import is_async

Framework: t.TypeAlias = t.Literal["flask", "quart"]

FRAMEWORK: list[Framework] = ["flask"]
"""The framework of the apps that the tests make: the option ``--framework``."""


def make_app(
    *extensions: Extension[t.Any, t.Any],
    instance_path: Path | str | None = None,
    framework: Framework | None = None,
    **config: t.Any,
) -> flask.Flask:
    """Make an app for a test, with a strong key and the given extensions.

    :param instance_path: The instance folder; pass ``tmp_path`` if the app writes
        files.
    :param framework: An app of Quart has blocking contexts and a blocking client, so
        that a test need not know the framework: views that are plain functions run in
        threads. The default is that of the option ``--framework`` of pytest, else
        Flask.
    :param config: Config keys, as in ``app.config``.
    """
    app = _class_of(framework or FRAMEWORK[0])(
        "flaskware_test", instance_path=str(instance_path) if instance_path else None
    )
    app.config.update(TESTING=True, SECRET_KEY="k3y-0f-a-test:0123456789abcdef-XYZ")
    app.config.update(config)
    for extension in extensions:
        extension.init_app(app)
    return app


def _class_of(framework: Framework) -> type[flask.Flask]:
    if framework == "flask":
        return flask.Flask
    from .quart_apps import BlockingQuart

    return t.cast("type[flask.Flask]", BlockingQuart)


@contextlib.asynccontextmanager
async def async_app_context(app: App) -> cabc.AsyncGenerator[None]:
    """Enter the app context of an app of either framework, in a coroutine."""
    context = t.cast("t.Any", app).app_context()
    if hasattr(context, "__aenter__"):
        async with context:
            yield
    else:
        with context:
            yield


def rendered(source: str, **context: t.Any) -> str:
    """Render a template in a plain view of an app of either framework.

    It may also be called in a context that a test entered.
    """
    app: t.Any = current_app_object()
    if not is_async(app):
        return flask.render_template_string(source, **context)
    from quart import render_template_string

    made = app.run_blocking(render_template_string(source, **context))
    return t.cast("str", made)


def blueprint_for(app: App, name: str, **options: t.Any) -> t.Any:
    """Make a blueprint of the framework of an app.

    :param options: Passed to the class of the blueprint.
    """
    return framework_of(app).Blueprint(name, "flaskware_test", **options)


@contextlib.contextmanager
def serving(
    app: flask.Flask,
    *,
    host: str = "127.0.0.1",
    certificate: tuple[str, str] | None = None,
) -> cabc.Generator[str]:
    """Serve an app on a free port while the block runs, for a browser or a process.

    :param certificate: The files of a certificate and its key, to serve over https.
    :returns: The address, such as ``"http://127.0.0.1:54321"``.
    """
    server = make_server(host, 0, app, threaded=True, ssl_context=certificate)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        scheme = "http" if certificate is None else "https"
        yield f"{scheme}://{host}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def isolation(app: App) -> cabc.Generator[App]:
    """Undo the block's changes to an app's databases and stores.

    Each extension of the app does so in its own way; see its page on testing.

    :raises RuntimeError: if the block pushed an app context and did not pop it.
    """
    with contextlib.ExitStack() as stack:
        for installed in installed_on(app).values():
            stack.enter_context(installed.isolate(app))
        before = active_context() is not None
        yield app
        if active_context() is not None and not before:
            raise RuntimeError(
                "The test pushed an app context and did not pop it, so every later"
                " test would see it. Write `with app.app_context():` instead of"
                " `.push()`."
            )
