"""Flask-SQLAlchemy's package, with what Flaskware-SQLAlchemy offers in its place."""

from flaskware_sqlalchemy import SQLAlchemy as SQLAlchemy
