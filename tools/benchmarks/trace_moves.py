"""Count the modules that one request passes, and the moves between them.

A move is a call or a return after which code of another module of the family runs;
it goes back where that module ran before. Frames of other libraries do not count. Each
case runs twice before, so that imports on first use are done. The second half of a line
counts the modules of flaskware-core as well::

    .venv/bin/python tools/benchmarks/trace_moves.py

Only public names are used, so that an older revision can be traced by the same file.
"""

from __future__ import annotations

import collections.abc as cabc
import itertools
import os
import sys
import tempfile
import types
import typing as t
from pathlib import Path

import annotated_types as at
import flask
import pydantic
import sqlalchemy as sa
from sqlalchemy import orm

from flaskware_alembic import Alembic
from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_secure import SecureHeaders
from flaskware_session import Sessions
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import SQLAlchemy


class Case(t.NamedTuple):
    """A request or a command, and what undoes it before the next time."""

    run: cabc.Callable[[], object]
    undo: cabc.Callable[[], object] = lambda: None


Maker = cabc.Callable[[Path], Case]

_REVISION = '''\
"""note"""
import sqlalchemy as sa
from alembic import op
revision = "first"
down_revision = None
def upgrade():
    op.create_table("note", sa.Column("id", sa.Integer, primary_key=True))
def downgrade():
    op.drop_table("note")
'''


class Route(t.NamedTuple):
    """The modules that ran, in the order of their first call, and the moves."""

    modules: list[str]
    moves: int
    back: int


def trace(run: cabc.Callable[[], object], packages: tuple[str, ...]) -> Route:
    """Call a function, and note each move between the modules of these packages."""
    seen: dict[str, None] = {}
    steps: list[bool] = []
    last = ""

    def note(frame: types.FrameType | None, event: str, argument: object) -> None:
        nonlocal last
        if event == "return" and frame is not None:
            frame = frame.f_back
        elif event != "call":
            return
        name = str(frame.f_globals.get("__name__", "")) if frame else ""
        if name == last or name.partition(".")[0] not in packages:
            return
        if last:
            steps.append(name in seen)
        seen[name] = None
        last = name

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return Route(list(seen), len(steps), sum(steps))


def _app(folder: Path, **config: object) -> flask.Flask:
    app = flask.Flask("trace", instance_path=str(folder), root_path=str(folder))
    app.config.update(SECRET_KEY="k3y-0f-a-benchmark:0123456789abcdef", **config)
    return app


def _session_write(store: str) -> Maker:
    def make(folder: Path) -> Case:
        app, numbers = _app(folder), itertools.count()
        Sessions(app, store=store, namespace=f"flaskware-bench-{os.getpid()}")

        @app.get("/")
        def write() -> str:
            flask.session["number"] = next(numbers)
            return "ok"

        client = app.test_client()
        return Case(lambda: client.get("/"))

    return make


_Text = t.Annotated[str, at.Len(1, 40)]


class Person(pydantic.BaseModel):
    """Fields of the usual kinds."""

    name: _Text
    age: t.Annotated[int, at.Ge(18)]
    height: float
    news: bool
    level: t.Literal["low", "high"]


_SPEC = FormSpec(Person, name="person")
_BODY = {"name": "Ann", "age": "33", "height": "1.75", "news": "true", "level": "high"}


def _form_post(folder: Path) -> Case:
    app = _app(folder)
    Forms(app)

    @app.post("/")
    @_SPEC.handles
    def view(form: Bound[Person]) -> flask.typing.ResponseReturnValue:
        if data := form.submit():
            return data.name
        return form.respond("never.html")

    client = app.test_client()
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}

    def post() -> None:
        answer = client.post("/", data=_BODY, headers=headers)
        assert answer.text == "Ann", answer.text

    return Case(post)


def _page_with_nonce(folder: Path) -> Case:
    app = _app(folder)
    SecureHeaders(app)
    text = '<!doctype html><script nonce="{{ csp_nonce() }}"></script>'
    app.add_url_rule("/", "index", lambda: flask.render_template_string(text))
    client = app.test_client()

    def get() -> None:
        page = client.get("/")
        assert "nonce-" in page.headers["Content-Security-Policy"]

    return Case(get)


def _select(folder: Path) -> Case:
    class Base(Model, orm.DeclarativeBase):
        pass

    app = _app(folder, SQLALCHEMY_DATABASE_URI="sqlite:///rows.db")
    db = SQLAlchemy(app, model_class=Base)
    app.add_url_rule("/", "index", lambda: str(db.session.scalar(sa.text("SELECT 1"))))
    client = app.test_client()
    return Case(lambda: client.get("/"))


def _upgrade(folder: Path) -> Case:
    engine = sa.create_engine(f"sqlite:///{folder}/rows.db")
    app = _app(folder)
    ours = Alembic(app=app, engine=engine, metadata=sa.MetaData())
    with app.app_context():
        (ours.directory(create=True) / "first.py").write_text(_REVISION)
    runner = app.test_cli_runner()

    def run(*arguments: str) -> None:
        done = runner.invoke(args=["db", *arguments])
        assert done.exit_code == 0, done.output

    return Case(lambda: run("upgrade"), lambda: run("downgrade", "base"))


CASES: dict[str, tuple[str, Maker]] = {
    "session write, memory": ("session", _session_write("memory://")),
    "session write, SQLite": ("session", _session_write("sqlite:///s.db")),
    "right form post": ("forms", _form_post),
    "page with a nonce": ("secure", _page_with_nonce),
    "db.session with a SELECT": ("sqlalchemy", _select),
    "flask db upgrade": ("alembic", _upgrade),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, (title, (name, make)) in enumerate(CASES.items()):
            place = Path(folder, str(number))
            place.mkdir()
            case = make(place)
            for _ in range(2):
                case.run()
                case.undo()
            own = trace(case.run, (f"flaskware_{name}",))
            case.undo()
            both = trace(case.run, (f"flaskware_{name}", "flaskware_core"))
            print(f"{title:26}{_line(own)}   with core {_line(both)}")
            if "-v" in sys.argv:
                print("   ", *(item.partition("_")[2] for item in own.modules))


def _line(route: Route) -> str:
    return f"{len(route.modules):3} modules {route.moves:4} moves {route.back:4} back"


if __name__ == "__main__":
    main()
