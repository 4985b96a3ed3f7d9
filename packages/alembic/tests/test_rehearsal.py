"""A rehearsal applies what is pending to a copy, and leaves the database alone."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa

from flaskware_alembic import MigrationError
from flaskware_alembic import Rehearsal
from flaskware_alembic import RevisionFailed
from flaskware_alembic._rehearsals.guard import place_of
from flaskware_alembic._rehearsals.place import PREFIX
from flaskware_core.testing import Services
from flaskware_core.testing import temporary_database

from .test_drift import by_hand
from .test_drift import is_mariadb
from .test_drift import texts
from .test_snapshot import ALL
from .test_snapshot import ALL_OF_MARIADB

Project: t.TypeAlias = t.Any
NOTE = """
op.create_table('note', sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('author_id', sa.Integer, sa.ForeignKey('author.id'), nullable=False),
    sa.Column('text', sa.String(40)), sa.Column('n', sa.Integer),
    sa.Column('price', sa.Numeric(10, 2)))
"""
FIRST = f"""
op.create_table('author', sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('name', sa.String(40)))
{NOTE}
"""
GONE = "op.drop_table('note')\nop.drop_table('author')"
ADD = (
    "op.add_column('note', sa.Column('more', sa.Integer, server_default='3'))",
    "op.drop_column('note', 'more')",
)


def applied(project: Project, rows: int = 30) -> None:
    """Apply a first revision, and fill its tables."""
    project.write("aa", None, FIRST, GONE)
    project.alembic.upgrade()
    numbers = range(1, rows + 1)
    with project.engine.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO author VALUES (:i, :name)"),
            [{"i": i, "name": f"author {i}: 5 % of a'b"} for i in numbers],
        )
        connection.execute(
            sa.text("INSERT INTO note VALUES (:i, :author, 'text', :i, :i + 0.25)"),
            [{"i": i, "author": rows + 1 - i} for i in numbers],
        )


def everything(project: Project) -> list[t.Any]:
    """The schema and all rows, which are the same after a rehearsal."""
    found: list[t.Any] = [texts(project)]
    with project.engine.connect() as connection:
        for table in sorted(sa.inspect(connection).get_table_names()):
            query = f"SELECT * FROM {table}"
            found.extend(sorted(map(repr, connection.exec_driver_sql(query))))
    return found


def group_of(project: Project) -> str:
    """The start of the names of its copies."""
    url = project.engine.url
    is_file = url.get_backend_name() == "sqlite"
    place = str(url.database) if is_file else "/".join(map(str, place_of(url)))
    return f"{PREFIX}{hashlib.sha256(place.encode()).hexdigest()[:8]}_"


def copies(project: Project) -> list[str]:
    """The copies of a project that are there."""
    group = group_of(project)
    if project.engine.dialect.name == "sqlite":
        return [path.name for path in Path(tempfile.gettempdir()).glob(f"{group}*")]
    query = (
        "SELECT schema_name FROM information_schema.schemata"
        if is_mariadb(project)
        else "SELECT datname FROM pg_database"
    )
    with project.engine.connect() as connection:
        names = connection.exec_driver_sql(query).scalars().all()
    return [name for name in names if name.startswith(group)]


def rehearsed(project: Project, **options: t.Any) -> Rehearsal:
    """Rehearse, and make sure that nothing of it stays."""
    before = everything(project)
    try:
        (found,) = project.alembic.rehearse(**options)
        return t.cast("Rehearsal", found)
    finally:
        assert everything(project) == before
        assert copies(project) == []


def is_sqlite(project: Project) -> bool:
    return bool(project.engine.dialect.name == "sqlite")


@pytest.fixture
def on_postgresql(make_project: t.Any, postgresql_url: str) -> t.Iterator[Project]:
    """A project on PostgreSQL, with its context active."""
    project = make_project(postgresql_url)
    with project.app.app_context():
        yield project


SERVERS = [
    pytest.param("postgresql", marks=pytest.mark.slow),
    pytest.param("mariadb", marks=pytest.mark.slow),
]


@pytest.fixture(params=["sqlite", *SERVERS])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database; a copy of a server takes seconds to make."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/app.db"
    return t.cast("str", request.getfixturevalue(f"{request.param}_url"))


# What happens to the database


@pytest.mark.parametrize("rows", [None, 5])
def test_a_rehearsal_goes_up_and_down_and_leaves_the_database_alone(
    any_project: Project, rows: int | None
) -> None:
    applied(any_project)
    any_project.write("bb", "aa", *ADD)
    any_project.write_table("cc", "bb", "third")
    found = rehearsed(any_project, rows=rows)
    assert [(step.revision.id, step.direction) for step in found.steps] == [
        ("bb", "upgrade"),
        ("cc", "upgrade"),
        ("cc", "downgrade"),
        ("bb", "downgrade"),
    ]
    assert not found.lost
    assert found.kept == 7
    assert found.notes == ()
    assert "ADD COLUMN more" in found.steps[0].statements[0].sql


def test_an_empty_database_is_rehearsed_from_the_first_revision(
    any_project: Project,
) -> None:
    any_project.write("aa", None, FIRST, GONE)
    (found,) = any_project.alembic.rehearse()
    assert [step.direction for step in found.steps] == ["upgrade", "downgrade"]
    assert not any_project.tables()
    assert not found.notes


def test_where_nothing_is_pending_no_copy_is_made(any_project: Project) -> None:
    applied(any_project)
    found = rehearsed(any_project)
    assert (found.copy, found.steps) == ("", ())
    result = any_project.run("rehearse")
    assert result.output == "default: Nothing to do: the databases are there already.\n"


def test_a_revision_that_fails_is_named_and_its_copy_dropped(
    any_project: Project,
) -> None:
    applied(any_project)
    any_project.write("bb", "aa", "op.execute('SELECT nothing FROM nowhere')")
    with pytest.raises(RevisionFailed, match=r"bb(?s:.)*is as it was") as caught:
        rehearsed(any_project)
    assert caught.value.revision.id == "bb"


def test_a_key_that_interrupts_leaves_no_copy(any_project: Project) -> None:
    applied(any_project)
    any_project.write("bb", "aa", *ADD)

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rehearsed(any_project, on_step=interrupt)


@pytest.mark.parametrize("kind", SERVERS)
def test_what_a_killed_rehearsal_left_is_dropped_by_the_next(
    make_project: t.Any, request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    project = make_project(request.getfixturevalue(f"{kind}_url"))
    url = project.engine.url.render_as_string(hide_password=False)
    script = f"""
        import flask, sqlalchemy as sa
        from flaskware_alembic import Alembic
        app = flask.Flask("app", root_path={str(tmp_path)!r})
        engine = sa.create_engine({url!r})
        alembic = Alembic(app=app, metadata=sa.MetaData(), engine=engine)
        with app.app_context():
            alembic.rehearse(rows=1)
    """
    with project.app.app_context():
        applied(project)
        project.write(
            "bb", "aa", "import time\nprint('now', flush=True)\ntime.sleep(60)"
        )
        command = [sys.executable, "-c", textwrap.dedent(script)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "now\n"
            project.write("bb", "aa", *ADD)
            # The copy is in use, and so is left alone.
            (first,) = project.alembic.rehearse(rows=1)
            (left,) = copies(project)
            process.send_signal(signal.SIGKILL)
        assert first.notes == ()
        found = rehearsed(project, rows=1)
        assert found.notes == (
            f"dropped {left}, which a rehearsal left that was killed",
        )


def test_a_folder_that_a_killed_rehearsal_left_is_removed(
    project: Project, in_context: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied(project)
    project.write("bb", "aa", *ADD)
    left = Path(tempfile.mkdtemp(prefix=group_of(project)))
    project.alembic.rehearse()
    assert left.is_dir()
    monkeypatch.setattr("flaskware_alembic._rehearsals.place._SECONDS_TO_LOCK", -1)
    found = rehearsed(project)
    assert found.notes == (f"removed {left}, which a rehearsal left that was killed",)


def test_rehearsals_at_once_do_not_meet(any_project: Project) -> None:
    applied(any_project)
    any_project.write("bb", "aa", *ADD)
    kept: list[int] = []

    def work() -> None:
        with any_project.app.app_context():
            (found,) = any_project.alembic.rehearse(rows=5)
            kept.append(found.kept)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept == [7, 7, 7]
    assert copies(any_project) == []


# What a rehearsal refuses


def test_a_revision_that_uses_the_engine_of_the_app_is_refused(
    any_project: Project,
) -> None:
    applied(any_project)
    code = """
    from flask import current_app
    engine = current_app.extensions["alembic"].state.selection().databases[0].engine
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM note")
    """
    any_project.write("bb", "aa", code)
    with pytest.raises(RevisionFailed, match="goes to the database of the app: DELETE"):
        rehearsed(any_project)
    if not is_sqlite(any_project):
        any_project.alembic.upgrade()
        with any_project.engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM note")) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE ROLE nobody_of_flaskware",
        "DROP DATABASE somebody",
        "DO $$ BEGIN EXECUTE 'CREATE ROLE nobody_of_flaskware'; END $$",
        "GRANT pg_monitor TO nobody_of_flaskware",
        "COMMENT ON DATABASE postgres IS 'x'",
        "ALTER SYSTEM SET work_mem = '5MB'",
    ],
)
def test_what_a_server_shares_is_not_changed(
    on_postgresql: Project, statement: str
) -> None:
    on_postgresql.write("aa", None, f"op.execute({statement!r})")
    with pytest.raises(RevisionFailed, match="what the whole server shares"):
        on_postgresql.alembic.rehearse()
    assert copies(on_postgresql) == []


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM {other}.note",
        "ALTER TABLE `{other}`.`note` ADD COLUMN x INT",
        "USE {other}",
        "SET GLOBAL max_connections = 151",
    ],
)
def test_another_database_of_a_mariadb_is_not_changed(
    make_project: t.Any, mariadb_url: str, statement: str
) -> None:
    project = make_project(mariadb_url)
    with project.app.app_context():
        applied(project)
        text = statement.format(other=project.engine.url.database)
        project.write("bb", "aa", f"op.execute({text!r})")
        with pytest.raises(RevisionFailed, match="touches nothing but its copy"):
            rehearsed(project)


def test_a_url_of_another_kind_is_refused(any_project: Project) -> None:
    applied(any_project)
    any_project.write("bb", "aa", *ADD)
    kind = "postgresql+psycopg" if is_mariadb(any_project) else "mysql+pymysql"
    with pytest.raises(MigrationError, match=r"leave out --url|Name one database"):
        rehearsed(any_project, url=f"{kind}://somebody@localhost:1/x")
    with pytest.raises(MigrationError, match=r"leave out --url|cannot be used"):
        rehearsed(any_project, url="nonsense")


def test_a_role_that_may_make_no_database_is_told_so(
    make_project: t.Any, postgresql_url: str
) -> None:
    owner = sa.create_engine(postgresql_url)
    name = f"poor_{owner.url.database}"
    with owner.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
        connection.exec_driver_sql(f"GRANT ALL ON SCHEMA public TO {name}")
    url = owner.url.set(username=name, password="x").render_as_string(False)
    project = make_project(url)
    try:
        with project.app.app_context():
            applied(project)
            project.write("bb", "aa", *ADD)
            with pytest.raises(MigrationError, match="the right to make databases"):
                rehearsed(project)
    finally:
        project.engine.dispose()
        with owner.begin() as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {name}")
            connection.exec_driver_sql(f"DROP ROLE {name}")
        owner.dispose()


# Copies


def test_a_database_in_use_is_sampled_and_the_report_says_so(
    on_postgresql: Project,
) -> None:
    applied(on_postgresql)
    on_postgresql.write("bb", "aa", *ADD)
    other = sa.create_engine(on_postgresql.engine.url)
    with other.connect():
        found = rehearsed(on_postgresql)
    other.dispose()
    assert found.copy == "the schema, with a sample of at most 1000 rows a table"
    assert found.notes == ("a sample, since another session is connected",)
    assert [str(sample) for sample in found.samples] == [
        "author: all 30 rows",
        "note: all 30 rows",
    ]


@pytest.mark.parametrize("kind", ["postgresql", SERVERS[1]])
def test_a_sample_has_the_first_and_last_rows_and_what_they_refer_to(
    make_project: t.Any, request: pytest.FixtureRequest, kind: str
) -> None:
    project = make_project(request.getfixturevalue(f"{kind}_url"))
    code = """
    for table in ("author", "note"):
        query = f"SELECT id FROM {table} ORDER BY id"
        print(table, list(op.get_bind().exec_driver_sql(query).scalars()))
    """
    with project.app.app_context():
        applied(project, rows=60)
        project.write("bb", "aa", code)
        by_hand(project, "UPDATE note SET author_id = 30 + id WHERE id < 3")
        result = project.run("rehearse", "--rows", "4", "--json")
    assert result.exit_code == 0, result.output
    assert "note [1, 2, 59, 60]" in result.stderr
    assert "author [1, 2, 31, 32, 59, 60]" in result.stderr
    assert json.loads(result.stdout)[0]["samples"] == [
        {"table": "author", "rows": 6, "total": 60},
        {"table": "note", "rows": 4, "total": 60},
    ]


ROWS = {
    "postgresql": [
        "INSERT INTO \"Note\" (n, t) VALUES (7, 'a:b'), (8, '%')",
        'INSERT INTO child (note_id) SELECT id FROM "Note"',
        "INSERT INTO part VALUES (1, '2020-05-05'), (2, '2030-01-01')",
        "ALTER TABLE child ADD CONSTRAINT later CHECK (note_id > 99) NOT VALID",
        "SELECT nextval('counter')",
        "REFRESH MATERIALIZED VIEW kept",
    ],
    "mariadb": [
        "INSERT INTO note (t) VALUES ('a:b'), ('%')",
        "INSERT INTO a_child VALUES (1, 2)",
        "INSERT INTO part VALUES (5), (500)",
    ],
}


@pytest.mark.parametrize("kind", ["postgresql", SERVERS[1]])
def test_a_sample_is_made_of_all_that_a_server_has(
    make_project: t.Any, request: pytest.FixtureRequest, kind: str
) -> None:
    project = make_project(request.getfixturevalue(f"{kind}_url"))
    statements = [ALL] if kind == "postgresql" else ALL_OF_MARIADB
    code = "\n".join(f"op.get_bind().exec_driver_sql({s!r})" for s in statements)
    show = """
    inspector = sa.inspect(op.get_bind())
    quote = op.get_bind().dialect.identifier_preparer.quote_identifier
    for name in sorted(inspector.get_table_names() + inspector.get_view_names()):
        if "alembic" not in name:
            rows = op.get_bind().exec_driver_sql(f"SELECT * FROM {quote(name)}")
            print(name, sorted(map(repr, rows)))
    """
    project.write("aa", None, code)
    with project.app.app_context():
        project.alembic.upgrade()
        by_hand(project, *(s.replace("%'", "%%'") for s in ROWS[kind]))
        project.write("bb", "aa", show)
        result = project.run("rehearse", "--rows", "100", "--json")
        assert result.exit_code == 0, (result.output, result.exception)
        upgraded = project.run("upgrade", "--json")
    assert result.stderr == upgraded.stderr
    assert len(result.stderr.splitlines()) >= 3
    assert not json.loads(result.stdout)[0]["notes"]


@pytest.mark.parametrize("kind", ["postgresql", SERVERS[1]])
def test_a_copy_is_made_on_the_server_of_a_url(
    make_project: t.Any, request: pytest.FixtureRequest, kind: t.Any
) -> None:
    project = make_project(request.getfixturevalue(f"{kind}_url"))
    with project.app.app_context():
        applied(project)
        project.write("bb", "aa", *ADD)
        with Services() as services, temporary_database(services.get(kind)) as url:
            found = rehearsed(project, url=url)
    assert "sample" in found.copy
    assert [step.revision.id for step in found.steps] == ["bb", "bb"]


def test_what_an_app_does_with_a_new_connection_counts_for_the_copy(
    on_postgresql: Project,
) -> None:
    by_hand(on_postgresql, "CREATE SCHEMA mine")
    options = {"options": "-csearch_path=mine"}
    on_postgresql.engine.dispose()
    on_postgresql.use(sa.create_engine(on_postgresql.engine.url, connect_args=options))
    with on_postgresql.app.app_context():
        applied(on_postgresql)
        on_postgresql.write("bb", "aa", *ADD)
        for rows in (None, 3):
            found = rehearsed(on_postgresql, rows=rows)
            assert found.kept == 7


def test_an_async_driver_is_rehearsed_through(on_postgresql: Project) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    applied(on_postgresql)
    on_postgresql.write("bb", "aa", *ADD)
    sync = on_postgresql.engine
    url = sync.url.set(drivername="postgresql+asyncpg")
    on_postgresql.use(t.cast("t.Any", create_async_engine(url)))
    with on_postgresql.app.app_context():
        for rows in (None, 3):
            (found,) = on_postgresql.alembic.rehearse(rows=rows)
            assert not found.lost
            (lock,) = found.steps[0].waits.values()
            assert (lock.table, lock.mode) == ("note", "AccessExclusiveLock")
    on_postgresql.engine = sync


def test_a_database_in_memory_is_rehearsed_with_the_functions_of_the_app(
    make_project: t.Any,
) -> None:
    project = make_project("sqlite://")
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)

    def connected(connection: t.Any, _: object) -> None:
        connection.create_function("twice", 1, lambda n: 2 * n)

    sa.event.listen(engine, "connect", connected)
    project.use(engine)
    with project.app.app_context():
        applied(project)
        project.write("bb", "aa", "op.execute('UPDATE note SET n = twice(n)')")
        (found,) = project.alembic.rehearse()
        assert found.kept == 6
        assert "note" in project.tables()


# Statements

# A statement, and for each database the lock on note with what waits for it, and what
# is written anew.
LOCKED: list[tuple[str, dict[str, tuple[str, str]], dict[str, tuple[str, ...]]]] = [
    (
        "ALTER TABLE note ADD COLUMN x INTEGER",
        {
            "postgresql": ("AccessExclusiveLock", "reads and writes"),
            "mariadb": ("ALGORITHM=INSTANT", "nothing"),
        },
        {},
    ),
    (
        "CREATE UNIQUE INDEX ux_n ON note (n)",
        {
            "postgresql": ("ShareLock", "writes"),
            "mariadb": ("ALGORITHM=NOCOPY, LOCK=NONE", "nothing"),
        },
        {},
    ),
    (
        "ALTER TABLE note ALTER COLUMN n TYPE BIGINT",
        {"postgresql": ("AccessExclusiveLock", "reads and writes")},
        {"postgresql": ("note", "note_pkey")},
    ),
    (
        "ALTER TABLE note MODIFY n BIGINT",
        {"mariadb": ("ALGORITHM=COPY, LOCK=SHARED", "writes")},
        {"mariadb": ("note",)},
    ),
    (
        "ALTER TABLE note ALTER COLUMN text SET NOT NULL",
        {"postgresql": ("AccessExclusiveLock", "reads and writes")},
        {},
    ),
    (
        "UPDATE note SET n = n + 1 WHERE id < 4",
        {
            "postgresql": ("RowExclusiveLock", "nothing"),
            "mariadb": ("row locks", "writes to these rows"),
        },
        {},
    ),
    (
        "TRUNCATE TABLE note",
        {
            "postgresql": ("AccessExclusiveLock", "reads and writes"),
            "mariadb": ("metadata lock, exclusive", "reads and writes"),
        },
        {"postgresql": ("note", "note_pkey")},
    ),
]


@pytest.mark.parametrize(
    ("kind", "sql", "locks", "rewritten"),
    [
        pytest.param(kind, sql, locks, rewritten, id=f"{kind}: {sql}")
        for sql, locks, rewritten in LOCKED
        for kind in locks
    ],
)
def test_a_lock_is_what_the_database_says(
    make_project: t.Any,
    request: pytest.FixtureRequest,
    kind: str,
    sql: str,
    locks: dict[str, tuple[str, str]],
    rewritten: dict[str, tuple[str, ...]],
) -> None:
    project = make_project(request.getfixturevalue(f"{kind}_url"))
    with project.app.app_context():
        applied(project)
        project.write("bb", "aa", f"op.execute({sql!r})")
        found = rehearsed(project, down=False)
    (statement,) = found.steps[0].statements
    assert statement.locks is not None
    seen = [(k.mode, k.blocks) for k in statement.locks if k.table == "note"]
    assert seen == [locks[kind]]
    assert statement.rewritten == rewritten.get(kind, ())
    assert statement.rows == (3 if sql.startswith("UPDATE") else None)


def test_a_lock_is_held_until_the_end_of_its_transaction(
    on_postgresql: Project,
) -> None:
    code = """
    op.execute("ALTER TABLE note ADD COLUMN x INTEGER")
    op.execute("SELECT pg_sleep(0.3)")
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY ix_n ON note (n)")
        op.execute("ALTER TABLE author ADD COLUMN y INTEGER")
    op.execute("SELECT pg_sleep(0.3)")
    """
    applied(on_postgresql)
    on_postgresql.write("bb", "aa", code)
    found = rehearsed(on_postgresql, down=False)
    add, sleep, index, free, _ = found.steps[0].statements
    (lock,) = add.locks or ()
    assert lock.seconds >= sleep.seconds
    assert [(k.table, k.mode, k.blocks) for k in index.locks or ()] == [
        ("note", "ShareUpdateExclusiveLock", "nothing")
    ]
    (alone,) = free.locks or ()
    assert (alone.table, alone.blocks) == ("author", "reads and writes")
    # It is gone before the second sleep, which no transaction of it goes through.
    assert alone.seconds < sleep.seconds
    assert set(found.steps[0].waits) == {"note", "author"}


def test_a_table_that_a_revision_makes_keeps_nobody_waiting(
    on_postgresql: Project,
) -> None:
    applied(on_postgresql)
    code = "op.create_table('new', sa.Column('id', sa.Integer, primary_key=True))"
    on_postgresql.write("bb", "aa", f"{code}\nop.create_index('i', 'new', ['id'])")
    found = rehearsed(on_postgresql, down=False)
    assert found.steps[0].waits == {}


def test_a_file_of_sqlite_is_locked_as_a_whole_and_a_batch_writes_a_table_anew(
    project: Project, in_context: object
) -> None:
    applied(project)
    code = """
    with op.batch_alter_table('note') as batch:
        batch.alter_column('n', nullable=False, existing_type=sa.Integer)
    """
    project.write("bb", "aa", code)
    found = rehearsed(project, down=False)
    (lock,) = found.steps[0].waits.values()
    assert (lock.table, lock.blocks) == ("", "writes")
    rewritten = [name for s in found.steps[0].statements for name in s.rewritten]
    assert rewritten == ["note"]


def test_the_same_statement_for_many_rows_is_one_line(any_project: Project) -> None:
    applied(any_project)
    code = """
    query = sa.text("UPDATE note SET n = :n WHERE id = :id")
    for id in range(1, 11):
        op.get_bind().execute(query, {"id": id, "n": id + 1})
    """
    any_project.write("bb", "aa", code)
    (step,) = rehearsed(any_project, down=False).steps
    (statement,) = step.statements
    assert (statement.times, statement.rows) == (10, 10)


# Data


def altered(column: str, old: str, new: str) -> tuple[str, str]:
    """The code that changes a type, and takes that back."""
    code = (
        "with op.batch_alter_table('note') as batch:\n"
        f"    batch.alter_column({column!r}, type_=sa.{{}}, existing_type=sa.{{}})"
    )
    return code.format(new, old), code.format(old, new)


def renamed(old: str, new: str) -> str:
    return (
        f"op.alter_column('note', {old!r}, new_column_name={new!r},"
        " existing_type=sa.String(40))"
    )


KEPT: list[tuple[str, tuple[str, str], list[tuple[str, bool]]]] = [
    ("nothing", ("pass", "pass"), []),
    (
        "a column that is renamed",
        (renamed("text", "words"), renamed("words", "text")),
        [],
    ),
    (
        "a table that is renamed",
        ("op.rename_table('note', 'notes')", "op.rename_table('notes', 'note')"),
        [],
    ),
    (
        "a column that is dropped",
        (
            "op.drop_column('note', 'text')",
            "op.add_column('note', sa.Column('text', sa.String(40)))",
        ),
        [("column note.text with 30 values is gone on the way up", True)],
    ),
    (
        "a table that is dropped",
        ("op.drop_table('note')", NOTE),
        [("table note with 30 rows is gone on the way up", True)],
    ),
    (
        "rows that are deleted",
        ("op.execute('DELETE FROM note WHERE id < 4')", "pass"),
        [("3 of 30 rows of note are gone on the way up", True)],
    ),
    (
        "rows that are added",
        (
            "op.execute('INSERT INTO author VALUES (99, NULL)')",
            "op.execute('DELETE FROM author WHERE id = 99')",
        ),
        [],
    ),
    (
        "values that are changed",
        ("op.execute('UPDATE note SET n = 0')", "pass"),
        [("values of note.n changed on the way up", True)],
    ),
    (
        "values that are changed on the way down",
        ("pass", "op.execute('UPDATE note SET n = 0')"),
        [("values of note.n changed on the way up and down", True)],
    ),
    (
        "a type that holds less",
        altered("price", "Numeric(10, 2)", "Integer()"),
        [("values of note.price changed on the way up and down", False)],
    ),
    (
        "a type that holds more",
        altered("n", "Integer()", "BigInteger()"),
        [],
    ),
    (
        "a new column with values",
        ADD,
        [("the new column note.more with 30 values goes on the way down", True)],
    ),
    (
        "a column whose copy lacks rows",
        (
            (
                "op.add_column('note', sa.Column('m', sa.Integer))\n"
                "op.execute('UPDATE note SET m = n WHERE id > 3')\n"
                "op.drop_column('note', 'n')"
            ),
            (
                "op.add_column('note', sa.Column('n', sa.Integer))\n"
                "op.execute('UPDATE note SET n = m')\nop.drop_column('note', 'm')"
            ),
        ),
        [
            ("column note.n with 30 values is gone on the way up", True),
            ("the new column note.m with 27 values goes on the way down", True),
        ],
    ),
    (
        "a column that is copied",
        (
            (
                "op.add_column('note', sa.Column('m', sa.Integer))\n"
                "op.execute('UPDATE note SET m = n')\nop.drop_column('note', 'n')"
            ),
            (
                "op.add_column('note', sa.Column('n', sa.Integer))\n"
                "op.execute('UPDATE note SET n = m')\nop.drop_column('note', 'm')"
            ),
        ),
        [("the new column note.m with 30 values goes on the way down", True)],
    ),
    (
        "a copy of a table that lacks rows",
        (
            (
                "op.execute('CREATE TABLE other AS SELECT * FROM note WHERE n > 5')\n"
                "op.drop_table('note')\n"
                "op.execute('ALTER TABLE other RENAME TO note')"
            ),
            "pass",
        ),
        [("5 of 30 rows of note are gone on the way up; no statement names it", False)],
    ),
]


def test_data_that_is_lost_is_named_and_whether_a_statement_says_so(
    any_project: Project,
) -> None:
    applied(any_project)
    before, found = everything(any_project), dict[str, list[tuple[str, bool]]]()
    for at, (title, ways, _) in enumerate(KEPT):
        # Python takes a file of the same size and second for the same.
        path = any_project.write(f"b{at}", "aa", *ways)
        (rehearsal,) = any_project.alembic.rehearse()
        found[title] = [(str(c), c.is_expected) for c in rehearsal.changes]
        path.unlink()
    assert found == {title: expected for title, _, expected in KEPT}
    assert everything(any_project) == before


def test_rows_that_a_foreign_key_deletes_are_lost(any_project: Project) -> None:
    cascade = "sa.ForeignKey('author.id', ondelete='CASCADE')"
    first = FIRST.replace("sa.ForeignKey('author.id')", cascade)
    any_project.write("aa", None, first, GONE)
    any_project.alembic.upgrade()
    by_hand(
        any_project,
        "INSERT INTO author VALUES (1, 'a'), (2, 'b')",
        "INSERT INTO note (id, author_id) VALUES (1, 1), (2, 2)",
    )
    any_project.write("bb", "aa", "op.execute('DELETE FROM author WHERE id = 1')")
    if is_sqlite(any_project):
        # Foreign keys are off while a revision runs, and a broken one is refused.
        with pytest.raises(MigrationError, match="note -> author"):
            rehearsed(any_project)
        return
    assert [str(change) for change in rehearsed(any_project).lost] == [
        "1 of 2 rows of note are gone on the way up; no statement names it"
    ]


def test_a_way_down_that_leaves_something_is_noted(any_project: Project) -> None:
    applied(any_project)
    any_project.write("bb", "aa", "op.create_index('ix_n', 'note', ['n'])")
    found = rehearsed(any_project)
    assert found.notes == (
        "the schema is another after the way down: index ix_n of note",
    )
    assert not found.lost


def test_a_backfill_is_run_and_its_rows_are_no_loss(any_project: Project) -> None:
    applied(any_project)
    extra = """
from flaskware_alembic import backfill
@backfill("note", batch=10)
def fill(connection, batch):
    connection.execute(sa.update(batch.table).where(batch.where).values(n=-batch.table.c.n))
"""
    any_project.write("bb", "aa", "pass", "pass", extra=extra)
    found = rehearsed(any_project)
    assert [(info.name, info.rows) for info in found.backfills] == [("fill", 30)]
    assert [(str(c), c.is_expected) for c in found.changes] == [
        ("values of note.n changed on the way up", True)
    ]


# The command


def test_the_command_fails_for_lost_data_and_prints_in_80_columns(
    any_project: Project,
) -> None:
    applied(any_project)
    up, down = altered("price", "Numeric(10, 2)", "Integer()")
    any_project.write("bb", "aa", f"{up}\n{ADD[0]}", f"{ADD[1]}\n{down}")
    result = any_project.run("rehearse")
    assert result.exit_code == 19, result.output
    assert "LOST: values of note.price changed on the way up and down" in result.output
    assert "rewrites: note" in result.output
    assert max(map(len, result.output.splitlines())) <= 80
    up_only = any_project.run("rehearse", "--no-down", "--json")
    assert up_only.exit_code == 19
    (plain,) = json.loads(up_only.stdout)
    assert [step["direction"] for step in plain["steps"]] == ["upgrade"]
    assert [c["column"] for c in plain["changes"] if not c["is_expected"]] == ["price"]


def test_what_an_upgrade_holds_back_is_left_out(any_project: Project) -> None:
    applied(any_project)
    any_project.write("bb", "aa", *ADD)
    any_project.write("cc", "bb", *reversed(ADD), extra="contracts = 'bb'")
    found = rehearsed(any_project)
    assert [info.id for info in found.left] == ["cc"]
    any_project.alembic.upgrade()
    assert not rehearsed(any_project).steps
    found = rehearsed(any_project, contract=True)
    assert [step.revision.id for step in found.steps] == ["cc", "cc"]
