"""What tests do in an app of either framework."""

from __future__ import annotations

import typing as t

import flask.views
import quart.views

from flaskware_core import is_async


def method_view_for(app: t.Any) -> t.Any:
    """Return the base of classes of views of the framework of an app."""
    return (quart.views if is_async(app) else flask.views).MethodView
