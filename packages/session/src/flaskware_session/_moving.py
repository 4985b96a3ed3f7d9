"""Sessions that another extension, or Flask itself, has stored."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t


@dc.dataclass(frozen=True)
class OldSession:
    """One that is to be taken over.

    :param id: What names it, and nothing else; it is only hashed.
    :param forget: Removes it from where it was; it never raises.
    :param longest: For how long the browser could send it again, in milliseconds.
    """

    id: str = dc.field(repr=False)
    data: dict[str, t.Any] = dc.field(repr=False)
    forget: cabc.Callable[[], None] = dc.field(repr=False)
    longest: int
