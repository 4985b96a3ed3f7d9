"""The error of a form, the same for pages, fragments and JSON."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

Path: t.TypeAlias = tuple[str | int, ...]


@dc.dataclass(frozen=True)
class FormError:
    """An error in a form.

    :param path: Keys and indexes from the top; empty for the form itself.
    :param code: Stable, for programs: Pydantic's error type, ``"check"`` for a check
        of the application; ``"csrf_missing"``, ``"csrf_expired"``,
        ``"csrf_invalid"`` or ``"csrf_unproven"``.
    :param message: One sentence, for people.
    """

    path: Path
    code: str
    message: str
    extra: cabc.Mapping[str, t.Any] = dc.field(
        default_factory=dict[str, t.Any], compare=False
    )
    """Data for programs beside the message, such as both values of a conflict."""

    @property
    def pointer(self) -> str:
        """The path as a JSON pointer in a URI fragment (RFC 6901, section 6)."""
        steps = (str(step).replace("~", "~0").replace("/", "~1") for step in self.path)
        return "#" + "".join(f"/{step}" for step in steps)
