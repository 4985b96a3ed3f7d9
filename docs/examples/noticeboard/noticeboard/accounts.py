"""Sign-up, sign-in and sign-out."""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t

import flask
from annotated_types import Len
from flask.typing import ResponseReturnValue
from pydantic import BaseModel
from pydantic import EmailStr
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from werkzeug.security import check_password_hash
from werkzeug.security import generate_password_hash

from flaskware_forms import Bound
from flaskware_forms import FormSpec
from flaskware_forms import Ui

from .extensions import db
from .extensions import sessions
from .models import Event
from .models import User

bp = flask.Blueprint("accounts", __name__)

P = t.ParamSpec("P")

TAKEN = "There is an account with this email. Sign in instead?"

# Compared if there is no such account, so that both answers take equally long.
_NOBODY = generate_password_hash("nobody has this password")


class SignUp(BaseModel):
    name: t.Annotated[str, Len(2, 40), Ui(label="Your name", autocomplete="name")]
    email: t.Annotated[EmailStr, Ui(label="Email", autocomplete="email")]
    password: t.Annotated[
        SecretStr,
        Len(10, 200),
        Ui(
            label="Password",
            hint="At least 10 characters.",
            autocomplete="new-password",
        ),
    ]


class SignIn(BaseModel):
    email: t.Annotated[EmailStr, Ui(label="Email", autocomplete="username")]
    password: t.Annotated[
        SecretStr, Len(1, 200), Ui(label="Password", autocomplete="current-password")
    ]


sign_up = FormSpec(SignUp, name="sign-up")
sign_in = FormSpec(SignIn, name="sign-in")


@sign_up.check("email")
def email_is_free(value: str) -> str | None:
    return TAKEN if find_user(value) else None


@sign_in.check()
def credentials_are_right(data: SignIn) -> str | None:
    user = find_user(data.email)
    stored = user.password_hash if user else _NOBODY
    right = check_password_hash(stored, data.password.get_secret_value())
    return None if user and right else "Email or password is wrong."


def password_is_right(user_id: str, password: str) -> bool:
    """Return True for the password of a user; the page of devices asks for it."""
    user = db.session.get(User, int(user_id))
    return user is not None and check_password_hash(user.password_hash, password)


@bp.route("/sign-up", methods=["GET", "POST"])
@sign_up.handles
def register(form: Bound[SignUp]) -> ResponseReturnValue:
    if data := form.submit():
        user = User(
            name=data.name,
            email=data.email.lower(),
            password_hash=generate_password_hash(data.password.get_secret_value()),
        )
        try:
            with db.transaction() as session:
                session.add(user)
        except IntegrityError:  # another request has just signed up with it
            form.add_error(TAKEN, "email")
            return form.respond("accounts/sign_up.html")
        start_session(user, "signed up")
        return form.done(flask.url_for("board.index"))
    return form.respond("accounts/sign_up.html")


@bp.route("/sign-in", methods=["GET", "POST"])
@sign_in.handles
def enter(form: Bound[SignIn]) -> ResponseReturnValue:
    if data := form.submit():
        user = find_user(data.email)
        assert user is not None
        going_to = flask.session.pop("going_to", flask.url_for("board.index"))
        start_session(user, "signed in")
        return form.done(going_to)
    return form.respond("accounts/sign_in.html")


@bp.post("/sign-out")
def leave() -> ResponseReturnValue:
    sessions.logout()
    return flask.redirect(flask.url_for("board.index"), 303)


def signed_in(
    view: cabc.Callable[P, ResponseReturnValue],
) -> cabc.Callable[P, ResponseReturnValue]:
    """Refuse visitors who are not signed in, which leads them to the sign-in page."""

    @functools.wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if current_user() is None:
            flask.abort(401)
        return view(*args, **kwargs)

    return guarded


@bp.app_errorhandler(401)
def ask_to_sign_in(error: Exception) -> ResponseReturnValue:  # noqa: ARG001
    # Only once, even if several pages redirect here.
    if "_flashes" not in flask.session:
        flask.flash("Please sign in first.")
    if flask.request.method == "GET":
        # In the session, where no link from elsewhere can set it.
        flask.session["going_to"] = flask.request.full_path.rstrip("?")
    return flask.redirect(flask.url_for("accounts.enter"), 303)


@bp.app_context_processor
def add_current_user() -> dict[str, object]:
    return {"current_user": current_user}


def current_user() -> User | None:
    """Return the user who is signed in, read once per request."""
    if "user" not in flask.g:
        id = sessions.user_id
        flask.g.user = db.session.get(User, int(id)) if id else None
    user: User | None = flask.g.user
    return user


def find_user(email: str) -> User | None:
    return db.session.scalar(select(User).where(User.email == email.lower()))


def start_session(user: User, what: str) -> None:
    sessions.login(str(user.id))
    flask.g.pop("user", None)
    with db.transaction() as session:
        session.add(Event(user_id=user.id, what=what))
    flask.flash(f"Welcome, {user.name}.")
