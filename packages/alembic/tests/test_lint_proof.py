"""``--fix --database`` keeps what does on a copy what the revision did."""

from __future__ import annotations

import dataclasses as dc
import typing as t

import pytest
import sqlalchemy as sa

from flaskware_alembic import Fix
from flaskware_alembic._rehearsals.proof import Outcome
from flaskware_alembic._schemas.schema import Item

from .test_drift import texts
from .test_rehearsal import copies

Project: t.TypeAlias = t.Any
TABLES = """
op.create_table('author', sa.Column('id', sa.BigInteger, primary_key=True))
op.create_table('note', sa.Column('id', sa.BigInteger, primary_key=True),
    sa.Column('author_id', sa.BigInteger, nullable=False),
    sa.Column('n', sa.Integer), sa.Column('gone', sa.Integer))
op.create_index('ix_old', 'note', ['gone'])
"""
ROWS = (
    "INSERT INTO author (id) VALUES (1), (2)",
    "INSERT INTO note (id, author_id, n) VALUES (1, 1, 5), (2, 1, 6), (3, 2, 7)",
)
DROP = "op.drop_constraint('c', 'note')"
INDEX = "op.create_index('ix', 'note', ['n'])", "op.drop_index('ix', 'note')"
NULLABLE = ", existing_type=sa.Integer(), existing_nullable=True"
RENAME = (
    f"op.alter_column('note', 'n', new_column_name='m'{NULLABLE})",
    f"op.alter_column('note', 'm', new_column_name='n'{NULLABLE})",
)
# By the rule: the revision, and how it is taken back.
FIXES: dict[str, tuple[str, str]] = {
    "index-not-concurrent": INDEX,
    "drop-index-not-concurrent": (
        "op.drop_index('ix_old', 'note')",
        "op.create_index('ix_old', 'note', ['gone'])",
    ),
    "concurrent-in-transaction": (
        "op.execute('CREATE INDEX CONCURRENTLY ix ON note (n)')",
        "op.drop_index('ix', 'note')",
    ),
    "reindex-not-concurrent": ("op.execute('REINDEX TABLE note')", "pass"),
    "foreign-key-validates": (
        "op.create_foreign_key('c', 'note', 'author', ['author_id'], ['id'])",
        DROP,
    ),
    "check-validates": (
        "op.create_check_constraint('c', 'note', 'n > 0')",
        DROP,
    ),
    "validate-in-same-transaction": (
        (
            "op.create_check_constraint('c', 'note', 'n > 0',"
            " postgresql_not_valid=True)\n"
            "op.execute('ALTER TABLE note VALIDATE CONSTRAINT c')"
        ),
        DROP,
    ),
    "unique-builds-index": ("op.create_unique_constraint('c', 'note', ['n'])", DROP),
    "set-not-null": (
        f"op.alter_column('note', 'n', nullable=False{NULLABLE})",
        "op.alter_column('note', 'n', nullable=True, existing_type=sa.Integer())",
    ),
    "add-required-column": (
        "op.add_column('note', sa.Column('m', sa.Integer(), nullable=False))",
        "op.drop_column('note', 'm')",
    ),
    "rename-column": RENAME,
    "change-type": (
        f"op.alter_column('note', 'n', type_=sa.BigInteger(){NULLABLE})",
        (
            "op.alter_column('note', 'n', type_=sa.Integer(),"
            " existing_type=sa.BigInteger())"
        ),
    ),
}


def prepared(project: Project, code: tuple[str, str]) -> t.Any:
    """Apply tables with rows, and write a revision after them."""
    project.write("aa", None, TABLES)
    project.alembic.upgrade()
    for statement in ROWS:
        run(project, statement)
    return project.write("bb", "aa", *code)


def run(project: Project, sql: str) -> None:
    with project.engine.begin() as connection:
        connection.execute(sa.text(sql))


def sources(project: Project) -> dict[str, str]:
    return {path.name: path.read_text() for path in project.folder.glob("*.py")}


def fixed(project: Project, id: str = "bb") -> Fix:
    """Fix the first finding of a revision; the database stays as it was."""
    before, rows = texts(project), sa.text("SELECT * FROM note ORDER BY id")
    with project.engine.connect() as connection:
        there = connection.execute(rows).all()
    # A table of a few rows is a hint for a rule about the time that it takes.
    done = project.alembic.fix(id, database=True, hints=True)
    assert texts(project) == before
    with project.engine.connect() as connection:
        assert connection.execute(rows).all() == there
    assert copies(project) == []
    return t.cast("Fix", done[0])


@pytest.fixture
def mariadb(make_project: t.Any, mariadb_url: str) -> t.Iterator[Project]:
    project = make_project(mariadb_url)
    with project.app.app_context():
        yield project


@pytest.mark.slow
@pytest.mark.parametrize("rule", FIXES)
def test_a_safe_form_that_does_the_same_is_kept(pg: Project, rule: str) -> None:
    path = prepared(pg, FIXES[rule])
    before = path.read_text()
    fix = fixed(pg)
    assert fix.finding.rule == rule
    assert fix, str(fix)
    assert path.read_text() != before
    without = "without rows" if rule in {"set-not-null", "add-required-column"} else ""
    assert without in fix.rehearsed_on
    assert rule not in {f.rule for f in pg.alembic.lint("bb")}


@pytest.mark.slow
def test_a_revision_that_the_database_has_is_taken_back_on_the_copies(
    pg: Project,
) -> None:
    prepared(pg, INDEX)
    pg.alembic.upgrade()
    assert fixed(pg)
    assert "postgresql_concurrently" in sources(pg)["bb.py"]


@pytest.mark.slow
def test_revisions_before_it_are_applied_to_the_copies_first(pg: Project) -> None:
    path = prepared(pg, INDEX)
    pg.write("ab", "aa", "op.add_column('note', sa.Column('k', sa.Integer()))")
    path.write_text(path.read_text().replace("'aa'", "'ab'").replace("['n']", "['k']"))
    assert fixed(pg)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "code", "why"),
    [
        # The new column has another comment than the one that it replaces.
        (
            "COMMENT ON COLUMN note.n IS 'counted'",
            RENAME,
            "the safe form ends in another schema: comment m of note",
        ),
        (
            "CREATE VIEW numbers AS SELECT n FROM note",
            RENAME,
            "the safe form fails: cannot drop column n of table note",
        ),
        (
            "UPDATE note SET n = -1 WHERE id = 2",
            FIXES["check-validates"],
            'the revision fails as it is: check constraint "c"',
        ),
    ],
    ids=["another schema", "fails", "fails as it is"],
)
def test_a_safe_form_that_does_something_else_is_not_kept(
    pg: Project, before: str, code: tuple[str, str], why: str
) -> None:
    prepared(pg, code)
    run(pg, before)
    files = sources(pg)
    result = pg.run("lint", "--fix", "--database", "--hints", "bb")
    (line,) = [x for x in result.stderr.splitlines() if x.startswith("Left ")]
    assert why in line
    assert sources(pg) == files
    assert copies(pg) == []


@pytest.mark.slow
def test_a_rehearsal_that_is_interrupted_leaves_the_file_alone(pg: Project) -> None:
    stop = (
        "if op.get_bind().engine.url.database.startswith('flaskware_rehearsal'):\n"
        "    raise KeyboardInterrupt"
    )
    prepared(pg, (f"{INDEX[0]}\n{stop}", INDEX[1]))
    files = sources(pg)
    with pytest.raises(KeyboardInterrupt):
        pg.alembic.fix("bb", database=True, hints=True)
    assert sources(pg) == files
    assert copies(pg) == []


@pytest.mark.slow
def test_what_follows_the_revision_is_applied_before_its_contract(pg: Project) -> None:
    prepared(pg, FIXES["add-required-column"])
    pg.write("cc", "bb", "op.create_table('t', sa.Column('id', sa.BigInteger))")
    assert fixed(pg)
    assert len(sources(pg)) == 4


@pytest.mark.slow
def test_a_required_column_is_rehearsed_on_mariadb(mariadb: Project) -> None:
    prepared(mariadb, FIXES["add-required-column"])
    fix = fixed(mariadb)
    assert fix, str(fix)
    assert "without rows" in fix.rehearsed_on
    assert len(sources(mariadb)) == 3


@pytest.mark.slow
def test_what_mariadb_makes_of_both_is_compared(mariadb: Project) -> None:
    # MODIFY forgets the comment that the plain form gave to the column.
    code = FIXES["add-required-column"]
    comment = "nullable=False, comment='counted')"
    prepared(mariadb, (code[0].replace("nullable=False)", comment), code[1]))
    files = sources(mariadb)
    fix = fixed(mariadb)
    assert not fix
    assert "ends in another schema: column note.m" in fix.obstacle
    assert sources(mariadb) == files


def test_without_a_database_the_output_says_so(pg: Project) -> None:
    pg.write("bb", None, "op.create_index('ix', 'note', ['n'])")
    result = pg.run("lint", "--fix", "bb")
    assert "Fixed index-not-concurrent in " in result.stderr
    assert "Nothing was rehearsed: with --database," in result.stderr
    (again,) = [pg.run("lint", "--fix", "bb").stderr]
    assert "rehearsed" not in again


COLUMN = Item("column", "note", "n")
PLAIN = Outcome(
    "the copy", {}, {COLUMN: "1"}, {}, blocks={"note": "writes"}, rewritten=frozenset()
)
SAFE = Outcome("the copy", {}, {COLUMN: "1"}, {}, blocks={"note": "nothing"})
OTHERS: dict[str, tuple[dict[str, t.Any], str]] = {
    "a stronger lock": (
        {"blocks": {"note": "reads and writes"}},
        "reads and writes of note wait for the safe form only",
    ),
    "a lock on more": (
        {"blocks": {"author": "writes"}},
        "writes of author wait for the safe form only",
    ),
    "a rewritten table": (
        {"rewritten": frozenset({"note"})},
        "the safe form rewrites note",
    ),
    "another way down": (
        {"down": {COLUMN: "2"}},
        "taken back to another schema: column note.n",
    ),
    "no way down": ({"down": None}, "cannot be taken back"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_safe_form_is_no_worse(case: str) -> None:
    changed, why = OTHERS[case]
    assert PLAIN.objection_to(SAFE) is None
    safe = dc.replace(SAFE, **changed)
    assert why in (PLAIN.objection_to(safe) or "")
