"""Flask-Migrate's package, with what Flaskware-Alembic offers in its place."""

import alembic as _alembic

from flaskware_alembic import Alembic

alembic_version = tuple(int(part) for part in _alembic.__version__.split(".")[:3])


class Migrate:
    """The class of Flask-Migrate, whose arguments are settings here."""

    def __init__(
        self, app=None, db=None, directory="migrations", command="db", **options
    ):
        # Batches are what SQLite gets, whatever is asked for.
        options.pop("render_as_batch", None)
        self._alembic = Alembic(db, directory=directory, command=command, **options)
        if app is not None:
            self.init_app(app, db)

    def init_app(self, app, db=None, **options):
        """Add the commands to an app."""
        self._alembic.init_app(app, db, **options)
