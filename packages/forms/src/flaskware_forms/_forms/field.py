from __future__ import annotations

import typing as t

from markupsafe import Markup

from flaskware_forms._errors.error import FormError
from flaskware_forms._fields.builder import Builder
from flaskware_forms._markup.theme import safe

if t.TYPE_CHECKING:
    from .submission import Submission


class BoundField:
    """One field of a form of a request."""

    __slots__ = ("_markup", "_submission")

    def __init__(self, submission: Submission[t.Any], markup: Builder[t.Any]) -> None:
        self._submission = submission
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
        """The value of its control: text as it was typed, or the initial value."""
        return self._submission.values.get(self.name)

    @property
    def errors(self) -> tuple[FormError, ...]:
        """The errors of the field, and of the fields inside of it."""
        name = self.name
        return tuple(e for e in self._submission.errors if e.path[:1] == (name,))

    def row(self) -> Markup:
        """Label, hint, control and errors."""
        return safe(self._markup.row(self.value, self._submission.errors_by_path))

    def control(self) -> Markup:
        """The control alone; the elements it refers to are in :meth:`row`."""
        return safe(self._markup.control(self.value, self._submission.errors_by_path))

    def label(self) -> Markup:
        """The label, or the legend of a group."""
        return safe(self._markup.label)

    def hint(self) -> Markup:
        """The hint, in the element that the control points to."""
        return safe(self._markup.hint)

    def error(self) -> Markup:
        """The errors, in the element that the control points to."""
        return safe(self._markup.errors(self._submission.errors_by_path))
