"""A page of documentation of an app's forms, by Swagger UI."""

from __future__ import annotations

import importlib.util
import typing as t
from pathlib import Path

import flask
from flask.sansio.blueprints import BlueprintSetupState

from flaskware_core import is_async
from flaskware_forms._exchanges.current import current_exchange

from .openapi import document

_TEMPLATE = "flaskware_forms/openapi.html"


def openapi_blueprint(
    *, title: str | None = None, version: str = "0", name: str = "openapi"
) -> flask.Blueprint:
    """Return a blueprint with a page that documents the typed forms of an app.

    The page is Swagger UI, from this app and not from elsewhere, so that it runs under
    the default policy of flaskware-secure. It sends forms as a page of the app does.
    The document is at ``openapi.json`` beside it. Needs ``flaskware-forms[openapi]``.

    Register it with a ``url_prefix``, on an app of Flask or of Quart. It is a blueprint
    like any other: guard it with ``before_request`` if not everybody may read it.

    :param title: The title; the name of the app by default.
    :param version: The version of the app.
    :param name: The name of the blueprint, which starts its endpoints.
    :raises ImportError: if Swagger UI is not installed.
    """
    folder = _swagger_ui()
    blueprint = flask.Blueprint(name, __name__)

    def context(app: t.Any) -> dict[str, t.Any]:
        url = app.url_for(".openapi_json")
        return {"title": title or app.name, "document": url}

    def page() -> str:
        exchange = current_exchange()
        return exchange.render(_TEMPLATE, context(exchange.app))

    async def async_page() -> str:
        exchange = current_exchange()
        return await exchange.async_render(_TEMPLATE, context(exchange.app))

    def openapi_json() -> flask.Response:
        app: t.Any = current_exchange().app
        found = document(app, title=title or app.name, version=version)
        return t.cast("flask.Response", app.json.response(found))

    def static(filename: str) -> flask.Response:
        return flask.send_from_directory(folder, filename)

    async def async_static(filename: str) -> t.Any:
        import quart

        return await quart.send_from_directory(folder, filename)

    def add_views(state: BlueprintSetupState) -> None:
        waits = is_async(state.app)
        state.add_url_rule("/", "page", async_page if waits else page)
        state.add_url_rule("/openapi.json", "openapi_json", openapi_json)
        view = async_static if waits else static
        state.add_url_rule("/swagger-ui/<path:filename>", "static", view)

    blueprint.record(add_views)
    return blueprint


def _swagger_ui() -> Path:
    # Only its files: its own page has a script inside, which a strict policy blocks.
    found = importlib.util.find_spec("flask_swagger_ui")
    if found is None or found.origin is None:
        raise ImportError(
            "openapi_blueprint() serves Swagger UI, which is not installed."
            " Run `pip install 'flaskware-forms[openapi]'`."
        )
    return Path(found.origin).parent / "dist"
