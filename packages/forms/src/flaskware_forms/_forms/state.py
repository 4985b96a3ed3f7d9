"""What the forms of one app share."""

from __future__ import annotations

import dataclasses as dc
import typing as t

import flask

from flaskware_core import NotInitialised
from flaskware_forms._csrf.layered import LayeredCSRF
from flaskware_forms._settings import FormsSettings

from .markup_cache import Looks


@dc.dataclass(frozen=True)
class FormsState:
    """What the forms of one app share."""

    settings: FormsSettings
    csrf: LayeredCSRF
    looks: Looks


def current_state() -> FormsState:
    """What the current app's forms share.

    :raises NotInitialised: if the app has no :class:`Forms`.
    """
    forms = flask.current_app.extensions.get("forms")
    if forms is None:
        raise NotInitialised(
            f"The app {flask.current_app.name!r} has no Forms, which guards and bounds"
            " its typed forms. Call `Forms(app)` in the app factory."
        )
    return t.cast("FormsState", forms.state)
