"""Typed forms: one declaration for HTML, JSON and partial pages."""

from __future__ import annotations

import typing as t

from flaskware_core import lazy_names

from ._errors.error import FormError as FormError
from ._errors.problem import BadBody as BadBody
from ._errors.problem import BodyTooLarge as BodyTooLarge
from ._errors.problem import CrossSiteRefused as CrossSiteRefused
from ._errors.problem import UnsupportedBody as UnsupportedBody
from ._extension import Forms as Forms
from ._forms.bound import Bound as Bound
from ._forms.bound import BoundField as BoundField
from ._forms.checks import CheckContext as CheckContext
from ._forms.compiled import Button as Button
from ._forms.spec import FormSpec as FormSpec
from ._forms.spec import to_wtforms as to_wtforms
from ._interop.wtforms import from_wtforms as from_wtforms
from ._schema.facets import Ui as Ui
from ._settings import FormsSettings as FormsSettings
from ._uploads.file import File as File
from ._uploads.upload import Image as Image
from ._uploads.upload import Upload as Upload

if t.TYPE_CHECKING:
    from ._forms.steps import BoundSteps as BoundSteps
    from ._forms.steps import Steps as Steps
    from ._interop.openapi_page import openapi_blueprint as openapi_blueprint
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "_forms.steps": ["BoundSteps", "Steps"],
            "_interop.openapi_page": ["openapi_blueprint"],
        },
    )

__all__ = [
    "BadBody", "BodyTooLarge", "Bound", "BoundField", "BoundSteps", "Button",
    "CheckContext", "CrossSiteRefused", "File", "FormError", "Forms", "FormsSettings",
    "FormSpec", "Image", "Steps", "Ui", "Upload", "UnsupportedBody", "from_wtforms",
    "openapi_blueprint", "to_wtforms",
]  # fmt: skip
