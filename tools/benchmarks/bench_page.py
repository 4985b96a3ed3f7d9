"""A whole page and a whole form post, with everything switched on.

The page reads the session and 20 rows; it has a form with CSRF protection and a script
with a nonce. The post validates the form, inserts a row and writes the session.
Sessions are in Redis, rows in SQLite; each side is as it comes. "By hand" does what can
be seen and nothing else, with Flask, SQLAlchemy and a Redis client alone.
"""

from __future__ import annotations

import atexit
import collections.abc as cabc
import hmac
import json
import os
import secrets
import tempfile
import typing as t
from pathlib import Path

import annotated_types as at
import flask
import pydantic
import redis
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm import sessionmaker

BASELINE = "bare Flask"

_REDIS = os.environ.get("FLASKWARE_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
_BASE_URL = "https://localhost"
_HEADERS = {
    "Origin": _BASE_URL, "Referer": f"{_BASE_URL}/", "Sec-Fetch-Site": "same-origin"
}  # fmt: skip
_SECRET = "k3y-0f-a-benchmark:0123456789abcdef"
_BODY = {"title": "Lost cat", "body": "Grey, and answers to Tom"}
_TEMPLATE = """\
<!doctype html><title>Notices</title>
<p>Hello, {{ session["name"] }}</p>
<ul>{% for notice in notices %}
<li>{{ notice.title }}: {{ notice.body }}</li>{% endfor %}</ul>
<form method="post">%s</form>
<script nonce="{{ csp_nonce() }}">let shown = true</script>
"""
_WTF_FIELDS = """{{ form.hidden_tag() }}
{% for field in [form.title, form.body] %}<div>{{ field.label }} {{ field() }}</div>
{% endfor %}<button>Send</button>"""

_PLAIN_FIELDS = """<input type="hidden" name="csrf_token" value="{{ token }}">
{% for name, label in [("title", "Title"), ("body", "Body")] %}
<div><label for="{{ name }}">{{ label }}</label>
<input id="{{ name }}" name="{{ name }}"
required></div>
{% endfor %}<button>Send</button>"""


class Draft(pydantic.BaseModel):
    """What is posted."""

    title: t.Annotated[str, at.Len(2, 40)]
    body: t.Annotated[str, at.Len(1, 400)]


def cases() -> dict[str, cabc.Callable[[], object]]:
    """One request each, of a client that has a session."""
    atexit.register(_clean)
    folder = Path(tempfile.mkdtemp())
    bare = flask.Flask("bare")
    bare.add_url_rule("/", "index", lambda: "ok")
    nobody = bare.test_client()
    found: dict[str, cabc.Callable[[], object]] = {BASELINE: lambda: nobody.get("/")}
    sides = {"flaskware": _flaskware, "what people use": _today, "by hand": _by_hand}
    for name, make in sides.items():
        client = make(folder / name.partition(" ")[0]).test_client()
        page = client.get("/start", base_url=_BASE_URL, headers=_HEADERS)
        assert page.status_code == 200, page.status
        found[f"{name}: the page"] = _get(client)
        found[f"{name}: the post"] = _post(client, page.text)
    return found


def _get(client: t.Any) -> cabc.Callable[[], object]:
    page = client.get("/", base_url=_BASE_URL, headers=_HEADERS)
    assert page.text.count("<li>") == 20, page.text
    assert "Hello, Ann" in page.text
    assert "nonce-" in page.headers["Content-Security-Policy"]
    return lambda: client.get("/", base_url=_BASE_URL, headers=_HEADERS)


def _post(client: t.Any, token: str) -> cabc.Callable[[], object]:
    body = {**_BODY, "csrf_token": token}

    def post() -> t.Any:
        return client.post("/", data=body, base_url=_BASE_URL, headers=_HEADERS)

    answer = post()
    assert answer.status_code in {302, 303}, answer.text
    refused = client.post("/", data={**body, "title": ""}, base_url=_BASE_URL)
    assert refused.status_code != answer.status_code
    return post


def _app(folder: Path, fields: str) -> flask.Flask:
    import jinja2

    folder.mkdir()
    app = flask.Flask("bench", instance_path=str(folder))
    app.jinja_loader = jinja2.DictLoader({"page.html": _TEMPLATE.replace("%s", fields)})
    app.config.update(
        SECRET_KEY=_SECRET,
        SQLALCHEMY_DATABASE_URI="sqlite:///rows.db",
    )
    return app


def _redis() -> redis.Redis:
    client = redis.Redis.from_url(_REDIS)
    client.ping()
    return client


def _flaskware(folder: Path) -> flask.Flask:
    from flaskware_forms import Bound
    from flaskware_forms import Forms
    from flaskware_forms import FormSpec
    from flaskware_secure import SecureHeaders
    from flaskware_session import Sessions
    from flaskware_sqlalchemy import Model
    from flaskware_sqlalchemy import SQLAlchemy

    class Base(Model, DeclarativeBase):
        """The models of this app."""

    class Notice(Base):
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str]
        body: Mapped[str]

    spec = FormSpec(Draft, name="draft")
    app = _app(folder, "{{ form.render() }}")
    db = SQLAlchemy(app, model_class=Base)
    Sessions(app, store=_REDIS, namespace=_NAMESPACE)
    Forms(app)
    SecureHeaders(app)
    newest = sa.select(Notice).order_by(Notice.id.desc()).limit(20)

    @app.get("/start")
    def start() -> str:
        flask.session["name"] = "Ann"
        return ""

    @app.route("/", methods=["GET", "POST"])
    @spec.handles
    def index(form: Bound[Draft]) -> flask.typing.ResponseReturnValue:
        if data := form.submit():
            db.session.add(Notice(title=data.title, body=data.body))
            db.session.commit()
            flask.session["sent"] = flask.session.get("sent", 0) + 1
            return form.done(flask.url_for("index"))
        return form.respond("page.html", notices=db.session.scalars(newest).all())

    _fill(app, db, Notice)
    return app


def _today(folder: Path) -> flask.Flask:
    import flask_session
    import flask_sqlalchemy
    import flask_talisman
    import flask_wtf
    import wtforms
    from wtforms import validators

    class Base(DeclarativeBase):
        """The models of this app."""

    app = _app(folder, _WTF_FIELDS)
    db = flask_sqlalchemy.SQLAlchemy(app, model_class=Base)
    app.config.update(
        SESSION_TYPE="redis", SESSION_REDIS=_redis(), SESSION_KEY_PREFIX=_NAMESPACE
    )
    flask_session.Session(app)
    flask_wtf.CSRFProtect(app)
    flask_talisman.Talisman(
        app,
        content_security_policy={"default-src": "'self'", "script-src": "'self'"},
        content_security_policy_nonce_in=["script-src"],
    )

    class Notice(db.Model):  # type: ignore[name-defined,misc]
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str]
        body: Mapped[str]

    class DraftForm(flask_wtf.FlaskForm):  # type: ignore[misc]
        title = wtforms.StringField(
            validators=[validators.InputRequired(), validators.Length(2, 40)]
        )
        body = wtforms.StringField(
            validators=[validators.InputRequired(), validators.Length(1, 400)]
        )

    newest = sa.select(Notice).order_by(Notice.id.desc()).limit(20)

    @app.get("/start")
    def start() -> str:
        flask.session["name"] = "Ann"
        return t.cast("str", DraftForm().csrf_token.current_token)

    @app.route("/", methods=["GET", "POST"])
    def index() -> flask.typing.ResponseReturnValue:
        form = DraftForm()
        if form.validate_on_submit():
            db.session.add(Notice(title=form.title.data, body=form.body.data))
            db.session.commit()
            flask.session["sent"] = flask.session.get("sent", 0) + 1
            return flask.redirect(flask.url_for("index"))
        notices = db.session.scalars(newest).all()
        return flask.render_template("page.html", form=form, notices=notices)

    _fill(app, db, Notice)
    return app


def _by_hand(folder: Path) -> flask.Flask:
    class Base(DeclarativeBase):
        """The models of this app."""

    class Notice(Base):
        __tablename__ = "notice"
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str]
        body: Mapped[str]

    app = _app(folder, _PLAIN_FIELDS)
    engine = sa.create_engine(f"sqlite:///{folder}/rows.db")
    open_session = sessionmaker(engine)
    Base.metadata.create_all(engine)
    store = _redis()
    newest = sa.select(Notice).order_by(Notice.id.desc()).limit(20)

    def token(key: str) -> str:
        return hmac.digest(_SECRET.encode(), key.encode(), "sha256").hex()

    @app.get("/start")
    def start() -> flask.Response:
        id = secrets.token_urlsafe()
        store.set(_NAMESPACE + id, json.dumps({"name": "Ann"}))
        response = flask.Response(token(id))
        response.set_cookie("id", id, secure=True, httponly=True, samesite="Lax")
        return response

    @app.route("/", methods=["GET", "POST"])
    def index() -> flask.typing.ResponseReturnValue:
        id = flask.request.cookies["id"]
        session = json.loads(t.cast("bytes", store.get(_NAMESPACE + id)))
        sent = flask.request.form
        title, body = sent.get("title", ""), sent.get("body", "")
        proven = hmac.compare_digest(sent.get("csrf_token", ""), token(id))
        if proven and 2 <= len(title) <= 40 and 1 <= len(body) <= 400:
            with open_session.begin() as db:
                db.add(Notice(title=title, body=body))
            session["sent"] = session.get("sent", 0) + 1
            store.set(_NAMESPACE + id, json.dumps(session))
            return flask.redirect(flask.url_for("index"))
        nonce = secrets.token_urlsafe(16)
        with open_session() as db:
            page = flask.render_template(
                "page.html",
                session=session,
                notices=db.scalars(newest).all(),
                token=token(id),
                csp_nonce=lambda: nonce,
            )
        policy = f"default-src 'self'; script-src 'self' 'nonce-{nonce}'"
        return page, {"Content-Security-Policy": policy}

    with open_session.begin() as db:
        db.connection().exec_driver_sql("PRAGMA journal_mode = wal")
        db.add_all(_notices(Notice))
    return app


def _fill(app: flask.Flask, db: t.Any, model: type[t.Any]) -> None:
    with app.app_context():
        db.create_all()
        db.session.add_all(_notices(model))
        db.session.commit()


def _notices(model: type[t.Any]) -> list[t.Any]:
    return [model(title=f"Notice {number}", body="Words") for number in range(20)]


_NAMESPACE = f"flaskware-bench-{os.getpid()}"


def _clean() -> None:
    with _redis() as client:
        for key in client.scan_iter(match=f"{_NAMESPACE}*"):
            client.delete(key)
