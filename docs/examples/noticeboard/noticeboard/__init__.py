"""A small notice board that uses every Flaskware extension."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import typing as t
from pathlib import Path

from flask import Flask

from flaskware_core import add_health
from flaskware_core import from_environment

from . import accounts
from . import board
from . import errors
from .extensions import alembic
from .extensions import db
from .extensions import forms
from .extensions import secure
from .extensions import sessions


def create_app(**config: t.Any) -> Flask:
    """Make the app.

    Every setting can come from the environment, as `FLASK_` and the key:
    `FLASK_SESSION_STORE=redis://localhost` sets `SESSION_STORE`, and
    `FLASK_SECRET_KEY_FILE` names a file with the key.
    """
    app = Flask(__name__, instance_path=config.pop("instance_path", None))
    app.config.from_mapping(
        SQLALCHEMY_DATABASE_URI="sqlite:///board.db",
        SQLALCHEMY_BINDS={"audit": "sqlite:///audit.db"},
        SESSION_STORE="sqlite:///sessions.db",
        # Room for a photograph: the form then says that it is too large, and keeps what
        # was typed.
        MAX_CONTENT_LENGTH=16 * 1024 * 1024,
    )
    from_environment(app.config)
    app.config.from_mapping(config)
    if not app.config["SECRET_KEY"]:
        app.config["SECRET_KEY"] = _kept_secret(Path(app.instance_path))

    for extension in (secure, db, alembic, sessions, forms):
        extension.init_app(app)
    app.register_blueprint(accounts.bp)
    app.register_blueprint(board.bp)
    app.register_blueprint(errors.bp)
    sessions.devices_page(app, confirm=accounts.password_is_right)
    add_health(app)
    return app


def _kept_secret(instance: Path) -> str:
    """Return the key made at the first start, so that restarts sign nobody out."""
    path = instance / "secret_key"
    if not path.exists():
        instance.mkdir(parents=True, exist_ok=True)
        # If several processes start at once, one of them writes the key, and all of it.
        with tempfile.NamedTemporaryFile("w", dir=instance) as file:
            file.write(secrets.token_hex())
            file.flush()
            with contextlib.suppress(FileExistsError):
                os.link(file.name, path)
    return path.read_text()
