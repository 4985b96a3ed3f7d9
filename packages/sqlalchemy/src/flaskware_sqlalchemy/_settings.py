from __future__ import annotations

import collections.abc as cabc
import types
import typing as t
from importlib.util import find_spec

import pydantic
import sqlalchemy as sa

from flaskware_core import ConfigProblem
from flaskware_core import describe
from flaskware_core import Sensitive
from flaskware_core import Settings

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


_Url: t.TypeAlias = t.Annotated[str, pydantic.BeforeValidator(_as_text), Sensitive()]
_Options: t.TypeAlias = dict[str, t.Any]
_Bind: t.TypeAlias = t.Annotated[
    str | _Options,
    pydantic.BeforeValidator(_as_text),
    pydantic.AfterValidator(_has_url),
    Sensitive(),
]


_Level: t.TypeAlias = t.Literal[
    "AUTOCOMMIT",
    "READ COMMITTED",
    "READ UNCOMMITTED",
    "REPEATABLE READ",
    "SERIALIZABLE",
]
_PragmaName: t.TypeAlias = t.Annotated[str, pydantic.Field(pattern="^[a-z_]+$")]
_PragmaValue: t.TypeAlias = (
    bool | int | t.Annotated[str, pydantic.Field(pattern="^[A-Za-z_]+$")]
)
_Seconds: t.TypeAlias = t.Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
DEFAULT: t.Final = "default"
"""The name of the default database where databases are named."""


class SQLAlchemySettings(Settings):
    """The databases of an app, and the options of their connections."""

    prefix = "SQLALCHEMY_"
    distribution = "flaskware-sqlalchemy"
    replaced = types.MappingProxyType(
        {
            "SQLALCHEMY_POOL_SIZE": _OPTIONS % "pool_size",
            "SQLALCHEMY_POOL_TIMEOUT": _OPTIONS % "pool_timeout",
            "SQLALCHEMY_POOL_RECYCLE": _OPTIONS % "pool_recycle",
            "SQLALCHEMY_MAX_OVERFLOW": _OPTIONS % "max_overflow",
            "SQLALCHEMY_NATIVE_UNICODE": "nothing: text is always Unicode",
            "SQLALCHEMY_COMMIT_ON_TEARDOWN": "SQLALCHEMY_COMMIT_ON_SUCCESS = True",
            "SQLALCHEMY_ENGINES": "SQLALCHEMY_DATABASE_URI for the default database"
            " and SQLALCHEMY_BINDS for the others",
        }
    )

    database_uri: _Url | None = pydantic.Field(
        default=None,
        description="The URL of the default database, as SQLAlchemy takes it. A"
        " relative path of SQLite is in the instance folder. Without it,"
        " `SQLALCHEMY_BINDS` must name a database.",
        examples=[_URL_EXAMPLE],
    )
    binds: dict[str | None, _Bind] = pydantic.Field(
        default_factory=dict[str | None, str | _Options],
        description="Further databases by name: a URL, or a mapping with `url` and"
        " options of `sqlalchemy.create_engine`. The name `None` is the default"
        " database.",
        examples=[{"reports": "sqlite:///reports.db"}],
    )
    engine_options: t.Annotated[_Options, Sensitive()] = pydantic.Field(
        default_factory=dict,
        description="Options of `sqlalchemy.create_engine` for the default database;"
        " they win over the defaults of this extension.",
        examples=[{"pool_size": 10}],
    )
    replicas: dict[str, list[_Bind]] = pydantic.Field(
        default_factory=dict[str, list[str | _Options]],
        description="Copies to read from, by the name of their database;"
        ' `"default"` is the default database. Each is a value as for `binds`.',
        examples=[{"default": ["postgresql+psycopg://app@replica-1/shop"]}],
    )
    replica_retry: _Seconds = pydantic.Field(
        default=30.0,
        description="Seconds for which a replica that did not answer is passed over.",
        examples=[10.0],
    )
    sticky_seconds: t.Annotated[
        float, pydantic.Field(ge=0, le=3600, allow_inf_nan=False)
    ] = pydantic.Field(
        default=0.0,
        description="Seconds after a write in which the same browser's requests read"
        " from the primary, by a signed cookie; 0 sets no cookie.",
        examples=[5.0],
    )
    isolation_level: _Level | dict[str, _Level] | None = pydantic.Field(
        default=None,
        description="The isolation level of transactions: for every database, or by"
        " name. The default is that of the database.",
        examples=["REPEATABLE READ", {"default": "SERIALIZABLE"}],
    )
    statement_timeout: _Seconds | dict[str, _Seconds] | None = pydantic.Field(
        default=None,
        description="Seconds that a statement may take: for every database, or by"
        " name. On MySQL it applies only to SELECT.",
        examples=[30.0, {"reports": 300.0}],
    )
    sqlite_pragmas: dict[_PragmaName, _PragmaValue] = pydantic.Field(
        default_factory=dict[str, bool | int | str],
        description="Pragmas of each new connection to SQLite; they win over the"
        " defaults of this extension, `foreign_keys` and `journal_mode`.",
        examples=[{"foreign_keys": False, "synchronous": "NORMAL"}],
    )
    commit_on_success: bool = pydantic.Field(
        default=False,
        description="Commit the sessions of a request whose response has a status"
        " below 400: before it is sent, and again after a stream has ended.",
        examples=[True],
    )
    record_queries: bool = pydantic.Field(
        default=False,
        description="Record the queries of each context, with the line of code that"
        " sent them, in `db.recorded_queries`.",
        examples=[True],
    )
    slow_query: _Seconds | None = pydantic.Field(
        default=None,
        description="Log a warning for each statement that takes longer, in seconds.",
        examples=[0.5],
    )
    n_plus_one: t.Literal["off", "warn", "raise"] = pydantic.Field(
        default="off",
        description="The reaction to a line that loads the same relationship or columns"
        " of one object after another, or looks objects up in a loop (N+1 queries).",
        examples=["warn"],
    )
    fetch_peers: bool = pydantic.Field(
        default=False,
        description="Fetch a relationship for all objects of a result when it is first"
        " read for one of them. See `fetch_peers()`.",
        examples=[True],
    )
    spans: bool = pydantic.Field(
        default=False,
        description="Make a span of OpenTelemetry for each statement. It needs"
        " `flaskware-sqlalchemy[otel]`.",
        examples=[True],
    )
    server_timing: bool | None = pydantic.Field(
        default=None,
        description="Send the header `Server-Timing` with the time spent in the"
        " databases. The default is to send it in debug mode.",
        examples=[False],
    )
    async_drivers: dict[str, str] = pydantic.Field(
        default_factory=dict,
        description="The driver of the asynchronous engines, by dialect. The default"
        " is an installed driver.",
        examples=[{"postgresql": "asyncpg"}],
    )
    echo: bool | t.Literal["debug"] = pydantic.Field(
        default=False,
        description='Log each statement, and with "debug" each row, of every database.',
        examples=[True],
    )
    encryption_keys: tuple[pydantic.SecretStr, ...] = pydantic.Field(
        default=(),
        description="The keys of `EncryptedText` columns, as `Fernet.generate_key()`"
        " makes them: the first encrypts, all of them decrypt.",
        examples=[["the newest key", "the key before"]],
    )
    track_modifications: bool = pydantic.Field(
        default=False,
        description="Accepted for apps made for Flask-SQLAlchemy. It has no effect;"
        " True is a warning that says what replaces it.",
        examples=[False],
    )

    def conflicts(self) -> cabc.Iterator[ConfigProblem]:
        """Yield a problem for each unusable URL and unknown name."""
        if not self.databases():
            yield ConfigProblem(
                self.key("database_uri"),
                "the URL of a database, as text",
                "nothing: this key or SQLALCHEMY_BINDS is required",
                f"{self.key('database_uri')} = {_URL_EXAMPLE!r}",
            )
        for name, (url, _) in self.databases().items():
            yield from self._url_problem(self.key_of(name), url)
        for name, copies in self.copies().items():
            for number, (url, _) in enumerate(copies):
                yield from self._url_problem(self.key_of_replica(name, number), url)
        for field in ("replicas", "isolation_level", "statement_timeout"):
            value: object = getattr(self, field)
            if isinstance(value, dict):
                yield from self._unknown_names(field, t.cast("_Options", value))
        if self.spans and find_spec("opentelemetry") is None:
            yield ConfigProblem(
                self.key("spans"),
                "opentelemetry-api, which is not installed",
                "",
                "`pip install 'flaskware-sqlalchemy[otel]'`, or remove the key",
            )
        yield from self._wrong_keys()
        if DEFAULT in self.binds:
            yield ConfigProblem(
                self.key_of(DEFAULT),
                'another name: "default" is the database of SQLALCHEMY_DATABASE_URI',
                "",
                "SQLALCHEMY_DATABASE_URI",
            )

    def _wrong_keys(self) -> cabc.Iterator[ConfigProblem]:
        if not self.encryption_keys:
            return
        if find_spec("cryptography") is None:
            yield ConfigProblem(
                self.key("encryption_keys"),
                "the package cryptography, which is not installed",
                "",
                "`pip install 'flaskware-sqlalchemy[encryption]'`",
            )
            return
        from ._engines.cipher import is_key

        for number, key in enumerate(self.encryption_keys):
            if not is_key(key.get_secret_value()):
                yield ConfigProblem(
                    f"{self.key('encryption_keys')}[{number}]",
                    "a key: 32 bytes in URL-safe base64",
                    describe(key.get_secret_value(), sensitive=True),
                    "the output of `python -c 'from cryptography.fernet import Fernet;"
                    " print(Fernet.generate_key().decode())'`",
                )

    def databases(self) -> dict[str | None, tuple[str, dict[str, t.Any]]]:
        """Return URL and engine options by name, ``None`` for the default database."""
        found: dict[str | None, tuple[str, dict[str, t.Any]]]
        found = {name: _url_and_options(bind) for name, bind in self.binds.items()}
        url, options = found.pop(None, (None, dict[str, t.Any]()))
        url = url if self.database_uri is None else self.database_uri
        if url is None:
            return found
        return {None: (url, {**options, **self.engine_options}), **found}

    def copies(self) -> dict[str | None, list[tuple[str, dict[str, t.Any]]]]:
        """Return URL and engine options of the replicas, by database."""
        return {
            None if name == DEFAULT else name: [
                _url_and_options(copy) for copy in copies
            ]
            for name, copies in self.replicas.items()
        }

    def level_of(self, bind: str | None) -> str | None:
        """Return the isolation level of a database; ``None`` for its default."""
        value = self.isolation_level
        return value.get(bind or DEFAULT) if isinstance(value, dict) else value

    def timeout_of(self, bind: str | None) -> float | None:
        """Return the seconds that a statement may take on a database."""
        value = self.statement_timeout
        return value.get(bind or DEFAULT) if isinstance(value, dict) else value

    def _url_problem(self, key: str, url: str) -> cabc.Iterator[ConfigProblem]:
        from ._engines.url import EngineProblem
        from ._engines.url import usable_url

        try:
            usable = usable_url(url)
            if (
                usable.get_backend_name() == "postgresql"
                and self.async_drivers.get("postgresql") == "asyncpg"
            ):
                from ._engines.libpq import for_asyncpg

                for_asyncpg(usable, {})
        except EngineProblem as problem:
            given = describe(url, sensitive=True)
            yield ConfigProblem(key, problem.expected, given, problem.write)

    def _unknown_names(
        self, field: str, names: cabc.Iterable[str]
    ) -> cabc.Iterator[ConfigProblem]:
        known = [name or DEFAULT for name in self.databases()]
        for name in names:
            if name not in known:
                yield ConfigProblem(
                    f"{self.key(field)}[{name!r}]",
                    "the name of a configured database",
                    "",
                    f"one of {', '.join(map(repr, known))}",
                )

    @classmethod
    def key_of(cls, bind: str | None) -> str:
        """Return the configuration key of a database's URL, as the user writes it."""
        if bind is None:
            return cls.key("database_uri")
        return f"{cls.key('binds')}[{bind!r}]"

    @classmethod
    def key_of_replica(cls, bind: str | None, number: int) -> str:
        """Return the configuration key of a replica's URL, as the user writes it."""
        return f"{cls.key('replicas')}[{(bind or DEFAULT)!r}][{number}]"


def _url_and_options(bind: str | _Options) -> tuple[str, _Options]:
    options = {"url": bind} if isinstance(bind, str) else dict(bind)
    return options.pop("url"), options
