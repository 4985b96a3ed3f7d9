from __future__ import annotations

import collections.abc as cabc
import types
import typing as t

import pydantic
import sqlalchemy as sa

from flaskware_core import ConfigProblem
from flaskware_core import describe
from flaskware_core import Sensitive
from flaskware_core import Settings

from ._url import UrlProblem
from ._url import usable_url

_URL_EXAMPLE = "sqlite:///app.db"
_OPTIONS = "SQLALCHEMY_ENGINE_OPTIONS = {%r: …}"


def _as_text(value: object) -> object:
    if isinstance(value, sa.URL):
        return value.render_as_string(hide_password=False)
    return value


def _has_url(value: str | dict[str, t.Any]) -> str | dict[str, t.Any]:
    if isinstance(value, dict):
        value = {**value, "url": _as_text(value.get("url"))}
        if not isinstance(value["url"], str):
            raise ValueError('a mapping with the key "url"')
    return value


def _no_tracking(value: bool) -> bool:
    if value:
        raise ValueError(
            "False, or no such key: SQLAlchemy's own session events tell of changes"
        )
    return value


_Url: t.TypeAlias = t.Annotated[str, pydantic.BeforeValidator(_as_text), Sensitive()]
_Options: t.TypeAlias = dict[str, t.Any]
_Bind: t.TypeAlias = t.Annotated[
    str | _Options,
    pydantic.BeforeValidator(_as_text),
    pydantic.AfterValidator(_has_url),
    Sensitive(),
]


class SQLAlchemySettings(Settings):
    """Which databases an app has, and how they are connected to."""

    prefix = "SQLALCHEMY_"
    distribution = "flaskware-sqlalchemy"
    replaced = types.MappingProxyType(
        {
            "SQLALCHEMY_POOL_SIZE": _OPTIONS % "pool_size",
            "SQLALCHEMY_POOL_TIMEOUT": _OPTIONS % "pool_timeout",
            "SQLALCHEMY_POOL_RECYCLE": _OPTIONS % "pool_recycle",
            "SQLALCHEMY_MAX_OVERFLOW": _OPTIONS % "max_overflow",
            "SQLALCHEMY_NATIVE_UNICODE": "nothing: text is Unicode always",
            "SQLALCHEMY_COMMIT_ON_TEARDOWN": "`with db.transaction():` in the view",
            "SQLALCHEMY_RECORD_QUERIES": "SQLALCHEMY_ECHO = True to see statements",
            "SQLALCHEMY_ENGINES": "SQLALCHEMY_DATABASE_URI for the default database"
            " and SQLALCHEMY_BINDS for the others",
        }
    )

    database_uri: _Url = pydantic.Field(
        description="The URL of the default database, in SQLAlchemy's form. A relative"
        " path of SQLite is in the instance folder.",
        examples=[_URL_EXAMPLE],
    )
    binds: dict[str, _Bind] = pydantic.Field(
        default_factory=dict,
        description="Further databases by name: a URL, or a mapping with `url` and"
        " options of `sqlalchemy.create_engine`.",
        examples=[{"reports": "sqlite:///reports.db"}],
    )
    engine_options: t.Annotated[_Options, Sensitive()] = pydantic.Field(
        default_factory=dict,
        description="Options of `sqlalchemy.create_engine` for the default database;"
        " they win over the defaults of this extension.",
        examples=[{"pool_size": 10}],
    )
    echo: bool | t.Literal["debug"] = pydantic.Field(
        default=False,
        description='Log each statement, and with "debug" each row, of every database.',
        examples=[True],
    )
    track_modifications: t.Annotated[bool, pydantic.AfterValidator(_no_tracking)] = (
        pydantic.Field(
            default=False,
            description="Accepted as False, as apps made for Flask-SQLAlchemy have it;"
            " it has no effect.",
            examples=[False],
        )
    )

    def conflicts(self) -> cabc.Iterator[ConfigProblem]:
        """Yield a problem for each URL that no engine can be made of."""
        for name, (url, _) in self.databases().items():
            try:
                usable_url(url)
            except UrlProblem as problem:
                yield ConfigProblem(
                    self.key_of(name),
                    problem.expected,
                    describe(url, sensitive=True),
                    problem.write,
                )

    def databases(self) -> dict[str | None, tuple[str, dict[str, t.Any]]]:
        """URL and engine options of each database, the default one's name ``None``."""
        found: dict[str | None, tuple[str, dict[str, t.Any]]]
        found = {None: (self.database_uri, dict(self.engine_options))}
        for name, bind in self.binds.items():
            options = {"url": bind} if isinstance(bind, str) else dict(bind)
            found[name] = (options.pop("url"), options)
        return found

    @classmethod
    def key_of(cls, bind: str | None) -> str:
        """Where the URL of a database is configured, as the user writes it."""
        if bind is None:
            return cls.key("database_uri")
        return f"{cls.key('binds')}[{bind!r}]"
