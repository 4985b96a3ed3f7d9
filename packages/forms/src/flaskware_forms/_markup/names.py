from __future__ import annotations

import dataclasses as dc

from flaskware_forms._errors.error import Path


@dc.dataclass(frozen=True, slots=True)
class ControlNames:
    """What a field is called in one place of one form."""

    id: str
    """Of its control."""

    name: str
    """What the control is sent under."""

    path: Path
    """Where its errors are."""

    @classmethod
    def top(cls, form: str, key: str) -> ControlNames:
        """A field of the form itself."""
        return cls(f"{form}-{key}", key, (key,))

    def child(self, key: str) -> ControlNames:
        """A field of the model that stands here."""
        return ControlNames(f"{self.id}-{key}", f"{self.name}.{key}", (*self.path, key))

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
