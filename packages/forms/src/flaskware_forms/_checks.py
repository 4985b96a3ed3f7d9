"""Checks of ``flask doctor`` for the forms of an app."""

from __future__ import annotations

import collections.abc as cabc
import os
import typing as t
from pathlib import Path

from flask.sansio.app import App
from flask.sansio.scaffold import Scaffold

from flaskware_core import Finding
from flaskware_core import Level

from ._csrf.layered import form_of
from ._csrf.layered import LayeredCSRF
from ._exchanges.exchange import UNSAFE
from ._forms.compiled import CompiledForm
from ._settings import FormsSettings
from ._uploads.upload import readable_size


def check_forms(
    app: App, settings: FormsSettings, csrf: LayeredCSRF
) -> cabc.Iterator[Finding]:
    """Yield the problems with the forms of an app."""
    yield from _csrf(app, csrf)
    yield from _folder(app)
    views = {
        endpoint: spec
        for endpoint, view in app.view_functions.items()
        if (spec := form_of(view)) is not None
    }
    yield from _exempted(app, csrf, views)
    yield from _unsent(app, views)
    yield from _bodies(app, settings, set(views.values()))


def _folder(app: App) -> cabc.Iterator[Finding]:
    places = t.cast("list[Scaffold]", [app, *app.blueprints.values()])
    served = [Path(p.static_folder).resolve() for p in places if p.static_folder]
    for key in ("UPLOAD_FOLDER", "UPLOADS_FOLDER", "UPLOADS_DEFAULT_DEST"):
        folder = t.cast("str | os.PathLike[str] | None", app.config.get(key))
        if not folder:
            continue
        path = Path(app.root_path, os.fspath(folder)).resolve()
        inside = next((s for s in served if path == s or s in path.parents), None)
        if inside is not None:
            yield Finding(
                f"forms.upload-folder.{key.lower()}",
                Level.ERROR,
                f"{key} is inside the static folder {inside}, so every upload is"
                " served unchanged from the app's own origin.",
                f"Set {key} to a folder that is not served, such as one in"
                " app.instance_path, and serve files from a view.",
            )


def _exempted(
    app: App, csrf: LayeredCSRF, views: dict[str, CompiledForm[t.Any]]
) -> cabc.Iterator[Finding]:
    for endpoint, spec in sorted(views.items()):
        if csrf.is_exempted(app, endpoint):
            yield Finding(
                f"forms.csrf-exempt.{endpoint}",
                Level.WARNING,
                f"The view {endpoint!r} handles the form {spec.name!r} and is exempt"
                " from CSRF protection, so any site can send it for a visitor.",
                "Remove forms.exempt. Requests with an Authorization header, and JSON"
                " requests without cookies, need no token anyway.",
            )


def _unsent(app: App, views: dict[str, CompiledForm[t.Any]]) -> cabc.Iterator[Finding]:
    for endpoint, spec in sorted(views.items()):
        rules = list(app.url_map.iter_rules(endpoint))
        methods = {method for rule in rules for method in rule.methods or ()}
        if spec.method == "post" and rules and not methods & UNSAFE:
            yield Finding(
                f"forms.no-post.{endpoint}",
                Level.WARNING,
                f"The view {endpoint!r} handles the form {spec.name!r} and accepts"
                f" {', '.join(sorted(methods))} only, so sending the form gets"
                " 405.",
                'Write methods=["GET", "POST"] in the route, or leave methods out.',
            )


def _csrf(app: App, csrf: LayeredCSRF) -> cabc.Iterator[Finding]:
    if not app.config["WTF_CSRF_ENABLED"]:
        yield Finding(
            "forms.csrf-off",
            Level.ERROR,
            "WTF_CSRF_ENABLED is off, so any site can send forms for a visitor.",
            "Remove WTF_CSRF_ENABLED, or set it to False only in tests.",
        )
    elif not app.config["WTF_CSRF_CHECK_DEFAULT"]:
        yield Finding(
            "forms.csrf-not-by-default",
            Level.WARNING,
            "WTF_CSRF_CHECK_DEFAULT is off, so views with neither a typed form nor a"
            " FlaskForm accept requests from other sites.",
            "Remove it, and exempt single views with forms.exempt(view).",
        )
    if app.extensions.get("csrf") is not csrf:
        yield Finding(
            "forms.csrf-twice",
            Level.WARNING,
            "CSRFProtect was initialised after Forms, so every request is checked twice"
            " and an expired form gets a bare error page.",
            "Remove CSRFProtect(app): Forms(app) protects the same views.",
        )


def _bodies(
    app: App, settings: FormsSettings, specs: set[CompiledForm[t.Any]]
) -> cabc.Iterator[Finding]:
    limit = t.cast("int | None", app.config["MAX_CONTENT_LENGTH"])
    for spec in sorted(specs, key=lambda spec: spec.name):
        if not spec.upload_sizes:
            continue
        needed = spec.max_body_size(settings)
        if limit is None:
            yield Finding(
                f"forms.upload-unlimited.{spec.name}",
                Level.WARNING,
                f"The form {spec.name!r} takes files and MAX_CONTENT_LENGTH is not"
                f" set. The form reads up to {readable_size(needed)}, but views without"
                " a typed form read a body of any size.",
                f"MAX_CONTENT_LENGTH = {needed}",
            )
        elif limit < needed:
            yield Finding(
                f"forms.upload-cut-off.{spec.name}",
                Level.INFO,
                f"The form {spec.name!r} accepts files that need a body of"
                f" {readable_size(needed)}, but MAX_CONTENT_LENGTH allows"
                f" {readable_size(limit)}.",
                f"MAX_CONTENT_LENGTH = {needed}, or smaller limits in the form.",
            )
