from __future__ import annotations

import dataclasses as dc

from flaskware_forms._errors.error import Path

FORM = "_form"
"""The name under which a form of a page says which of them it is."""

BUTTON = "_button"
"""The name of the buttons that send a form, if it has several."""


@dc.dataclass(frozen=True, slots=True)
class ControlNames:
    """The id and the name of a control in one form, and the path of its errors."""

    id: str
    name: str
    path: Path

    @classmethod
    def root(cls, form: str, prefix: str = "") -> ControlNames:
        """The names of the form itself, which has no control.

        :param prefix: Starts the names of all controls.
        """
        return cls(f"{form}-{prefix}" if prefix else form, prefix, ())

    def child(self, key: str) -> ControlNames:
        """A field of the model that stands here."""
        name = f"{self.name}.{key}" if self.name else key
        return ControlNames(f"{self.id}-{key}", name, (*self.path, key))

    def entry(self, index: int) -> ControlNames:
        """An entry of the list that stands here."""
        return ControlNames(
            f"{self.id}-{index}", f"{self.name}-{index}", (*self.path, index)
        )

    def case(self, step: str) -> ControlNames:
        """A model of the union that stands here; its errors are at the union's."""
        return ControlNames(
            f"{self.id}-{step.replace(':', '-')}", f"{self.name}.{step}", self.path
        )
