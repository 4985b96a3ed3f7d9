from __future__ import annotations

import json
import subprocess
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa

from flaskware_alembic import MigrationError
from flaskware_alembic import UnknownRevision
from flaskware_alembic import UnsafeRevisions
from flaskware_alembic._lint.engine import RULES
from flaskware_alembic._lint.examples import EXAMPLES
from flaskware_core import Level

from .test_lint_rules import rules_found

Project: t.TypeAlias = t.Any
DROP = "op.drop_column('item', 'n')"
LONG = f"op.execute('UPDATE item SET n = 1 WHERE n IN ({', '.join('1' * 60)})')"


@pytest.fixture
def pg(make_project: t.Any) -> t.Any:
    """A project for PostgreSQL, which nothing here connects to."""
    project = make_project("postgresql+psycopg://nowhere/none")
    with project.app.app_context():
        yield project


def rules(project: Project, *args: str, **kwargs: t.Any) -> list[str]:
    findings = project.alembic.lint(*args, **kwargs)
    return [f.rule for f in findings if f.waiver is None and f.level > Level.INFO]


def test_a_finding_says_where_why_and_what_to_write(pg: Project) -> None:
    path = pg.write("aa", None, "op.create_index('ix', 'item', ['n'])")
    (finding,) = pg.alembic.lint()
    line = path.read_text().splitlines().index("def upgrade() -> None:") + 2
    assert (finding.rule, finding.line) == ("index-not-concurrent", line)
    assert finding.level is Level.ERROR
    assert finding.lock == "ShareLock"
    assert finding.revision.id == "aa"
    assert "write" in finding.reason
    assert "postgresql_concurrently=True" in finding.safe
    assert str(finding).startswith(f"{path}:{line}: error index-not-concurrent")


@pytest.mark.parametrize(
    "code",
    [
        f"{DROP}  # lint: allow drop-column: unused since 2.1",
        f"# lint: allow drop-column: unused since 2.1\n{DROP}",
        "op.drop_column(\n    'item',\n    'n',  # lint: allow drop-column: unused\n)",
    ],
)
def test_a_waiver_with_a_reason_counts_for_its_statement(
    pg: Project, code: str
) -> None:
    pg.write("aa", None, f"{code}\nop.drop_column('item', 'm')")
    first, second = [f for f in pg.alembic.lint() if f.rule == "drop-column"]
    assert first.waiver is not None
    assert first.waiver.startswith("unused")
    assert second.waiver is None


def test_a_waiver_at_the_left_counts_for_the_whole_file(pg: Project) -> None:
    pg.write("aa", None, DROP, extra="# lint: allow drop-column: a new app")
    assert rules(pg) == []


@pytest.mark.parametrize(
    ("waiver", "rule"),
    [
        ("# lint: allow drop-column", "waiver-without-reason"),
        ("# lint: allow drop-column:", "waiver-without-reason"),
        ("# lint: allow drop-colum: why", "waiver-unknown"),
        ("# lint: allow drop-table: why", "waiver-unused"),
    ],
)
def test_a_waiver_that_does_nothing_is_found_itself(
    pg: Project, waiver: str, rule: str
) -> None:
    pg.write("aa", None, f"{DROP}  {waiver}")
    found = {finding.rule for finding in pg.alembic.lint()}
    assert {"drop-column", rule} <= found


def test_a_revision_that_goes_by_the_database_is_read_up_to_there(pg: Project) -> None:
    path = pg.write(
        "aa", None, f"{DROP}\nfor c in sa.inspect(op.get_bind()).get_columns('x'): ..."
    )
    found = {finding.rule: finding for finding in pg.alembic.lint()}
    assert "drop-column" in found
    assert found["not-readable"].line == len(path.read_text().splitlines()) - 2


def test_only_some_revisions_are_looked_at_where_they_are_named(pg: Project) -> None:
    pg.write("aa", None, DROP)
    pg.write("bb", "aa", "op.drop_table('item')")
    assert rules(pg, "bb") == ["drop-table"]
    with pytest.raises(UnknownRevision, match="zz"):
        pg.alembic.lint("zz")


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=n@example.org", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def commit(folder: Path) -> None:
    git(folder, "init", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")


def test_only_revisions_that_a_commit_does_not_have_are_looked_at(pg: Project) -> None:
    pg.write("aa", None, DROP)
    folder = pg.folder.parent
    commit(folder)
    git(folder, "checkout", "-b", "feature")
    pg.write("bb", "aa", "op.drop_table('item')")
    assert rules(pg, base="main") == ["drop-table"]
    git(folder, "add", ".")
    git(folder, "commit", "-m", "second")
    assert rules(pg, base="main") == ["drop-table"]
    assert rules(pg, base="feature") == []
    with pytest.raises(MigrationError, match="'elsewhere' cannot be read"):
        pg.alembic.lint(base="elsewhere")


def test_a_file_that_was_only_renamed_is_not_new(pg: Project) -> None:
    path = pg.write("aa", None, DROP)
    folder = pg.folder.parent
    commit(folder)
    git(folder, "mv", str(path), str(path.with_name("another.py")))
    assert rules(pg, base="HEAD") == []


def test_a_base_that_cannot_be_read_says_why(
    pg: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pg.write("aa", None, DROP)
    # The temporary folder may lie in a clone.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(MigrationError, match="not a git repository"):
        pg.alembic.lint(base="main")
    folder = pg.folder.parent
    commit(folder)
    git(folder, "checkout", "--orphan", "other")
    git(folder, "commit", "-m", "as in a shallow clone")
    with pytest.raises(MigrationError, match="--unshallow"):
        pg.alembic.lint(base="main")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MigrationError, match="git is not installed"):
        pg.alembic.lint(base="main")


def test_the_command_fails_for_what_is_bad_enough(pg: Project) -> None:
    pg.write("aa", None, DROP)
    result = pg.run("lint")
    assert result.exit_code == UnsafeRevisions.exit_code
    assert "warning drop-column" in result.output
    assert pg.run("lint", "--fail-on", "error").exit_code == 0
    listed = pg.run("lint", "--list").output
    assert "drop-column (warning; PostgreSQL, MySQL, MariaDB, SQLite)" in listed


def test_the_text_counts_in_words_and_has_no_colors_in_a_file(pg: Project) -> None:
    pg.write("aa", None, f"{DROP}  # lint: allow drop-column: unused")
    pg.write("bb", "aa", DROP)
    output = pg.run("lint", "--fail-on", "error").output
    assert "1 warning in 1 revision; 1 waived." in output
    assert "\x1b" not in output
    assert "Error: 1 finding of level warning or above." in pg.run("lint", "bb").output


def test_the_text_is_grouped_by_rule_and_80_columns_wide(pg: Project) -> None:
    pg.write("aa", None, f"{DROP}\nop.drop_column('item', 'm')\n{LONG}")
    output = pg.run("lint", "--hints").output
    assert output.count("warning drop-column (2 times)\n") == 1
    assert output.count("fails from this moment") == 1
    assert "drop column item.n\n" in output
    assert "drop column item.m\n" in output
    # A path is never broken.
    lines = [line for line in output.splitlines() if ".py:" not in line]
    assert len(lines) > 10
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("id", RULES)
def test_a_rule_is_explained_with_a_bad_and_the_safe_form(pg: Project, id: str) -> None:
    result = pg.run("lint", "--explain", id)
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 80
    reason = " ".join(result.output.split())
    assert RULES[id].reason in reason
    assert "Source: the manual of " in reason
    assert "https://" in reason


@pytest.mark.parametrize("id", RULES)
def test_the_bad_form_of_an_explanation_is_found(id: str, tmp_path: Path) -> None:
    dialect = RULES[id].dialects[0]
    assert id in rules_found(EXAMPLES[id].bad, dialect, tmp_path / "bad.py")


def test_an_unknown_rule_is_explained_by_its_neighbor(pg: Project) -> None:
    result = pg.run("lint", "--explain", "drop-colum")
    assert result.exit_code == 2
    assert "Did you mean drop-column?" in result.output


# What is one deploy


MADE = "op.create_table('t', sa.Column('id', sa.BigInteger), sa.Column('n', sa.Text))"


def test_what_alters_a_table_of_the_same_deploy_is_no_finding(pg: Project) -> None:
    pg.write("aa", None, MADE)
    pg.write("bb", "aa", "op.create_index('ix', 't', ['n'])")
    pg.write("cc", "bb", "op.drop_column('t', 'n')")
    assert rules(pg) == ["index-not-concurrent", "drop-column"]
    assert rules(pg, released="aa") == ["index-not-concurrent", "drop-column"]
    pg.write("ab", "cc", "op.add_column('u', sa.Column('n', sa.Text))")
    pg.write("ac", "ab", "op.drop_column('u', 'n')\nop.drop_column('u', 'm')")
    (finding,) = pg.alembic.lint(released="cc")
    assert finding.what == "drop column u.m"
    with pytest.raises(UnknownRevision, match="zz"):
        pg.alembic.lint(released="zz")


def test_revisions_since_a_commit_are_one_deploy(pg: Project) -> None:
    pg.write("aa", None)
    commit(pg.folder.parent)
    pg.write("bb", "aa", MADE)
    pg.write("cc", "bb", "op.create_index('ix', 't', ['n'])")
    assert rules(pg) == ["index-not-concurrent"]
    assert rules(pg, base="HEAD") == []


def test_a_contract_is_a_deploy_of_its_own(pg: Project) -> None:
    pg.write("aa", None)
    pg.write("bb", "aa", MADE)
    pg.write("cc", "bb", "op.drop_table('t')", extra="contracts = 'bb'")
    assert rules(pg, released="aa") == ["drop-table"]


def test_a_plan_is_one_deploy(any_project: Project) -> None:
    any_project.write_table("aa", None, "item")
    any_project.alembic.upgrade()
    any_project.write_table("bb", "aa", "new")
    any_project.write("cc", "bb", "op.drop_table('new')\nop.drop_table('item')")
    _, step = any_project.alembic.plan()
    assert [finding.what for finding in step.findings] == ["drop table item"]


# The baseline


@pytest.mark.parametrize("format_", ["text", "json", "sarif", "github"])
def test_a_baseline_leaves_what_is_new(pg: Project, format_: str) -> None:
    path = pg.write("aa", None, DROP)
    result = pg.run("lint", "--baseline")
    assert f"Wrote {pg.folder / 'lint-baseline.json'}: commit it" in result.output
    assert result.exit_code == 0
    # Another line is no other finding.
    path.write_text(path.read_text().replace("def upgrade", "\n\ndef upgrade"))
    assert rules(pg) == []
    result = pg.run("lint", "--format", format_)
    assert result.exit_code == 0
    assert "drop-column" not in result.output
    # The same once more is one.
    path.write_text(path.read_text().replace(DROP, f"{DROP}\n    {DROP}"))
    pg.alembic.state.forget()
    assert rules(pg) == ["drop-column"]
    pg.write("bb", "aa", "op.drop_table('item')")
    result = pg.run("lint", "--format", format_)
    assert "drop-table" in result.output
    assert rules(pg, baseline=False) == ["drop-column", "drop-column", "drop-table"]


def test_a_baseline_is_counted_and_ends_with_its_findings(pg: Project) -> None:
    path = pg.write("aa", None, f"{DROP}\n{DROP}")
    assert len(pg.alembic.write_baseline()) == 1
    assert "No finding; 2 in the baseline." in pg.run("lint").output
    path.write_text(path.read_text().replace(DROP, "pass"))
    pg.alembic.state.forget()
    assert pg.alembic.write_baseline() == []
    assert not (pg.folder / "lint-baseline.json").exists()
    assert "Nothing to write" in pg.run("lint", "--baseline").output


def test_a_value_to_fill_in_is_never_in_a_baseline(pg: Project) -> None:
    pg.write("aa", None, f"{DROP}\nvalues = {{'n': ...}}")
    pg.alembic.write_baseline()
    assert rules(pg) == ["to-fill-in"]


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 9}', '{"version": 1}'])
def test_a_baseline_that_cannot_be_read_says_so(pg: Project, text: str) -> None:
    pg.write("aa", None, DROP)
    (pg.folder / "lint-baseline.json").write_text(text)
    with pytest.raises(MigrationError, match="flask db lint --baseline"):
        pg.alembic.lint()


def test_findings_for_github_keep_their_line(pg: Project) -> None:
    pg.write("aa", None, "op.execute('DROP TABLE\\n\"a%b\"')")
    lines = pg.run("lint", "--format", "github", "--fail-on", "error").output
    assert 'DROP TABLE "a%25b"' in lines
    assert all(line.startswith("::") for line in lines.splitlines())


def test_findings_are_printed_for_programs(pg: Project) -> None:
    path = pg.write("aa", None, f"{DROP}\n{DROP}  # lint: allow drop-column: why not")
    by_json = json.loads(
        pg.run("lint", "--format", "json", "--fail-on", "error").output
    )
    assert {"drop-column"} <= {item["rule"] for item in by_json}
    assert by_json[0]["path"] == str(path)

    sarif = json.loads(pg.run("lint", "--format", "sarif", "--fail-on", "error").output)
    (run,) = sarif["runs"]
    assert sarif["version"] == "2.1.0"
    known = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in run["results"]} <= known
    # What the standard requires of a result, and the levels that it has.
    assert all(result["message"]["text"] for result in run["results"])
    assert {result["level"] for result in run["results"]} <= {"note", "warning"}
    places = [r["locations"][0]["physicalLocation"] for r in run["results"]]
    assert {p["artifactLocation"]["uri"] for p in places} == {path.as_uri()}
    assert all(p["region"]["startLine"] > 0 for p in places)
    reasons = [r["suppressions"] for r in run["results"] if "suppressions" in r]
    assert reasons == [[{"kind": "inSource", "justification": "why not"}]]

    lines = pg.run("lint", "--format", "github", "--fail-on", "error").output
    assert f"::warning file={path},line=8,title=drop-column::" in lines
    assert lines.count("title=drop-column") == 1


def test_a_plan_shows_the_sql_and_the_findings(any_project: Project) -> None:
    any_project.write_table("aa", None, "item")
    any_project.alembic.upgrade()
    any_project.write("bb", "aa", "op.drop_table('item')")
    (step,) = any_project.alembic.plan()
    assert "DROP TABLE item" in step.sql
    assert "drop-table" in {finding.rule for finding in step.findings}
    output = any_project.run("plan").output
    assert "DROP TABLE item" in output
    assert "warning drop-table" in output


# What --fix writes

FIXES = {
    "index-not-concurrent": (
        "op.create_index('ix', 'item', ['n'], unique=False)",
        ["autocommit_block", "postgresql_concurrently=True", "unique=False"],
    ),
    "drop-index-not-concurrent": (
        "op.drop_index('ix_old', table_name='item')",
        ["autocommit_block", "postgresql_concurrently=True", "table_name='item'"],
    ),
    "concurrent-in-transaction": (
        "op.create_index('ix', 'item', ['n'], postgresql_concurrently=True)",
        ["autocommit_block", "if_not_exists=True"],
    ),
    "foreign-key-validates": (
        "op.create_foreign_key('fk', 'item', 'kind', ['kind_id'], ['id'])",
        ["postgresql_not_valid=True", 'VALIDATE CONSTRAINT "fk"'],
    ),
    "check-validates": (
        "op.create_check_constraint(op.f('ck'), 'item', 'n > 0')",
        ["postgresql_not_valid=True", 'VALIDATE CONSTRAINT "ck"'],
    ),
    "unique-builds-index": (
        "op.create_unique_constraint('uq', 'item', ['n'])",
        ["unique=True", "USING INDEX"],
    ),
}


@pytest.mark.parametrize("rule", FIXES)
def test_a_fix_writes_what_the_rules_accept_and_postgresql_runs(
    rule: str, make_project: t.Any, postgresql_url: str
) -> None:
    code, expected = FIXES[rule]
    project = make_project(postgresql_url)
    path = project.write("aa", None, f"if True:\n    {code}")
    with project.engine.begin() as connection:
        for statement in (
            "CREATE TABLE kind (id bigint PRIMARY KEY)",
            "CREATE TABLE item (id bigint PRIMARY KEY, n int, kind_id bigint)",
            "CREATE INDEX ix_old ON item (n)",
            "INSERT INTO item VALUES (1, 1, NULL)",
        ):
            connection.exec_driver_sql(statement)
    with project.app.app_context():
        result = project.run("lint", "--fix")
        assert result.exit_code == 0, result.output
        assert f"Fixed {rule} in {path}" in result.output
        text = path.read_text()
        assert all(part in text for part in expected), text
        assert rules(project) == []
        project.alembic.upgrade()


def test_what_a_fix_splits_in_two_is_held_back_and_says_so(
    make_project: t.Any, postgresql_url: str
) -> None:
    project = make_project(postgresql_url)
    project.write(
        "aa",
        None,
        "op.create_table('item', sa.Column('id', sa.BigInteger, primary_key=True),"
        " sa.Column('n', sa.Integer))",
    )
    rename = (
        "op.alter_column('item', '{}', new_column_name='{}',"
        " existing_type=sa.Integer())"
    )
    with project.app.app_context():
        project.alembic.upgrade()
        project.write("bb", "aa", rename.format("n", "m"), rename.format("m", "n"))
        project.alembic.fix("bb")
        plan = project.alembic.upgrade()
        assert [step.revision.id for step in plan] == ["bb"]
        (left,) = plan.left
        assert left.down == ("bb",)
        said = project.run("upgrade").output
        assert f"Held back: {left}, since it completes bb" in said
        for command in ("upgrade", "check", "migrate"):
            assert "flask db upgrade --contract" in project.run(command).output
        assert "(only with --contract)" in project.run("plan").output
        assert project.run("check", "--no-models").exit_code == 5
        assert project.run("check", "--serving").exit_code == 0
        project.write_table("cc", left.id, "other")
        assert project.run("check", "--serving").exit_code == 5


def test_a_fix_adds_a_required_column_in_two_steps(
    make_project: t.Any, postgresql_url: str
) -> None:
    project = make_project(postgresql_url)
    project.write_table("aa", None, "item")
    with project.app.app_context():
        project.alembic.upgrade()
        with project.engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO item VALUES (1), (2)")
        project.write(
            "bb",
            "aa",
            "op.add_column('item', sa.Column('m', sa.BigInteger(), nullable=False))",
        )
        project.alembic.fix("bb")
        (left,) = project.alembic.upgrade().left
        # What the new column is to be, only a person knows.
        text = left.path.read_text().replace("{'m': ...}", "{'m': 7}")
        assert text != left.path.read_text()
        left.path.write_text(text)
        project.alembic.upgrade(contract=True)
        with project.engine.connect() as connection:
            found = connection.execute(sa.text("SELECT id, m FROM item ORDER BY id"))
            assert found.all() == [(1, 7), (2, 7)]
        (column,) = [
            c
            for c in sa.inspect(project.engine).get_columns("item")
            if c["name"] == "m"
        ]
        assert not column["nullable"]


def test_an_empty_database_gets_both_steps_at_once(project: Project) -> None:
    project.write_table("aa", None, "item")
    project.write("bb", "aa", extra="contracts = 'aa'")
    with project.app.app_context():
        assert len(project.alembic.upgrade()) == 2


def test_what_cannot_be_mended_stays_as_it_is(pg: Project) -> None:
    path = pg.write(
        "aa", None, "op.alter_column('item', 'n', new_column_name='m')\nname = 'x'"
    )
    before = path.read_text()
    assert pg.alembic.fix() == []
    assert path.read_text() == before


SCHEMA = """
    CREATE TABLE kind (id bigint PRIMARY KEY);
    CREATE TABLE item (id bigint PRIMARY KEY, n int, kind_id bigint,
        m int NOT NULL DEFAULT 5);
    CREATE INDEX ix_old ON item (n);
    INSERT INTO item VALUES (1, 1, NULL, 7);
    ALTER TABLE item ADD CONSTRAINT ck_later CHECK (n > 0) NOT VALID
"""
# The schema without the names that stand for nothing and the order of columns.
CATALOG = """
    SELECT 'column', c.relname, a.attname,
           concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull,
                     pg_get_expr(d.adbin, d.adrelid))
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public'
    UNION ALL SELECT 'constraint', conrelid::regclass::text, conname,
           pg_get_constraintdef(oid) || convalidated
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
"""
SAME = [
    "op.create_index('ix', 'item', ['n'], unique=False)",
    "op.create_index(\n    'ix', 'item', ['n'],  # lint: allow wide-index: why\n)",
    "op.execute('create unique index ix on item (n)')",
    "op.execute(sa.text('CREATE INDEX ix ON item (n);'))",
    "op.drop_index('ix_old', table_name='item')",
    "op.execute('DROP INDEX ix_old')",
    "op.execute('REINDEX TABLE item')",
    "op.create_foreign_key('fk', 'item', 'kind', ['kind_id'], ['id'])",
    (
        "op.execute('ALTER TABLE item ADD CONSTRAINT fk FOREIGN KEY (kind_id)"
        " REFERENCES kind (id) ON DELETE CASCADE')"
    ),
    "op.create_check_constraint(op.f('ck'), 'item', 'n > 0')",
    "op.execute('ALTER TABLE item ADD CONSTRAINT ck CHECK (n > 0);')",
    "op.execute('ALTER TABLE item VALIDATE CONSTRAINT ck_later')",
    (
        "op.execute('ALTER TABLE item ADD CONSTRAINT ck CHECK (n > 0) NOT VALID')\n"
        "op.execute('ALTER TABLE item VALIDATE CONSTRAINT ck')"
    ),
    "op.create_unique_constraint('uq', 'item', ['n'])",
    "for name in ('n', 'm'):\n    op.create_index(f'ix_{name}', 'item', [name])",
    (
        "with op.get_context().autocommit_block():\n"
        "    op.create_index('ix', 'item', ['n'])"
    ),
    "def index(it: str) -> None:\n    op.create_index(it, 'item', ['n'])\nindex('ix')",
]


@pytest.mark.parametrize("code", SAME)
def test_what_a_fix_writes_ends_in_the_same_schema_and_is_not_fixed_again(
    code: str, make_project: t.Any, postgresql_url: str
) -> None:
    project = make_project(postgresql_url)

    def run() -> set[t.Any]:
        with project.engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
            for statement in SCHEMA.split(";"):
                connection.exec_driver_sql(statement)
        project.alembic.upgrade(contract=True)
        with project.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE alembic_version")
            drop = "DROP TABLE IF EXISTS alembic_version_backfill"
            connection.exec_driver_sql(drop)
            return set(connection.exec_driver_sql(CATALOG))

    path = project.write("aa", None, code)
    with project.app.app_context():
        plain = run()
        assert project.alembic.fix(hints=True)
        comments = path.read_text().count("# lint: allow")
        assert comments == code.count("# lint: allow")
        files = {p: p.read_text() for p in project.folder.glob("*.py")}
        assert project.alembic.fix(hints=True) == []
        assert files == {p: p.read_text() for p in project.folder.glob("*.py")}
        assert run() == plain


@pytest.mark.parametrize(
    "code",
    [
        "op.create_index('ix', 'item', ['n']); name = 'x'",
        "if True: op.create_index('ix', 'item', ['n'])",
        "op.create_index(None, 'item', ['n'])",
        "op.execute('CREATE INDEX a ON item (n); CREATE INDEX b ON item (m)')",
        "op.execute('CREATE INDEX a /* why */ ON item (n)')",
        "op.execute('ALTER TABLE item ADD CHECK (n > 0)')",
        "op.add_column('item', sa.Column('k', sa.ForeignKey('kind.id'), index=True))",
        (
            "with op.batch_alter_table('item') as batch_op:\n"
            "    batch_op.create_index('ix', ['n'])"
        ),
    ],
)
def test_what_cannot_be_mended_surely_is_not_said_to_be(pg: Project, code: str) -> None:
    path = pg.write("aa", None, code)
    before = path.read_text()
    assert any(finding.level is Level.ERROR for finding in pg.alembic.lint())
    assert not any(finding.can_fix for finding in pg.alembic.lint())
    assert pg.alembic.fix() == []
    assert path.read_text() == before


def test_the_advice_on_a_key_names_its_column_and_the_model(
    make_project: t.Any, postgresql_url: str
) -> None:
    project = make_project(postgresql_url)
    project.write_table("aa", None, "one")
    output = project.run("lint", "--hints").output
    assert 'sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True)' in output
    assert "# In the model too" in output
