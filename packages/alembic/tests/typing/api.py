from __future__ import annotations

import typing as t
from pathlib import Path

import flask
import sqlalchemy as sa

from flaskware_alembic import Alembic
from flaskware_alembic import AlembicSettings
from flaskware_alembic import Backfill
from flaskware_alembic import backfill
from flaskware_alembic import BackfillInfo
from flaskware_alembic import BackfillState
from flaskware_alembic import Batch
from flaskware_alembic import BindStatus
from flaskware_alembic import ContractRefused
from flaskware_alembic import DatabaseAhead
from flaskware_alembic import DatabaseDiverged
from flaskware_alembic import DatabaseUnreachable
from flaskware_alembic import DataChange
from flaskware_alembic import DataLost
from flaskware_alembic import Drift
from flaskware_alembic import EngineSource
from flaskware_alembic import Explanation
from flaskware_alembic import Finding
from flaskware_alembic import Fix
from flaskware_alembic import HalfApplied
from flaskware_alembic import HeldLock
from flaskware_alembic import JournalEntry
from flaskware_alembic import LockHolder
from flaskware_alembic import LockTimeout
from flaskware_alembic import MigrationError
from flaskware_alembic import ModelsChanged
from flaskware_alembic import NamedEngineSource
from flaskware_alembic import PendingRevisions
from flaskware_alembic import Plan
from flaskware_alembic import PlanStep
from flaskware_alembic import Rehearsal
from flaskware_alembic import RehearsedStatement
from flaskware_alembic import RehearsedStep
from flaskware_alembic import replaces
from flaskware_alembic import RevisionFailed
from flaskware_alembic import RevisionFileError
from flaskware_alembic import RevisionInfo
from flaskware_alembic import Sample
from flaskware_alembic import SchemaChange
from flaskware_alembic import SchemaDrifted
from flaskware_alembic import SeveralHeads
from flaskware_alembic import SnapshotOutdated
from flaskware_alembic import State
from flaskware_alembic import Status
from flaskware_alembic import TableLocked
from flaskware_alembic import UnknownRevision
from flaskware_alembic import UnsafeRevisions
from flaskware_alembic.testing import alembic_runner
from flaskware_alembic.testing import assert_data_survives
from flaskware_alembic.testing import assert_migrations
from flaskware_alembic.testing import assert_models_match
from flaskware_alembic.testing import assert_round_trip
from flaskware_alembic.testing import assert_single_head
from flaskware_alembic.testing import assert_snapshots
from flaskware_alembic.testing import MigrationRunner
from flaskware_core import Level


class Db:
    def __init__(self) -> None:
        self.metadatas: dict[str | None, sa.MetaData] = {}

    @property
    def engines(self) -> dict[str | None, sa.Engine]:
        return {}


class Lite:
    @property
    def engines(self) -> dict[str, sa.Engine]:
        return {}


app = flask.Flask(__name__)
metadata = sa.MetaData()
engine = sa.create_engine("sqlite://")
source: EngineSource = Db()
named: NamedEngineSource = Lite()

Alembic(Db())
Alembic(Lite(), metadata=metadata)
Alembic(source, app)
Alembic(named, app, metadata={"default": metadata})
Alembic(metadata={None: metadata}, engine={None: engine}, lock_timeout=3)
alembic = Alembic(app=app, metadata=metadata, engine=engine)
alembic.init_app(app)

alembic.register("a", path="a", metadata=metadata, depends_on=["b"], bind="c")
alembic.register("b", path=Path("b"), engine=engine)

t.assert_type(alembic.settings, AlembicSettings)
t.assert_type(alembic.settings.lock_timeout, float)
t.assert_type(alembic.settings.directory, Path)
t.assert_type(alembic.directory(create=True), Path)
t.assert_type(
    alembic.revision("m", binds=[None], renamed=lambda table, old, new: old < new),
    list[RevisionInfo],
)
t.assert_type(
    alembic.revision("m", autogenerate=False, binds=[None], head="heads", rev_id="a"),
    list[RevisionInfo],
)
t.assert_type(alembic.merge("m", revisions=["a"], binds=["b"]), list[RevisionInfo])


def on_step(step: PlanStep) -> None:
    t.assert_type(step.revision, RevisionInfo)
    t.assert_type(step.direction, t.Literal["upgrade", "downgrade", "stamp"])
    t.assert_type(step.seconds, float | None)
    t.assert_type(step.bind, str | None)


plan = alembic.upgrade("heads", binds=None, on_step=on_step, on_wait=print)
t.assert_type(plan, Plan)
t.assert_type(plan.left, tuple[RevisionInfo, ...])
t.assert_type(plan.steps[0].sql, str | None)
t.assert_type(plan.steps[0].findings, tuple[Finding, ...])
t.assert_type(plan.steps, tuple[PlanStep, ...])
t.assert_type(alembic.downgrade("-1", binds=[None], on_step=on_step), Plan)
t.assert_type(alembic.stamp("head", binds=[None], purge=True), Plan)
t.assert_type(alembic.plan("base", direction="downgrade", binds=[None]), Plan)
t.assert_type(alembic.sql("a", direction="upgrade", start="base", binds=[None]), str)
t.assert_type(alembic.current(binds=[None], trees=["app"]), list[RevisionInfo])
t.assert_type(alembic.history(binds=[None]), list[RevisionInfo])
t.assert_type(alembic.heads(binds=[None]), list[RevisionInfo])


@backfill("note", batch=500, pause=0.1, key=["id"], before=True, schema="s")
def fill(connection: sa.Connection, batch: Batch) -> None:
    t.assert_type(batch.table, sa.Table)
    t.assert_type(batch.columns, tuple[sa.Column[t.Any], ...])
    t.assert_type(batch.keys, tuple[tuple[t.Any, ...], ...])
    t.assert_type(len(batch), int)
    connection.execute(sa.update(batch.table).where(batch.where).values(n=1))


t.assert_type(fill, Backfill)


def on_progress(info: BackfillInfo) -> None:
    t.assert_type(info.state, BackfillState)
    t.assert_type(info.total, int | None)


alembic.upgrade(on_progress=on_progress, contract=True, resume=True, assume="done")
alembic.downgrade("-1", resume=True, assume="undone")
t.assert_type(alembic.backfill(on_progress=on_progress), list[BackfillInfo])
t.assert_type(alembic.backfills(binds=[None], trees=["app"]), list[BackfillInfo])
findings = alembic.lint("aa", base="origin/main", binds=[None], trees=["app"])
t.assert_type(findings, list[Finding])
t.assert_type(alembic.explain(binds=[None], trees=["app"]), list[Explanation])
t.assert_type(alembic.rebase("aa", onto="bb", binds=[None]), list[RevisionInfo])
t.assert_type(alembic.squash("aa", message="m", trees=["app"]), list[RevisionInfo])
t.assert_type(alembic.fix("aa", base="main"), list[Fix])
for finding in findings:
    t.assert_type(finding.rule, str)
    t.assert_type(finding.level, Level)
    t.assert_type(finding.line, int | None)
    t.assert_type(finding.lock, str | None)
    t.assert_type(finding.waiver, str | None)
    t.assert_type(finding.as_dict(), dict[str, t.Any])

status = alembic.check(models=False, binds=[None])
t.assert_type(status, Status)
t.assert_type(alembic.status(models=False, binds=[None]), Status)
t.assert_type(status.state, State)
t.assert_type(status.binds, tuple[BindStatus, ...])
t.assert_type(status.advice, str)
t.assert_type(status.can_serve, bool)
for bind in status.binds:
    t.assert_type(bind.bind, str | None)
    t.assert_type(bind.pending, tuple[RevisionInfo, ...])
    t.assert_type(bind.unknown, tuple[str, ...])
    t.assert_type(bind.changes, tuple[str, ...])
    t.assert_type(bind.backfills, tuple[BackfillInfo, ...])
    t.assert_type(bind.invalid_indexes, tuple[str, ...])
for info in alembic.history():
    t.assert_type(info.contracts, str | None)
    t.assert_type(info.contracted_by, str | None)
    t.assert_type(info.deploy, str)
    t.assert_type(info.id, str)
    t.assert_type(info.down, tuple[str, ...])
    t.assert_type(info.path, Path)
    t.assert_type(info.tree, str | None)

assert_single_head(alembic)
assert_round_trip(alembic)
assert_models_match(alembic)
assert_migrations(alembic)
assert_snapshots(alembic)
assert_data_survives(alembic, "aa", {"note": [{"id": 1}]}, {"note": []}, bind=None)
runner = MigrationRunner(app)
runner.check_all()
runner.check_data("aa", {"note": [{"id": 1}]})
runner.upgrade("aa")
runner.load()
t.assert_type(runner.alembic, Alembic)
fixture = alembic_runner

try:
    alembic.check(serving=True)
except HalfApplied as error:
    t.assert_type(error.entries, tuple[JournalEntry, ...])
except UnsafeRevisions as error:
    t.assert_type(error.findings, tuple[Finding, ...])
except DatabaseDiverged as error:
    t.assert_type(error.exit_code, int)
except DatabaseAhead as error:
    t.assert_type(error.revisions, tuple[str, ...])
    t.assert_type(error.bind, str | None)
except PendingRevisions as error:
    t.assert_type(error.status, Status)
except ModelsChanged as error:
    t.assert_type(error.status, Status)
except SnapshotOutdated as error:
    t.assert_type(error.status, Status)
except SchemaDrifted as error:
    t.assert_type(error.status, Status)
except RevisionFileError as error:
    t.assert_type(error.paths, tuple[Path, ...])
    t.assert_type(error.line, int | None)
except ContractRefused as error:
    t.assert_type(error.revision, RevisionInfo)
except TableLocked as error:
    t.assert_type(error.revision, RevisionInfo)
except RevisionFailed as error:
    t.assert_type(error.revision, RevisionInfo)
except (DatabaseUnreachable, LockTimeout, SeveralHeads, UnknownRevision) as error:
    t.assert_type(error.exit_code, int)
except MigrationError as error:
    t.assert_type(error.message, str)


def holders(error: TableLocked) -> None:
    t.assert_type(error.holders, tuple[LockHolder, ...])


def include(
    item: t.Any, name: str | None, kind: str, there: bool, other: t.Any
) -> bool:
    return kind == "table"


hooked = Alembic(Db(), include_object=include, compare_type=False, schemas=["billing"])
t.assert_type(alembic.losses("base", binds=[None]), list[str])
rehearsals = alembic.rehearse(down=False, rows=9, url="", contract=True, binds=[None])
t.assert_type(rehearsals, list[Rehearsal])
t.assert_type(rehearsals[0].steps, tuple[RehearsedStep, ...])
t.assert_type(rehearsals[0].lost, tuple[DataChange, ...])
t.assert_type(rehearsals[0].samples, tuple[Sample, ...])
t.assert_type(rehearsals[0].steps[0].waits, dict[str, HeldLock])
t.assert_type(rehearsals[0].steps[0].statements, tuple[RehearsedStatement, ...])
t.assert_type(DataLost("", rehearsals=()).exit_code, int)

for drift in alembic.drift(binds=[None], trees=["app"]):
    t.assert_type(drift, Drift)
    t.assert_type(drift.changes, tuple[SchemaChange, ...])
    t.assert_type(drift.changes[0].present, str | None)
    t.assert_type(drift.edited, tuple[RevisionInfo, ...])
    t.assert_type(drift.phrases, tuple[str, ...])
    t.assert_type(drift.fingerprint, str | None)
t.assert_type(alembic.accept_drift(), list[Drift])
t.assert_type(alembic.write_drift("m", binds=[None]), list[RevisionInfo])
t.assert_type(alembic.snapshot(binds=[None], trees=["app"]), list[Path])
t.assert_type(alembic.load_snapshot(binds=[None]), list[RevisionInfo])
alembic.revision("m", in_place=True, on_note=print)
t.assert_type(replaces("old"), dict[str, t.Any])
