"""The app that every neighbour joins: all five extensions, one model, a few pages."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from pathlib import Path

import flask
import jinja2
import sqlalchemy as sa
from annotated_types import Len
from flask.typing import ResponseReturnValue
from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flaskware_alembic import Alembic
from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Ui
from flaskware_secure import SecureHeaders
from flaskware_session import Sessions
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import SQLAlchemy


class Base(Model, DeclarativeBase):
    pass


class User(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40))


class Name(BaseModel):
    name: t.Annotated[str, Len(1, 40), Ui(label="Name")]


name_form = FormSpec(Name, name="name")


class Family(t.NamedTuple):
    """The extensions of one app."""

    db: SQLAlchemy
    alembic: Alembic
    forms: Forms
    secure: SecureHeaders
    sessions: Sessions


PAGE = """<!doctype html><html lang="en"><head><title>Names</title></head><body>
<script nonce="{{ csp_nonce() }}">document.title = "ran"</script>
{{ form.render(submit="Add") }}</body></html>"""


def make_family(db: SQLAlchemy | None = None, **options: t.Any) -> Family:
    """Make the extensions, without an app.

    :param options: Of ``SecureHeaders``.
    """
    db = db or SQLAlchemy(model_class=Base)
    return Family(db, Alembic(db), Forms(), SecureHeaders(**options), Sessions())


def create_app(
    folder: Path | str,
    family: Family | None = None,
    *,
    kind: type[flask.Flask] = flask.Flask,
    before: cabc.Callable[[flask.Flask], object] | None = None,
    **config: t.Any,
) -> tuple[flask.Flask, Family]:
    """Make an app with the family, its tables and pages.

    :param folder: The instance folder.
    :param kind: The class of the app.
    :param before: Called with the app before the family is initialised on it.
    """
    family = family or make_family()
    app = kind("neighbour", instance_path=str(folder))
    app.config.from_mapping(
        SECRET_KEY="k3y-0f-a-test:0123456789abcdef-XYZ",
        SQLALCHEMY_DATABASE_URI="sqlite:///app.db",
        SESSION_STORE="sqlite:///sessions.db",
    )
    app.config.from_mapping(config)
    if before is not None:
        before(app)
    app.jinja_loader = jinja2.DictLoader({"page.html": PAGE})
    for extension in family:
        extension.init_app(app)
    add_pages(app, family)
    with app.app_context():
        family.db.create_all()
    return app, family


def add_pages(app: flask.Flask, family: Family) -> None:
    """Add pages that use each extension."""
    db, sessions = family.db, family.sessions

    @app.route("/page", methods=["GET", "POST"])
    @name_form.handles
    def page(form: Bound[Name]) -> ResponseReturnValue:
        """Count the visits, and add a name."""
        flask.session.increment("visits")
        if data := form.submit():
            with db.transaction() as session:
                session.add(User(name=data.name))
            return form.done("/names")
        return form.respond("page.html")

    @app.get("/names")
    def names() -> dict[str, t.Any]:
        found = db.session.scalars(sa.select(User.name).order_by(User.id)).all()
        return {"names": list(found), "user": sessions.user_id}

    @app.post("/names")
    def add_name() -> tuple[dict[str, t.Any], int]:
        with db.transaction() as session:
            session.add(user := User(name=flask.request.values["name"]))
        return {"id": user.id}, 201

    @app.post("/sign-in")
    def sign_in() -> dict[str, t.Any]:
        sessions.login(flask.request.values.get("user", "1"))
        return {"user": sessions.user_id}
