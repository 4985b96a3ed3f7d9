"""What a hand did to a database, or to a revision that is applied, is found."""

from __future__ import annotations

import json
import typing as t

import pytest
import sqlalchemy as sa

from flaskware_alembic import Drift
from flaskware_alembic import MigrationError
from flaskware_alembic import RevisionFailed
from flaskware_alembic import SchemaDrifted
from flaskware_alembic import State
from flaskware_core import examine
from flaskware_core import Level

Project: t.TypeAlias = t.Any
NOTE = (
    "op.create_table('note', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('n', sa.Integer, nullable=False), sa.Column('t', sa.String(20)))\n"
    "op.create_index('ix_note_n', 'note', ['n'])"
)


def upgraded(project: Project) -> None:
    project.write("aa", None, NOTE, "op.drop_table('note')")
    project.alembic.upgrade()


def by_hand(project: Project, *statements: str) -> None:
    with project.engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def is_mariadb(project: Project) -> bool:
    return project.engine.dialect.name in {"mysql", "mariadb"}


def drift(project: Project) -> Drift:
    (found,) = project.alembic.drift()
    return t.cast("Drift", found)


def whats(project: Project) -> list[tuple[str, bool, bool]]:
    """What changed, and whether it was and is there."""
    return [
        (c.what, c.recorded is not None, c.present is not None)
        for c in drift(project).changes
    ]


CHANGES: list[tuple[str, list[str], list[tuple[str, bool, bool]]]] = [
    (
        "an index that was added",
        ["CREATE INDEX ix_mine ON note (t)"],
        [("index ix_mine of note", False, True)],
    ),
    (
        "an index that was dropped",
        ["DROP INDEX ix_note_n{on}"],
        [("index ix_note_n of note", True, False)],
    ),
    (
        "a column that was added",
        ["ALTER TABLE note ADD COLUMN x INTEGER"],
        [("column note.x", False, True)],
    ),
    (
        "a column that was dropped",
        ["ALTER TABLE note DROP COLUMN t"],
        [("column note.t", True, False)],
    ),
    (
        "a column that was renamed",
        ["ALTER TABLE note RENAME COLUMN t TO u"],
        [("column note.t", True, False), ("column note.u", False, True)],
    ),
    ("a table that was dropped", ["DROP TABLE note"], [("table note", True, False)]),
    ("a table of somebody else", ["CREATE TABLE theirs (id INTEGER)"], []),
    ("rows", ["INSERT INTO note VALUES (1, 2, 'a')"], []),
]


@pytest.mark.parametrize(
    ("statements", "expected"),
    [pytest.param(*each[1:], id=each[0]) for each in CHANGES],
)
def test_a_change_by_hand_is_named(
    any_project: Project,
    statements: list[str],
    expected: list[tuple[str, bool, bool]],
) -> None:
    upgraded(any_project)
    assert drift(any_project).word == "no drift"
    on = " ON note" if is_mariadb(any_project) else ""
    by_hand(any_project, *(statement.format(on=on) for statement in statements))
    assert whats(any_project) == expected
    # A later deploy does not take it for its own.
    any_project.write_table("bb", "aa", "other")
    any_project.alembic.upgrade()
    assert whats(any_project) == expected


SERVERS = [
    ("ALTER TABLE note ALTER COLUMN n SET DEFAULT 5", "column note.n"),
    ("ALTER TABLE note ADD CONSTRAINT ck CHECK (n > 0)", "constraint ck of note"),
    ("ALTER TABLE note ADD CONSTRAINT u UNIQUE (t)", "u of note"),
    ("ALTER TABLE note {alter} t {type} VARCHAR(30)", "column note.t"),
]


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
@pytest.mark.parametrize(("statement", "expected"), SERVERS)
def test_a_change_that_only_servers_know_is_named(
    make_project: t.Any,
    request: pytest.FixtureRequest,
    kind: str,
    statement: str,
    expected: str,
) -> None:
    project = make_project(request.getfixturevalue(f"{kind}_url"))
    words = {
        "postgresql": {"alter": "ALTER", "type": "TYPE"},
        "mariadb": {"alter": "MODIFY", "type": ""},
    }[kind]
    with project.app.app_context():
        upgraded(project)
        by_hand(project, statement.format(**words))
        (change,) = drift(project).changes
    assert expected in change.what


def test_all_that_postgresql_has_is_followed(
    make_project: t.Any, postgresql_url: str
) -> None:
    project = make_project(postgresql_url)
    made = """op.execute('''
        CREATE TYPE mood AS ENUM ('a', 'b');
        CREATE TABLE note (id SERIAL PRIMARY KEY, m mood);
        CREATE VIEW seen AS SELECT id FROM note;
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql
          AS $$BEGIN RETURN NEW; END$$;
        CREATE TRIGGER touched BEFORE INSERT ON note
          FOR EACH ROW EXECUTE FUNCTION touch();
        CREATE SEQUENCE counter;
        COMMENT ON TABLE note IS 'notes';
    ''')"""
    project.write("aa", None, made)
    with project.app.app_context():
        project.alembic.upgrade()
        assert not drift(project)
        for statement, what in (
            ("ALTER TYPE mood ADD VALUE 'c'", "type mood"),
            ("CREATE OR REPLACE VIEW seen AS SELECT id, m FROM note", "view seen"),
            (
                """CREATE OR REPLACE FUNCTION touch() RETURNS trigger
                LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$""",
                "function touch()",
            ),
            ("DROP TRIGGER touched ON note", "trigger touched of note"),
            ("ALTER SEQUENCE counter INCREMENT BY 2", "sequence counter"),
            ("COMMENT ON TABLE note IS 'other'", "comment table of note"),
            ("ALTER TABLE note ENABLE ROW LEVEL SECURITY", "row security enabled of"),
        ):
            by_hand(project, statement)
            (change,) = drift(project).changes
            assert what in change.what
            project.alembic.accept_drift()
            assert not drift(project)


def test_the_commands_say_what_was_changed(any_project: Project) -> None:
    upgraded(any_project)
    assert any_project.run("drift").output == "default: no drift\n"
    number = sa.Column("n", sa.Integer, nullable=False)
    any_project.add_table("note", number, sa.Column("t", sa.String(20)))
    sa.Index("ix_note_n", any_project.metadata.tables["note"].c.n)
    assert any_project.run("check").exit_code == 0
    by_hand(any_project, "CREATE INDEX ix_mine ON note (t)")
    for command in ("drift", "check"):
        result = any_project.run(command)
        assert result.exit_code == 16, result.output
        assert "index ix_mine of note was added by hand" in result.output
        assert "flask db drift --accept" in result.output
    plain = any_project.run("drift", "--json")
    assert plain.exit_code == 16
    (found,) = json.JSONDecoder().raw_decode(plain.output)[0]
    assert found["changes"][0]["name"] == "ix_mine"
    with pytest.raises(SchemaDrifted) as caught:
        any_project.alembic.check()
    (bind,) = caught.value.status.binds
    assert bind.state is State.DRIFTED
    # What serving needs is there.
    any_project.alembic.check(models=False)
    assert any_project.run("check", "--serving").exit_code == 0
    findings = {f.id: f for f in examine(any_project.app).findings}
    assert findings["alembic.drift"].level is Level.WARNING
    assert "ix_mine" in findings["alembic.drift"].message
    assert any_project.run("drift", "--accept").exit_code == 0
    assert any_project.run("drift").exit_code == 0


def test_a_downgrade_takes_its_part_back(any_project: Project) -> None:
    upgraded(any_project)
    before = drift(any_project).fingerprint
    drop = "with op.batch_alter_table('note') as b: b.drop_column('x')"
    any_project.write(
        "bb", "aa", "op.add_column('note', sa.Column('x', sa.Integer))", drop
    )
    any_project.alembic.upgrade()
    assert drift(any_project).fingerprint != before
    any_project.alembic.downgrade("aa")
    assert not drift(any_project)
    if any_project.engine.dialect.name != "sqlite":
        assert drift(any_project).fingerprint == before
    any_project.alembic.downgrade("base")
    assert not drift(any_project)
    any_project.alembic.upgrade()
    assert not drift(any_project)


def test_the_same_revisions_have_the_same_fingerprint(
    make_project: t.Any, tmp_path: t.Any
) -> None:
    found: set[str | None] = set()
    for name in ("one", "two"):
        project = make_project(f"sqlite:///{tmp_path}/{name}.db")
        with project.app.app_context():
            upgraded(project)
            found.add(drift(project).fingerprint)
    assert len(found) == 1
    assert None not in found


def test_an_edited_revision_is_named(any_project: Project) -> None:
    upgraded(any_project)
    path = any_project.write("aa", None, f"{NOTE}\nop.execute('SELECT 1')")
    assert [info.path for info in drift(any_project).edited] == [path]
    result = any_project.run("drift")
    assert result.exit_code == 16
    assert "was edited after it was applied" in " ".join(result.output.split())
    ids = {f.id for f in examine(any_project.app).findings}
    assert "alembic.edited-revision" in ids
    any_project.alembic.accept_drift()
    assert not drift(any_project)


SOURCE = '''"""Add notes."""
import sqlalchemy as sa
from alembic import op
revision = "aa"
down_revision = None
def upgrade():
    op.create_table("note", sa.Column("id", sa.Integer, primary_key=True))
def downgrade():
    op.drop_table("note")
'''
BENIGN = {
    "comments": SOURCE.replace("    op.create", "    # Make it.\n    op.create"),
    "docstrings": SOURCE.replace("Add notes.", "Notes.\n\n    Other words.\n    "),
    "quotes and layout": SOURCE.replace('"', "'")
    .replace("'''", '"""')
    .replace("primary_key=True", "\n        primary_key=True,\n    "),
    "annotations": SOURCE.replace("():", "() -> None:").replace(
        "down_revision =", "down_revision: str | None ="
    ),
    "another order of imports": SOURCE.replace("import sqlalchemy as sa\n", "").replace(
        "import op\n", "import op\nimport sqlalchemy as sa\nimport os\n"
    ),
    "another predecessor": SOURCE.replace("depends_on", "").replace(
        "down_revision = None", "down_revision = None\nbranch_labels = ('x',)"
    ),
}
SERIOUS = {
    "another operation": SOURCE.replace("sa.Integer", "sa.BigInteger"),
    "another downgrade": SOURCE.replace('op.drop_table("note")', "pass"),
    "another import of the same name": SOURCE.replace(
        "import sqlalchemy as sa", "import datetime as sa"
    ),
    "a text that only looks like a docstring": SOURCE.replace(
        '    op.drop_table("note")', '    "a"\n    op.execute("DROP TABLE note")'
    ),
}


@pytest.mark.parametrize("source", BENIGN.values(), ids=BENIGN)
def test_what_a_revision_does_counts_and_not_how_it_is_written(
    project: Project, in_context: object, source: str
) -> None:
    path = project.write("aa", None)
    path.write_text(SOURCE)
    project.alembic.upgrade()
    path.write_text(source)
    assert not drift(project).edited


@pytest.mark.parametrize("source", SERIOUS.values(), ids=SERIOUS)
def test_another_effect_of_a_revision_counts(
    project: Project, in_context: object, source: str
) -> None:
    path = project.write("aa", None)
    path.write_text(SOURCE)
    project.alembic.upgrade()
    path.write_text(source)
    assert drift(project).edited


def test_a_checksum_outlives_the_version_of_python(
    project: Project, in_context: object
) -> None:
    from flaskware_alembic._revisions.checksum import checksum_of

    path = project.write("aa", None)
    path.write_text(SOURCE)
    assert checksum_of(path) == "d1935f10c8de9fb652b1915c93439219"


def test_of_a_stamp_nothing_is_recorded(any_project: Project) -> None:
    any_project.write("aa", None, NOTE)
    with any_project.engine.begin() as connection:
        table = sa.Table("note", sa.MetaData(), sa.Column("id", sa.Integer))
        table.create(connection)
    any_project.alembic.stamp()
    result = any_project.run("drift")
    assert result.exit_code == 0, result.output
    assert "default: not recorded" in result.output
    assert "nothing is recorded of aa: stamped" in result.output
    by_hand(any_project, "ALTER TABLE note ADD COLUMN x INTEGER")
    assert not drift(any_project)
    any_project.alembic.accept_drift()
    assert drift(any_project).word == "no drift"
    by_hand(any_project, "ALTER TABLE note ADD COLUMN y INTEGER")
    assert whats(any_project) == [("column note.y", False, True)]
    any_project.alembic.stamp("base")
    any_project.alembic.stamp("aa")
    assert drift(any_project).word == "not recorded"


def test_after_another_program_applied_a_revision_nothing_is_claimed(
    any_project: Project,
) -> None:
    upgraded(any_project)
    any_project.write("bb", "aa", "op.add_column('note', sa.Column('x', sa.Integer))")
    by_hand(
        any_project,
        "ALTER TABLE note ADD COLUMN x INTEGER",
        "UPDATE alembic_version SET version_num = 'bb'",
    )
    found = drift(any_project)
    assert not found
    assert not found.is_known
    assert [info.id for info in found.unrecorded] == ["bb"]
    assert "too old" in any_project.run("drift").output
    any_project.alembic.accept_drift()
    assert drift(any_project).word == "no drift"


def test_a_database_from_before_the_record_gets_what_comes(
    make_project: t.Any, any_url: str
) -> None:
    project = make_project(any_url, ALEMBIC_RECORD=False)
    with project.app.app_context():
        upgraded(project)
        assert drift(project).word == "not recorded"
        assert project.tables() == {"note", "alembic_version"}
    project = make_project(any_url)
    project.write("bb", "aa", "op.add_column('note', sa.Column('x', sa.Integer))")
    with project.app.app_context():
        project.alembic.upgrade()
        assert not drift(project)
        by_hand(project, "ALTER TABLE note ADD COLUMN y INTEGER")
        assert not drift(project)
        by_hand(project, "ALTER TABLE note DROP COLUMN x")
        assert whats(project) == [("column note.x", True, False)]


def test_each_tree_has_its_own_record(any_project: Project, tmp_path: t.Any) -> None:
    upgraded(any_project)
    folder = tmp_path / "trees" / "shop"
    folder.mkdir(parents=True)
    any_project.write(
        "s1",
        None,
        "op.create_table('shop', sa.Column('id', sa.Integer, primary_key=True))\n"
        "op.add_column('note', sa.Column('shop', sa.Integer))",
    ).rename(folder / "s1.py")
    any_project.alembic.register("shop", path=folder, depends_on=["app"])
    any_project.alembic.upgrade()
    assert [d.tree for d in any_project.alembic.drift()] == [None, "shop"]
    assert not any(any_project.alembic.drift())
    by_hand(any_project, "ALTER TABLE shop ADD COLUMN x INTEGER")
    own, shop = any_project.alembic.drift()
    assert not own
    assert [change.what for change in shop.changes] == ["column shop.x"]
    by_hand(any_project, "ALTER TABLE note ADD COLUMN y INTEGER")
    own, shop = any_project.alembic.drift()
    assert [change.what for change in own.changes] == ["column note.y"]
    assert [change.what for change in shop.changes] == ["column shop.x"]


def test_other_schemas_are_followed(make_project: t.Any, postgresql_url: str) -> None:
    project = make_project(postgresql_url, ALEMBIC_SCHEMAS=["billing"])
    project.write(
        "aa",
        None,
        "op.execute('CREATE SCHEMA billing')\n"
        "op.create_table('bill', sa.Column('id', sa.Integer), schema='billing')",
    )
    with project.app.app_context():
        project.alembic.upgrade()
        assert not drift(project)
        by_hand(project, "ALTER TABLE billing.bill ADD COLUMN x INTEGER")
        assert whats(project) == [("column billing.bill.x", False, True)]


def test_a_revision_that_failed_half_way_is_recorded_when_it_is_done(
    make_project: t.Any, any_url: str
) -> None:
    project = make_project(any_url)
    with project.app.app_context():
        upgraded(project)
        add = "op.add_column('note', sa.Column({!r}, sa.Integer))"
        # What stays of it: on MariaDB each statement, elsewhere the block.
        block = f"with op.get_context().autocommit_block(): {add.format('x')}"
        project.write("bb", "aa", f"{block}\nraise RuntimeError('cut')")
        with pytest.raises(RevisionFailed):
            project.alembic.upgrade()
        by_hand(project, "ALTER TABLE note ADD COLUMN mine INTEGER")
        is_journaled = is_mariadb(project)
        rest = add.format("y")
        again = block if is_journaled else "pass"
        project.write("bb", "aa", f"{again}\n{rest}")
        project.alembic.upgrade(resume=True)
        assert drift(project).is_known
        assert not drift(project)
        by_hand(project, "ALTER TABLE note DROP COLUMN x")
        assert whats(project) == [("column note.x", True, False)]


def test_a_schema_that_cannot_be_read_stops_no_revision(
    project: Project,
    in_context: object,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from flaskware_alembic._runtime import record

    def refuse(*_: object, **__: object) -> None:
        raise sa.exc.OperationalError("SELECT", {}, Exception("no right to look"))

    monkeypatch.setattr(record, "read_schema", refuse)
    upgraded(project)
    assert "note" in project.tables()
    assert "no right to look" in caplog.text
    monkeypatch.undo()
    assert drift(project).word == "not recorded"


def test_a_squashed_history_is_not_taken_for_an_edited_one(
    any_project: Project,
) -> None:
    upgraded(any_project)
    any_project.write_table("bb", "aa", "two")
    any_project.alembic.upgrade()
    any_project.alembic.squash()
    assert not drift(any_project)
    for path in (any_project.folder / "squashed").iterdir():
        if path.is_file():
            path.unlink()
    assert not drift(any_project)


WRITTEN = [
    ["CREATE INDEX ix_mine ON note (t)"],
    ["DROP INDEX ix_note_n{on}"],
    ["ALTER TABLE note ADD COLUMN x VARCHAR(9) DEFAULT 'a:b''c'"],
    ["ALTER TABLE note DROP COLUMN t"],
    ["ALTER TABLE note RENAME COLUMN t TO u", "CREATE INDEX ix_u ON note (u)"],
    ["DROP TABLE note"],
]


def texts(project: Project) -> dict[t.Any, str]:
    """What a database is made of, the same for another layout of it."""
    (m,) = project.alembic.state.selection().migrators
    with m.database.connect() as connection:
        found = m.record.present(connection)
    return dict(found.digests)


@pytest.mark.parametrize("statements", WRITTEN)
def test_what_was_changed_by_hand_becomes_a_revision(
    any_project: Project, statements: list[str]
) -> None:
    upgraded(any_project)
    before = texts(any_project)
    on = " ON note" if is_mariadb(any_project) else ""
    by_hand(any_project, *(statement.format(on=on) for statement in statements))
    after = texts(any_project)
    result = any_project.run("drift", "--write", "-m", "by hand")
    assert result.exit_code == 0, result.output
    assert "Wrote" in result.output
    assert drift(any_project).word == "no drift"
    assert [info.message for info in any_project.alembic.current()] == ["by hand"]
    # Elsewhere it makes the same, there and back.
    any_project.alembic.downgrade("aa")
    assert texts(any_project) == before
    any_project.alembic.upgrade()
    assert texts(any_project) == after
    assert not drift(any_project)
    assert "Nothing was changed" in any_project.run("drift", "--write").output


ON_SERVERS = {
    "postgresql": [
        "ALTER TABLE note ALTER COLUMN t TYPE INTEGER USING 1",
        "ALTER TABLE note ALTER COLUMN n SET DEFAULT 5, ALTER COLUMN n DROP NOT NULL",
        "ALTER TABLE note ADD CONSTRAINT ck CHECK (n > 0)",
        "ALTER TABLE note ADD COLUMN up INTEGER REFERENCES note (id)",
        "COMMENT ON COLUMN note.n IS 'it''s'",
        """ALTER TABLE note ENABLE ROW LEVEL SECURITY;
        CREATE POLICY mine ON note USING (id > 1)""",
        "CREATE RULE kept AS ON DELETE TO note DO INSTEAD NOTHING",
        "CREATE STATISTICS mine ON n, t FROM note",
    ],
    "mariadb": [
        "ALTER TABLE note MODIFY COLUMN t VARCHAR(30) NOT NULL COMMENT 'it''s'",
        "ALTER TABLE note ADD CONSTRAINT ck CHECK (n > 0)",
        "ALTER TABLE note ADD COLUMN up INTEGER REFERENCES note (id)",
        "CREATE TRIGGER tg BEFORE INSERT ON note FOR EACH ROW SET NEW.n = 1",
    ],
}


@pytest.mark.parametrize(
    ("kind", "statement"),
    [(kind, statement) for kind, known in ON_SERVERS.items() for statement in known],
)
def test_what_only_servers_know_becomes_a_revision(
    make_project: t.Any, request: pytest.FixtureRequest, kind: str, statement: str
) -> None:
    project = make_project(request.getfixturevalue(f"{kind}_url"))
    with project.app.app_context():
        upgraded(project)
        before = texts(project)
        by_hand(project, statement)
        after = texts(project)
        (written,) = project.alembic.write_drift("by hand")
        project.alembic.downgrade("aa")
        assert texts(project) == before
        project.alembic.upgrade()
        assert texts(project) == after
        assert "op.execute" in written.path.read_text()


def test_what_cannot_be_written_is_named(
    make_project: t.Any, postgresql_url: str
) -> None:
    project = make_project(postgresql_url)
    project.write(
        "aa", None, "op.execute(\"CREATE TYPE mood AS ENUM ('a', 'b', 'it''s')\")"
    )
    with project.app.app_context():
        project.alembic.upgrade()
        by_hand(project, "ALTER TYPE mood RENAME VALUE 'b' TO 'c'")
        with pytest.raises(MigrationError, match="type mood has lost values"):
            project.alembic.write_drift("by hand")
        assert len(list(project.folder.glob("*.py"))) == 1
