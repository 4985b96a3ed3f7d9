from __future__ import annotations

import dataclasses as dc

from flaskware_forms._errors.error import Path


@dc.dataclass(frozen=True, slots=True)
class Names:
    """What a field is called in one place of one form."""

    id: str
    """Of its control."""

    name: str
    """What the control is sent under."""

    path: Path
    """Where its errors are."""

    @classmethod
    def top(cls, form: str, key: str) -> Names:
        """A field of the form itself."""
        return cls(f"{form}-{key}", key, (key,))

    def child(self, key: str) -> Names:
        """A field of the model that stands here."""
        return Names(f"{self.id}-{key}", f"{self.name}.{key}", (*self.path, key))

    def entry(self, index: int) -> Names:
        """An entry of the list that stands here."""
        return Names(f"{self.id}-{index}", f"{self.name}-{index}", (*self.path, index))

    def case(self, step: str) -> Names:
        """A model of the union that stands here; its errors are at the union's."""
        return Names(
            f"{self.id}-{step.replace(':', '-')}", f"{self.name}.{step}", self.path
        )
