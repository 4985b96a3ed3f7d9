"""Typed forms: one declaration for HTML, JSON and partial pages."""

from __future__ import annotations

import typing as t

from flaskware_core import lazy_names

from ._bound import Bound as Bound
from ._bound_field import BoundField as BoundField
from ._errors import FormError as FormError
from ._extension import Forms as Forms
from ._file import File as File
from ._problem import BadBody as BadBody
from ._problem import BodyTooLarge as BodyTooLarge
from ._problem import CrossSiteRefused as CrossSiteRefused
from ._problem import UnsupportedBody as UnsupportedBody
from ._settings import FormsSettings as FormsSettings
from ._spec import FormSpec as FormSpec
from ._ui import Ui as Ui
from ._upload import Image as Image
from ._upload import Upload as Upload
from ._wtforms import from_wtforms as from_wtforms
from ._wtforms import to_wtforms as to_wtforms

if t.TYPE_CHECKING:
    from ._steps import BoundSteps as BoundSteps
    from ._steps import Steps as Steps
else:
    __getattr__, __dir__ = lazy_names(__name__, {"_steps": ["BoundSteps", "Steps"]})

__all__ = [
    "BadBody",
    "BodyTooLarge",
    "Bound",
    "BoundField",
    "BoundSteps",
    "CrossSiteRefused",
    "File",
    "FormError",
    "Forms",
    "FormsSettings",
    "FormSpec",
    "Image",
    "Steps",
    "Ui",
    "Upload",
    "UnsupportedBody",
    "from_wtforms",
    "to_wtforms",
]
