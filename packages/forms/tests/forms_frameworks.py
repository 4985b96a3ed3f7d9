"""What tests do in an app of either framework."""

from __future__ import annotations

import typing as t

import flask
import flask.views
import quart
import quart.views

from flaskware_core import current_app_object
from flaskware_core import is_async


def rendered(source: str, **context: t.Any) -> str:
    """Render a template in a plain view, or in a context that a test entered."""
    app: t.Any = current_app_object()
    if not is_async(app):
        return flask.render_template_string(source, **context)
    made = app.run_blocking(quart.render_template_string(source, **context))
    return t.cast("str", made)


def blueprint_for(app: t.Any, name: str) -> t.Any:
    """Make a blueprint of the framework of an app."""
    return (quart if is_async(app) else flask).Blueprint(name, __name__)


def method_view_for(app: t.Any) -> t.Any:
    """Return the base of classes of views of the framework of an app."""
    return (quart if is_async(app) else flask).views.MethodView
