"""A page of documentation of an app's forms, by Swagger UI."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import flask

from .openapi import document

_FOLDER = "flaskware_forms"


def openapi_blueprint(
    *, title: str | None = None, version: str = "0", name: str = "openapi"
) -> flask.Blueprint:
    """Return a blueprint with a page that documents the typed forms of an app.

    The page is Swagger UI, from this app and not from elsewhere, so that it runs under
    the default policy of flaskware-secure. It sends forms as a page of the app does.
    The document is at ``openapi.json`` beside it. Needs ``flaskware-forms[openapi]``.

    Register it with a ``url_prefix``. It is a blueprint like any other: guard it with
    ``before_request`` if not everybody may read it.

    :param title: The title; the name of the app by default.
    :param version: The version of the app.
    :param name: The name of the blueprint, which starts its endpoints.
    :raises ImportError: if Swagger UI is not installed.
    """
    blueprint = flask.Blueprint(
        name, __name__, static_folder=_swagger_ui(), static_url_path="/swagger-ui"
    )

    @blueprint.get("/")
    def page() -> str:
        return flask.render_template(
            f"{_FOLDER}/openapi.html",
            title=title or flask.current_app.name,
            document=flask.url_for(".openapi_json"),
        )

    @blueprint.get("/openapi.json")
    def openapi_json() -> flask.Response:
        app = flask.current_app
        found = document(app, title=title or app.name, version=version)
        return flask.jsonify(found)

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
