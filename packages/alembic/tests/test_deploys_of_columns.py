"""Changes of a column that `migrate` writes as the revisions of two deploys."""

from __future__ import annotations

import functools
import random
import typing as t

import pytest
import sqlalchemy as sa

from flaskware_alembic import Alembic
from flaskware_alembic import ContractRefused
from flaskware_alembic import replaces
from flaskware_alembic import State
from flaskware_core.testing import make_app

from .traffic import Case
from .traffic import CASES
from .traffic import Code
from .traffic import Deploys
from .traffic import run
from .traffic import Value

Project: t.TypeAlias = t.Any


@pytest.fixture(params=["postgresql", "mariadb"])
def rolling(request: pytest.FixtureRequest, make_project: t.Any) -> t.Any:
    """A project on each database where old and new code may run at once."""
    project = make_project(request.getfixturevalue(f"{request.param}_url"))
    with project.app.app_context():
        yield project


def declare(project: Project, *columns: t.Any, **table: t.Any) -> None:
    project.metadata.clear()
    project.add_table("note", *columns, **table)


def expand(project: Project) -> t.Any:
    """Write a rename of a required column in a table with rows; apply its start."""
    declare(project, sa.Column("body", sa.String(20), nullable=False))
    project.alembic.revision("first")
    project.alembic.upgrade()
    send(project, "INSERT INTO note (id, body) VALUES (1, 'one'), (2, 'two')")
    renamed = sa.Column("text", sa.String(20), nullable=False, info=replaces("body"))
    declare(project, renamed)
    first, second = project.alembic.revision("rename body")
    plan = project.alembic.upgrade()
    assert [step.revision for step in plan] == [first]
    assert plan.left == (second,)
    return second


def send(project: Project, sql: str) -> list[t.Any]:
    with project.engine.begin() as connection:
        result = connection.execute(sa.text(sql))
        return [tuple(row) for row in result] if result.returns_rows else []


# Old and new code


class Chance:
    """Writes of code that is drawn by chance, and what they leave."""

    def __init__(self, project: Project, case: Case, seed: int) -> None:
        self.project, self.case = project, case
        self.random = random.Random(seed)
        self.values: dict[int, Value] = {}

    def write(self, codes: list[Code], times: int = 12) -> None:
        for _ in range(times):
            code, id = self.random.choice(codes), self.random.randint(1, 8)
            with self.project.engine.begin() as connection:
                if id in self.values and self.random.random() < 0.2:
                    code.touch(connection, id, self.random.randrange(9))
                else:
                    self.values[id] = self.case.make(self.random)
                    code.write(connection, id, self.values[id])

    def compare(self, codes: list[Code]) -> None:
        for code in codes:
            with self.project.engine.connect() as connection:
                assert code.read(connection) == self.values


@pytest.mark.parametrize(
    "name",
    [
        "rename",
        *(pytest.param(name, marks=pytest.mark.slow) for name in [*CASES][1:]),
    ],
)
def test_each_value_is_what_old_or_new_code_wrote_last_at_every_step_and_back(
    rolling: Project, name: str
) -> None:
    case = CASES[name]
    deploys, chance = Deploys(rolling, case), Chance(rolling, case, seed=len(name))
    deploys.prepare()
    assert [str(f) for f in rolling.alembic.lint() if f.waiver is None] == []
    chance.write([case.old])
    for _, step, codes in deploys.steps():
        step()
        chance.compare(codes)
        chance.write(codes)
        chance.compare(codes)
    assert rolling.alembic.check().state is State.UP_TO_DATE


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_nothing_is_lost_while_old_and_new_code_write_through_every_step(
    rolling: Project, name: str
) -> None:
    account = run(rolling, CASES[name], seconds=0.5)
    assert account.steps == 10
    assert account.writes > account.rows > 0


# The deploys


def test_the_contract_waits_for_a_deploy_of_its_own(rolling: Project) -> None:
    second = expand(rolling)
    rolling.alembic.downgrade("-1")
    plan = rolling.alembic.upgrade(contract=True)
    assert plan.left == (second,)
    rolling.alembic.downgrade("-1")
    said = rolling.run("upgrade", "--contract").output
    assert "which was applied just now: deploy its code first" in said
    assert rolling.run("upgrade", "--contract").exit_code == 0
    assert rolling.alembic.check().state is State.UP_TO_DATE
    assert send(rolling, "SELECT text FROM note ORDER BY id") == [("one",), ("two",)]


def test_a_contract_is_refused_while_a_row_is_not_up_to_date(rolling: Project) -> None:
    second = expand(rolling)
    table = sa.inspect(rolling.engine).get_columns("note")
    is_postgresql = rolling.engine.dialect.name == "postgresql"
    trigger = "" if is_postgresql else "_update"
    if is_postgresql:
        send(rolling, "ALTER TABLE note DISABLE TRIGGER USER")
    else:
        (made,) = send(rolling, f"SHOW CREATE TRIGGER note_body_sync{trigger}")
        send(rolling, f"DROP TRIGGER note_body_sync{trigger}")
    send(rolling, "UPDATE note SET body = 'late' WHERE id = 2")
    with pytest.raises(ContractRefused, match="a row was not brought up") as caught:
        rolling.alembic.upgrade(contract=True)
    assert caught.value.revision.id == second.id
    assert sa.inspect(rolling.engine).get_columns("note")[1]["name"] == table[1]["name"]
    if is_postgresql:
        send(rolling, "ALTER TABLE note ENABLE TRIGGER USER")
    else:
        with rolling.engine.begin() as connection:
            connection.exec_driver_sql(made[2].replace("%", "%%"))
    send(rolling, "UPDATE note SET body = 'last' WHERE id = 2")
    rolling.alembic.upgrade(contract=True)
    assert send(rolling, "SELECT text FROM note ORDER BY id") == [("one",), ("last",)]


def test_an_empty_database_gets_both_revisions_at_once(
    rolling: Project, request: pytest.FixtureRequest, make_project: t.Any
) -> None:
    expand(rolling)
    rolling.alembic.downgrade("base")
    plan = rolling.alembic.upgrade()
    assert len(plan) == 3
    assert plan.left == ()


def test_plan_and_history_say_which_deploy_a_revision_is_of(rolling: Project) -> None:
    second = expand(rolling)
    first = second.contracts
    lines = rolling.run("history").output.splitlines()
    assert lines[0] == f"{second} (head; deploy 2 of 2, completes {first})"
    assert lines[1].endswith(f"(deploy 1 of 2, completed by {second.id})")
    plan = rolling.run("plan").output
    assert f"{second} (only with --contract)" in plan
    assert f"  deploy 2 of 2, completes {first}" in plan
    info = rolling.alembic.history()[1]
    assert (info.id, info.contracted_by) == (first, second.id)


def test_migrate_says_what_the_two_deploys_are(rolling: Project) -> None:
    declare(rolling, sa.Column("n", sa.Integer))
    rolling.alembic.revision("first")
    rolling.alembic.upgrade()
    declare(rolling, sa.Column("m", sa.Integer))
    said = rolling.run("migrate", "--rename", "note.n=m").output
    assert said.count("Wrote ") == 2
    assert "These are two deploys." in said
    assert max(map(len, said.splitlines()[2:])) <= 80
    assert rolling.run("migrate").exit_code != 0


def test_a_setting_or_an_option_makes_it_one_revision(
    rolling: Project, make_project: t.Any
) -> None:
    declare(rolling, sa.Column("n", sa.Integer))
    rolling.alembic.revision("first")
    rolling.alembic.upgrade()
    declare(rolling, sa.Column("m", sa.Integer, info=replaces("n")))
    said = rolling.run("migrate", "--in-place").output
    (path,) = [line[6:] for line in said.splitlines() if line.startswith("Wrote ")]
    rolling.alembic.directory().joinpath(path).unlink()
    alembic = Alembic(metadata=rolling.metadata, engine=rolling.engine, rolling=False)
    app = make_app(alembic, ALEMBIC_DIRECTORY=str(rolling.folder))
    with app.app_context():
        assert len(alembic.revision("rename")) == 1
        alembic.upgrade()
        assert alembic.check().state is State.UP_TO_DATE


def test_sqlite_gets_one_revision(project: Project) -> None:
    with project.app.app_context():
        declare(project, sa.Column("n", sa.Integer))
        project.alembic.revision("first")
        project.alembic.upgrade()
        send(project, "INSERT INTO note VALUES (1, 7)")
        declare(project, sa.Column("m", sa.Integer, info=replaces("n")))
        (written,) = project.alembic.revision("rename")
        assert "batch_alter_table" in written.path.read_text()
        project.alembic.upgrade()
        assert send(project, "SELECT m FROM note") == [(7,)]


COMPUTED = functools.partial(sa.Computed, persisted=True)
OBSTACLES: dict[str, t.Any] = {
    "index": (lambda n: [sa.Column(n, sa.Integer, index=True)], "of the index"),
    "unique": (
        lambda n: [sa.Column(n, sa.Integer), sa.UniqueConstraint(n, name=f"uq_{n}")],
        "of the ",
    ),
    "check": (
        lambda n: [sa.Column(n, sa.Integer), sa.CheckConstraint(f"{n} > 0", "ck")],
        "of the constraint ck",
    ),
    "key": (
        lambda n: [sa.Column(n, sa.Integer, sa.ForeignKey("note.id", name=f"fk_{n}"))],
        "of the ",
    ),
    "default": (
        lambda n: [sa.Column(n, sa.Integer, server_default="7")],
        "nullable and has a default",
    ),
    "computed": (
        lambda n: [
            sa.Column(n, sa.Integer),
            sa.Column("c", sa.Integer, COMPUTED(n)),
        ],
        "of the column c",
    ),
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_cannot_be_kept_the_same_is_renamed_in_place_and_says_why(
    rolling: Project, obstacle: str
) -> None:
    columns, reason = OBSTACLES[obstacle]
    declare(rolling, *columns("n"))
    rolling.alembic.revision("first")
    rolling.alembic.upgrade()
    declare(rolling, *columns("m"))
    notes: list[str] = []
    (written,) = rolling.alembic.revision(
        "rename", renamed=lambda *_: True, on_note=notes.append
    )
    assert written.contracted_by is None
    (note,) = notes
    assert note.startswith("note.n ")
    assert reason in note
    assert "so it is changed in place" in note


def test_not_null_without_a_default_is_one_revision(rolling: Project) -> None:
    declare(rolling, sa.Column("n", sa.Integer))
    rolling.alembic.revision("first")
    rolling.alembic.upgrade()
    declare(rolling, sa.Column("n", sa.Integer, nullable=False))
    notes: list[str] = []
    (_,) = rolling.alembic.revision("require", on_note=notes.append)
    assert "without a default for what is NULL" in notes[0]


def test_a_declared_rename_is_not_asked_about(rolling: Project) -> None:
    declare(rolling, sa.Column("a", sa.Integer), sa.Column("b", sa.Integer))
    rolling.alembic.revision("first")
    rolling.alembic.upgrade()
    declare(
        rolling,
        sa.Column("c", sa.Integer, info={**replaces("b"), "label": "C"}),
        sa.Column("d", sa.Integer),
    )
    asked: list[str] = []

    def renamed(place: str, old: str, new: str) -> bool:
        asked.append(f"{place}.{old}={new}")
        return True

    _, second = rolling.alembic.revision("rename", renamed=renamed)
    assert asked == ["note.a=d"]
    assert "note.b, now c" in second.message
    assert "note.a, now d" in second.message
