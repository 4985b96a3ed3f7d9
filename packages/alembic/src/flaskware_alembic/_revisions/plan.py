from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

from flaskware_alembic._lint.finding import Finding

from .backfill import Backfill
from .backfill import BackfillInfo
from .revision import RevisionInfo

Direction: t.TypeAlias = t.Literal["upgrade", "downgrade", "stamp"]


@dc.dataclass(frozen=True)
class PlanStep:
    """One revision that is applied or taken back.

    :param seconds: How long it took; ``None`` for one that is only planned.
    :param sql: What a planned one would send; ``None`` where that cannot be told
        without doing it.
    :param findings: What the rules find in a planned one.
    :param backfills: What fills rows before or after an upgrade of it.
    """

    revision: RevisionInfo
    direction: Direction
    seconds: float | None = None
    sql: str | None = None
    findings: tuple[Finding, ...] = ()
    backfills: tuple[Backfill, ...] = ()

    @property
    def bind(self) -> str | None:
        """The database it is done to, ``None`` for the default one."""
        return self.revision.bind

    def __str__(self) -> str:
        place = self.revision.tree or self.bind
        took = f" ({self.seconds:.2f} s)" if self.seconds is not None else ""
        return f"{place + ': ' if place else ''}{self.direction} {self.revision}{took}"


@dc.dataclass(frozen=True)
class Plan:
    """Steps in the order they are done; false where there is nothing to do.

    :param left: Revisions that complete an earlier one and are left for a later
        deploy, with what follows them.
    :param backfills: Of applied revisions, which an upgrade goes on with first: as far
        as they came before in what is planned, or with it in what was done.
    """

    steps: tuple[PlanStep, ...] = ()
    left: tuple[RevisionInfo, ...] = ()
    backfills: tuple[BackfillInfo, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps or self.backfills)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> cabc.Iterator[PlanStep]:
        return iter(self.steps)

    def __add__(self, other: Plan) -> Plan:
        return Plan(
            self.steps + other.steps,
            self.left + other.left,
            self.backfills + other.backfills,
        )
