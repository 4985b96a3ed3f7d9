"""Database migrations for Flask, by Alembic, safe to deploy."""

from __future__ import annotations

import typing as t

from flaskware_core import lazy_names

from ._databases.database import EngineSource as EngineSource
from ._databases.database import NamedEngineSource as NamedEngineSource
from ._errors import ContractRefused as ContractRefused
from ._errors import DatabaseAhead as DatabaseAhead
from ._errors import DatabaseDiverged as DatabaseDiverged
from ._errors import DatabaseUnreachable as DatabaseUnreachable
from ._errors import DataLost as DataLost
from ._errors import HalfApplied as HalfApplied
from ._errors import LockTimeout as LockTimeout
from ._errors import MigrationError as MigrationError
from ._errors import ModelsChanged as ModelsChanged
from ._errors import PendingRevisions as PendingRevisions
from ._errors import RevisionFailed as RevisionFailed
from ._errors import RevisionFileError as RevisionFileError
from ._errors import SchemaDrifted as SchemaDrifted
from ._errors import SeveralHeads as SeveralHeads
from ._errors import SnapshotOutdated as SnapshotOutdated
from ._errors import TableLocked as TableLocked
from ._errors import UnknownRevision as UnknownRevision
from ._errors import UnsafeRevisions as UnsafeRevisions
from ._extension import Alembic as Alembic
from ._settings import AlembicSettings as AlembicSettings

if t.TYPE_CHECKING:
    from ._backfill import Backfill as Backfill
    from ._backfill import backfill as backfill
    from ._backfill import Batch as Batch
    from ._results import BackfillInfo as BackfillInfo
    from ._results import BackfillState as BackfillState
    from ._results import BindStatus as BindStatus
    from ._results import DataChange as DataChange
    from ._results import Drift as Drift
    from ._results import Explanation as Explanation
    from ._results import Finding as Finding
    from ._results import Fix as Fix
    from ._results import HeldLock as HeldLock
    from ._results import JournalEntry as JournalEntry
    from ._results import LockHolder as LockHolder
    from ._results import Plan as Plan
    from ._results import PlanStep as PlanStep
    from ._results import Rehearsal as Rehearsal
    from ._results import RehearsedStatement as RehearsedStatement
    from ._results import RehearsedStep as RehearsedStep
    from ._results import RevisionInfo as RevisionInfo
    from ._results import Sample as Sample
    from ._results import SchemaChange as SchemaChange
    from ._results import State as State
    from ._results import Status as Status
    from ._transitions.declaration import replaces as replaces
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "_backfill": ["Backfill", "backfill", "Batch"],
            "_results": [
                "BackfillInfo",
                "BackfillState",
                "BindStatus",
                "DataChange",
                "Drift",
                "Explanation",
                "Finding",
                "Fix",
                "HeldLock",
                "JournalEntry",
                "LockHolder",
                "Plan",
                "PlanStep",
                "Rehearsal",
                "RehearsedStatement",
                "RehearsedStep",
                "RevisionInfo",
                "Sample",
                "SchemaChange",
                "State",
                "Status",
            ],
            "_transitions.declaration": ["replaces"],
        },
    )

__all__ = [
    "Alembic", "AlembicSettings", "Backfill", "backfill", "BackfillInfo",
    "BackfillState", "Batch", "BindStatus", "ContractRefused", "DatabaseAhead",
    "DatabaseDiverged", "DatabaseUnreachable", "DataChange", "DataLost", "Drift",
    "EngineSource", "Explanation", "Finding", "Fix", "HalfApplied", "HeldLock",
    "JournalEntry", "LockHolder", "LockTimeout", "MigrationError", "ModelsChanged",
    "NamedEngineSource", "PendingRevisions", "Plan", "PlanStep", "Rehearsal",
    "RehearsedStatement", "RehearsedStep", "replaces", "RevisionFailed",
    "RevisionFileError", "RevisionInfo", "Sample", "SchemaChange", "SchemaDrifted",
    "SeveralHeads", "SnapshotOutdated", "State", "Status", "TableLocked",
    "UnknownRevision", "UnsafeRevisions",
]  # fmt: skip
