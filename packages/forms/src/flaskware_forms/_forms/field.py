"""One field of a form of a request."""

from __future__ import annotations

import typing as t

from markupsafe import Markup

from flaskware_forms._errors.error import FormError
from flaskware_forms._markup.controls import Builder

if t.TYPE_CHECKING:
    from .bound import Bound


class BoundField:
    """One field of a form of a request."""

    __slots__ = ("_form", "_markup")

    def __init__(self, form: Bound[t.Any], markup: Builder) -> None:
        self._form = form
        self._markup = markup

    @property
    def name(self) -> str:
        """The name that its control has."""
        return self._markup.names.name

    @property
    def id(self) -> str:
        """The id that its control has."""
        return self._markup.names.id

    @property
    def value(self) -> t.Any:
        """What its control shows: text as it was typed, or the initial value."""
        return self._form._values.get(self.name)

    @property
    def errors(self) -> tuple[FormError, ...]:
        """What is wrong with it, or with what is inside of it."""
        name = self.name
        return tuple(e for e in self._form.errors if e.path[:1] == (name,))

    def row(self) -> Markup:
        """Label, hint, control and errors."""
        return _safe(self._markup.row(self.value, self._form._errors_by_path))

    def control(self) -> Markup:
        """The control alone; what it points to is in :meth:`row`."""
        return _safe(self._markup.control(self.value, self._form._errors_by_path))

    def label(self) -> Markup:
        """The label, or the legend of a group."""
        return _safe(self._markup.label)

    def hint(self) -> Markup:
        """The hint, in the element that the control points to."""
        return _safe(self._markup.hint)

    def error(self) -> Markup:
        """The errors, in the element that the control points to."""
        return _safe(self._markup.errors(self._form._errors_by_path))


def _safe(text: str) -> Markup:
    # Each part was escaped where it was put in.
    return Markup(text)  # noqa: S704
