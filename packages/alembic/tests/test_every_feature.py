"""Models of every feature of DDL, migrated, changed and taken back."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import enum
import shutil
import typing as t
import warnings
from importlib.metadata import version

import hypothesis as hyp
import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects import postgresql

from flaskware_alembic import State

Project: t.TypeAlias = t.Any
Items: t.TypeAlias = list[t.Any]
PG, MY, SQ = "postgresql", "mariadb", "sqlite"
ALL = (PG, MY, SQ)


class Mood(enum.Enum):
    good = 1
    bad = 2


@dc.dataclass(frozen=True)
class Feature:
    """A part of a table, in some variants that follow each other.

    :param variants: Each returns columns and constraints; ``None`` declares nothing.
    """

    name: str
    dialects: tuple[str, ...]
    variants: tuple[cabc.Callable[[], Items] | None, ...]

    def __repr__(self) -> str:
        return self.name


FEATURES: list[Feature] = []


def feature(
    name: str, *variants: cabc.Callable[[], Items] | None, on: tuple[str, ...] = ALL
) -> None:
    FEATURES.append(Feature(name, on, variants))


def column(name: str, *args: t.Any, **options: t.Any) -> cabc.Callable[[], Items]:
    """Return a function that makes a column anew, since a table keeps it."""

    def make() -> Items:
        made = [x() if callable(x) and not isinstance(x, type) else x for x in args]
        return [sa.Column(name, *made, **options)]

    return make


for number, (label, old, new, on) in enumerate(
    [
        ("int", sa.Integer(), sa.BigInteger(), ALL),
        ("small", sa.SmallInteger(), sa.Integer(), ALL),
        ("length", sa.String(20), sa.String(40), ALL),
        ("text", sa.String(20), sa.Text(), ALL),
        ("float", sa.Float(), sa.Double(), ALL),
        ("numeric", sa.Numeric(10, 2), sa.Numeric(12, 4), ALL),
        ("unicode", sa.Unicode(30), sa.UnicodeText(), ALL),
        ("date", sa.Date(), sa.DateTime(), ALL),
        ("zone", sa.DateTime(), sa.DateTime(timezone=True), (PG,)),
        ("fraction", mysql.DATETIME(fsp=3), mysql.DATETIME(fsp=6), (MY,)),
        ("unsigned", mysql.INTEGER(unsigned=True), mysql.BIGINT(unsigned=True), (MY,)),
        ("binary", sa.LargeBinary(), sa.LargeBinary(), ALL),
        ("boolean", sa.Boolean(), sa.Boolean(), ALL),
        ("json", sa.JSON(), sa.JSON(), ALL),
        ("jsonb", postgresql.JSON(), postgresql.JSONB(), (PG,)),
        ("uuid", sa.Uuid(), sa.Uuid(), ALL),
        ("time", sa.Time(), sa.Time(), ALL),
        ("interval", sa.Interval(), sa.Interval(), ALL),
        ("array", sa.ARRAY(sa.Integer), sa.ARRAY(sa.BigInteger), (PG,)),
        ("inet", postgresql.CIDR(), postgresql.INET(), (PG,)),
        ("range", postgresql.INT4RANGE(), postgresql.INT4RANGE(), (PG,)),
        ("to number", sa.String(9), sa.Integer(), (PG, MY)),
        ("collation", sa.String(9), sa.String(9, collation="C"), (PG,)),
        ("collated", sa.String(9), sa.String(9, collation="utf8mb4_bin"), (MY,)),
        (
            "enum",
            sa.Enum("a", "b", name="kind"),
            sa.Enum("a", "b", "c", name="kind"),
            ALL,
        ),
        ("mood", sa.Enum(Mood), sa.Enum(Mood), ALL),
        (
            "checked enum",
            sa.Enum("a", "b", name="k2", native_enum=False, create_constraint=True),
            sa.Enum(
                "a", "b", "c", name="k2", native_enum=False, create_constraint=True
            ),
            ALL,
        ),
    ]
):
    feature(
        f"type {label}",
        column(f"t{number}", old),
        column(f"t{number}", new),
        None,
        on=on,
    )

for number, (label, kind, old, new, on) in enumerate(
    [
        ("text", sa.String(40), "plain", "it's", ALL),
        ("quoted", sa.String(40), 'say "its"', "", ALL),
        ("odd text", sa.String(40), "100% : of \\ it", "now()", ALL),
        ("false", sa.Boolean(), sa.false, sa.true, ALL),
        ("number", sa.Integer(), "0", "7", ALL),
        ("negative", sa.Integer(), sa.text("-1"), sa.text("1"), ALL),
        ("decimal", sa.Numeric(10, 2), "0.50", "1", ALL),
        ("float", sa.Float(), "1.5", "2", ALL),
        ("now", sa.DateTime(), sa.func.now, sa.text("'2020-01-01 00:00:00'"), ALL),
        ("expression", sa.Integer(), sa.text("(1 + 2)"), sa.text("(2 + 2)"), ALL),
        ("enum", sa.Enum("a", "b", name="kd"), "a", "b", ALL),
        ("json", sa.JSON(), sa.text("('{}')"), sa.text("('[]')"), ALL),
        ("uuid", sa.Uuid(), sa.text("gen_random_uuid()"), None, (PG,)),
        ("array", sa.ARRAY(sa.Integer), sa.text("'{}'"), sa.text("'{1}'"), (PG,)),
        ("date", sa.Date(), "2020-01-01", sa.text("'2021-01-01'"), ALL),
        ("null", sa.Integer(), sa.text("NULL"), None, ALL),
        (
            "on update",
            sa.DateTime(),
            sa.text("CURRENT_TIMESTAMP"),
            sa.text("CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP"),
            (MY,),
        ),
    ]
):

    def with_default(
        name: str, kind: t.Any, value: t.Any, *, required: bool = False
    ) -> cabc.Callable[[], Items]:
        def make() -> Items:
            default = value() if callable(value) else value
            return [
                sa.Column(name, kind, server_default=default, nullable=not required)
            ]

        return make

    required = label not in {"null", "uuid"}
    feature(
        f"default {label}",
        with_default(f"d{number}", kind, old),
        with_default(f"d{number}", kind, new, required=required and new is not None),
        with_default(f"d{number}", kind, None),
        None,
        on=on,
    )


def check(text: str, name: str | None = None) -> cabc.Callable[[], Items]:
    return lambda: [sa.CheckConstraint(text, name=name)]


feature("check", check("n > 0", "n_high"), check("n > -5", "n_high"), None)
feature("unnamed check", None, check("n < 1000 OR n IS NULL"), check("n < 2000"))
feature("check in", check("n IN (1, 2, 3) OR n > 3", "n_in"), check("n <> 5", "n_in"))
feature(
    "check of text",
    check("s <> 'it''s'", "s_text"),
    check("s LIKE 'a%' OR length(s) < 100", "s_text"),
)
feature(
    "unique",
    lambda: [sa.UniqueConstraint("n", "m", name="uq_nm")],
    None,
    lambda: [sa.UniqueConstraint("n", "s", name="uq_nm")],
)
feature("unnamed unique", lambda: [sa.UniqueConstraint("m", "id")], on=(PG, MY))
feature("index", lambda: [sa.Index("ix_n", "n")], lambda: [sa.Index("ix_n", "n", "m")])
feature(
    "unique index", lambda: [sa.Index("ix_u", "m", unique=True)],
    lambda: [sa.Index("ix_u", "m")],
)  # fmt: skip
feature(
    "partial index",
    lambda: [sa.Index("ix_p", "n", postgresql_where=sa.text("n > 3"))],
    lambda: [sa.Index("ix_p", "n", postgresql_where=sa.text("n > 4"))],
    None,
    on=(PG,),
)
feature(
    "partial index of SQLite",
    lambda: [sa.Index("ix_p", "n", sqlite_where=sa.text("n > 3"))],
    lambda: [sa.Index("ix_p", "n", sqlite_where=sa.text("n > 4"))],
    None,
    on=(SQ,),
)
feature(
    "expression index",
    lambda: [sa.Index("ix_e", sa.text("lower(s)"))],
    lambda: [sa.Index("ix_e", sa.text("upper(s)"))],
    lambda: [sa.Index("ix_e", sa.text("lower(s)"), "n")],
    on=(PG, SQ),
)
feature(
    "descending index", None,
    lambda: [sa.Index("ix_d", sa.text("n DESC"))], lambda: [sa.Index("ix_d", "n")],
    on=(PG,),
)  # fmt: skip
feature(
    "operator class",
    lambda: [sa.Index("ix_o", "s", postgresql_ops={"s": "varchar_pattern_ops"})],
    lambda: [sa.Index("ix_o", "s")],
    lambda: [sa.Index("ix_o", sa.text("lower(s) varchar_pattern_ops"))],
    on=(PG,),
)
feature(
    "include",
    lambda: [sa.Index("ix_i", "n", postgresql_include=["m"])],
    lambda: [sa.Index("ix_i", "n", postgresql_include=["m", "s"])],
    on=(PG,),
)
feature(
    "method", lambda: [sa.Index("ix_m", "n", postgresql_using="hash")],
    lambda: [sa.Index("ix_m", "n", postgresql_using="brin")], on=(PG,),
)  # fmt: skip
feature(
    "comment",
    column("c", sa.Integer, comment="it's: one"),
    column("c", sa.Integer, comment="another"),
    column("c", sa.Integer),
    on=(PG, MY),
)


def exclusion(operator: str) -> cabc.Callable[[], Items]:
    return lambda: [
        sa.Column("during", postgresql.INT4RANGE()),
        postgresql.ExcludeConstraint(
            ("during", operator), name="no_overlap", using="gist"
        ),
    ]


feature("exclusion", exclusion("&&"), exclusion("="), None, on=(PG,))
feature(
    "computed",
    lambda: [sa.Column("g", sa.Integer, sa.Computed("n * 2", persisted=True))],
    lambda: [sa.Column("g", sa.Integer, sa.Computed("n * 3", persisted=True))],
    lambda: [sa.Column("g", sa.Integer)],
)
feature(
    "virtual",
    lambda: [sa.Column("v", sa.Integer, sa.Computed("n + 1", persisted=False))],
    lambda: [sa.Column("v", sa.Integer, sa.Computed("n + 2", persisted=False))],
    on=(MY, SQ),
)
feature(
    "generated like another",
    lambda: [
        sa.Column("w, (x", sa.Integer, sa.Computed("(n + (1))", persisted=False)),
        sa.Column("x", sa.String(20), sa.Computed("s || ', ('", persisted=False)),
    ],
    lambda: [
        sa.Column("w, (x", sa.Integer, sa.Computed("(n + (1))", persisted=False)),
        sa.Column("x", sa.String(20), sa.Computed("s || ') as ('", persisted=False)),
    ],
    None,
    on=(SQ,),
)
feature(
    "sequence",
    None,
    lambda: [
        sa.Column("q", sa.Integer, server_default=sa.Sequence("q_seq").next_value())
    ],
    on=(PG, MY),
)
feature("nullable", column("z", sa.Integer, nullable=True),
        column("z", sa.Integer, nullable=False, server_default="3"))  # fmt: skip

KEYS: dict[str, cabc.Callable[[], Items]] = {
    "plain": lambda: [sa.Column("id", sa.Integer, primary_key=True)],
    "big": lambda: [sa.Column("id", sa.BigInteger, primary_key=True)],
    "identity": lambda: [sa.Column("id", sa.Integer, sa.Identity(), primary_key=True)],
    "always": lambda: [
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True)
    ],
}


def declare(project: Project, key: str, chosen: dict[Feature, int]) -> None:
    project.metadata.clear()
    items: Items = [*KEYS[key]()]
    items += [sa.Column("n", sa.Integer), sa.Column("m", sa.Integer)]
    items += [sa.Column("s", sa.String(30))]
    for chosen_feature, variant in chosen.items():
        make = chosen_feature.variants[variant % len(chosen_feature.variants)]
        items.extend(make() if make is not None else ())
    sa.Table("item", project.metadata, *items)
    parent = sa.Column("item_id", KEYS[key]()[0].type, sa.ForeignKey("item.id"))
    id = sa.Column("id", sa.Integer, primary_key=True)
    sa.Table("part", project.metadata, id, parent)


def migrate(project: Project, label: str) -> str:
    """Write what changed, apply it, and find nothing left."""
    code = ""
    for info in project.alembic.revision(label):
        code = info.path.read_text("utf-8")
        try:
            findings = project.alembic.lint(info.id)
            unread = [f for f in findings if f.rule in {"not-readable"}]
            assert unread == []
            project.alembic.upgrade(contract=info.contracts is not None)
        except Exception as error:
            error.add_note(code)
            raise
    try:
        assert project.alembic.check().state is State.UP_TO_DATE
    except Exception as error:
        error.add_note(code)
        raise
    return code


def go(project: Project, key: str, *steps: dict[Feature, int]) -> None:
    """Take a database with a row along some models, back one step, and to the end."""
    code = ""
    for number, chosen in enumerate(steps):
        declare(project, key, chosen)
        code = migrate(project, f"step {number}")
        if number == 0:
            fill(project)
    assert rows(project) == [7]
    try:
        if code:
            project.alembic.downgrade("-1")
            assert rows(project) == [7]
            project.alembic.upgrade(contract=True)
            assert project.alembic.check().state is State.UP_TO_DATE
        project.alembic.downgrade("base")
    except Exception as error:
        error.add_note(code)
        raise
    assert project.tables() - {"alembic_version_backfill"} == {"alembic_version"}


def fill(project: Project) -> None:
    with project.engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO item (n, m, s) VALUES (7, 8, 'abc')"))


def rows(project: Project) -> list[int]:
    with project.engine.connect() as connection:
        return list(connection.scalars(sa.text("SELECT n FROM item")))


def features_of(project: Project) -> list[Feature]:
    name = {"mysql": MY}.get(project.engine.dialect.name, project.engine.dialect.name)
    found = [item for item in FEATURES if name in item.dialects]
    if version("sqlalchemy").startswith("2.0."):
        # An old Alembic takes no comment away on MariaDB.
        found = [item for item in found if item.name != "comment"]
    return found


# A batch of SQLite that drops the last check without a name says so.
pytestmark = pytest.mark.filterwarnings("ignore:Unnamed CHECK:UserWarning")


def test_every_feature_is_migrated_changed_and_taken_back(any_project: Project) -> None:
    features = features_of(any_project)
    steps = [dict.fromkeys(features, number) for number in range(3)]
    go(any_project, "identity", *steps)


def settings(count: int) -> hyp.settings:
    return hyp.settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(hyp.HealthCheck),
    )


@pytest.mark.slow
def test_any_features_are_migrated_changed_and_taken_back(any_project: Project) -> None:
    # Alembic takes back no constraint without a name: it warns, and asks for a naming
    # convention, which every model class of the family has.
    features = [f for f in features_of(any_project) if f.name != "unnamed unique"]
    chosen = st.sampled_from(features)
    # On SQLite, no key but INTEGER is counted up, and rows are inserted without one.
    is_sqlite = any_project.engine.dialect.name == "sqlite"
    keys = sorted(KEYS.keys() - ({"big", "always"} if is_sqlite else set()))
    choice = st.dictionaries(chosen, st.integers(0, 3), max_size=6)

    @settings(25)
    @hyp.given(st.sampled_from(keys), st.lists(choice, min_size=2, max_size=3))
    def holds(key: str, steps: list[dict[Feature, int]]) -> None:
        start_anew(any_project)
        go(any_project, key, *steps)

    holds()


def start_anew(project: Project) -> None:
    """Empty the database and the folder of revisions."""
    shutil.rmtree(project.folder, ignore_errors=True)
    project.metadata.clear()
    present = sa.MetaData()
    with project.engine.begin() as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        present.reflect(connection)
        present.drop_all(connection)
        if connection.dialect.name == "postgresql":
            for kind in sa.inspect(connection).get_enums():
                connection.exec_driver_sql(f'DROP TYPE "{kind["name"]}"')
        if connection.dialect.name != "sqlite":
            connection.exec_driver_sql("DROP SEQUENCE IF EXISTS q_seq")
