"""Configuration of sessions, with presets of timeouts that standards ask for."""

from __future__ import annotations

import dataclasses as dc
import datetime as dt
import types
import typing as t

import pydantic

from flaskware_core import Sensitive
from flaskware_core import Settings

from ._records.changes import ConflictPolicy
from ._stores.async_protocol import AsyncStore
from ._stores.protocol import Store
from ._stores.sealed import key_from
from ._stores.url import check_url
from ._web.cookie import Policy
from ._web.headers import Caching

_ZERO = dt.timedelta(0)
_Positive: t.TypeAlias = t.Annotated[dt.timedelta, pydantic.Field(gt=dt.timedelta(0))]
# With the store at hand, a shorter secret can be found by trying.
_SHORTEST_PEPPER = 16
_NOTHING = "nothing: remove the key"
_NO_STORE = "an object with the methods of `flaskware_session.Store` as SESSION_STORE"


Preset: t.TypeAlias = t.Literal["owasp", "nist-aal2", "nist-aal3"]


@dc.dataclass(frozen=True)
class Timeouts:
    """Timeouts that a preset sets where the configuration does not.

    :param source: The standard that it follows.
    """

    idle: dt.timedelta
    absolute: dt.timedelta
    renewal: dt.timedelta | None
    source: str


PRESETS: dict[str, Timeouts] = {
    # Idle 15-30 minutes where little is at stake (2-5 where much is), absolute 4-8
    # hours for a day of work, and a renewal timeout, for which it names no number.
    "owasp": Timeouts(
        dt.timedelta(minutes=15),
        dt.timedelta(hours=8),
        dt.timedelta(hours=1),
        "OWASP Session Management Cheat Sheet, Session Expiration",
    ),
    # At this level both should be no longer; at the next, the absolute timeout must.
    "nist-aal2": Timeouts(
        dt.timedelta(hours=1),
        dt.timedelta(hours=24),
        None,
        "NIST SP 800-63B-4, section 2.2.3",
    ),
    "nist-aal3": Timeouts(
        dt.timedelta(minutes=15),
        dt.timedelta(hours=12),
        None,
        "NIST SP 800-63B-4, section 2.3.3",
    ),
}


def _both(url: str) -> str:
    return (
        f'SESSION_STORE = "{url}", and SESSION_MOVE_FROM = ["flask-session+{url}"] to'
        " take over what is stored"
    )


class SessionSettings(Settings):
    """Settings of sessions: their store, timeouts and cookie."""

    prefix = "SESSION_"
    distribution = "flaskware-session"
    # A key of Flask-Login.
    foreign = frozenset({"SESSION_PROTECTION"})

    # Keys of Flask-Session that would mean something else here, or have no use.
    replaced = types.MappingProxyType(
        {
            "SESSION_TYPE": _both("redis://localhost:6379/0"),
            "SESSION_ID_LENGTH": f"{_NOTHING}; an id has 256 random bits",
            "SESSION_SID_LENGTH": f"{_NOTHING}; an id has 256 random bits",
            "SESSION_SERIALIZATION_FORMAT": f"{_NOTHING}; sessions are stored as JSON",
            "SESSION_CLEANUP_N_REQUESTS": f"{_NOTHING}; expired sessions go by"
            " themselves, or at once by `flask session prune`",
            "SESSION_REDIS": _both("redis://localhost:6379/0"),
            "SESSION_CACHELIB": _both("file:///sessions"),
            "SESSION_FILE_DIR": _both("file:///sessions"),
            "SESSION_FILE_THRESHOLD": _NOTHING,
            "SESSION_FILE_MODE": f"{_NOTHING}; only the owner can read the file",
            "SESSION_MEMCACHED": _both("memcached://localhost:11211"),
            "SESSION_MONGODB": _NO_STORE,
            "SESSION_MONGODB_DB": _NO_STORE,
            "SESSION_MONGODB_COLLECT": _NO_STORE,
            "SESSION_DYNAMODB": _NO_STORE,
            "SESSION_DYNAMODB_TABLE": _NO_STORE,
            "SESSION_SQLALCHEMY": _both("postgresql+psycopg://localhost/app"),
            "SESSION_SQLALCHEMY_SEQUENCE": _NOTHING,
            "SESSION_SQLALCHEMY_SCHEMA": 'SESSION_TABLE_SCHEMA = "web"',
            "SESSION_SQLALCHEMY_BIND_KEY": _both("postgresql+psycopg://localhost/app"),
        }
    )

    store: t.Annotated[str | Store | AsyncStore, Sensitive()] = pydantic.Field(
        default="sqlite:///sessions.db",
        description="Where sessions are kept: a URL that starts with `sqlite:///`"
        " (relative to the instance folder, or absolute with a fourth slash),"
        " `redis://`, `rediss://` (TLS), `redis+sentinel://`, `redis+cluster://`,"
        " `unix://`, `postgresql://`, `mysql://` or another database of SQLAlchemy,"
        " `memcached://`, `file:///` or `memory://`; or an object with the methods of"
        " `flaskware_session.Store`, plain or as coroutines.",
        examples=["redis://localhost:6379/0"],
    )
    namespace: str = pydantic.Field(
        default="session",
        pattern=r"^[A-Za-z0-9._:-]{1,64}$",
        description="Name of the app in the store. Two apps that share a store need"
        " two, and then share no session and revoke none of the other's. Up to 64"
        " letters, digits, `.`, `_`, `:` and `-`.",
        examples=["myapp"],
    )
    store_timeout: float = pydantic.Field(
        default=1.0,
        gt=0,
        le=60,
        description="How long to wait for the store, in seconds: for a connection to a"
        " server, for each of its answers, for another process's write to a file.",
        examples=[0.5],
    )
    pool_size: int = pydantic.Field(
        default=10,
        ge=1,
        description="How many connections each process opens at most to a database"
        " server. PostgreSQL takes 100 from all its clients by default.",
        examples=[20],
    )
    table: str = pydantic.Field(
        default="flaskware_session",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,57}$",
        description="The name of the table in a database server.",
        examples=["web_session"],
    )
    table_schema: str | None = pydantic.Field(
        default=None,
        min_length=1,
        description="The schema that the table is in; it must be there. `None` means"
        " the schema that the connection has.",
        examples=["web"],
    )
    synchronous_commit: bool = pydantic.Field(
        default=True,
        description="Whether PostgreSQL answers a change of content only once it is on"
        " disk. Without, a crash of the server can undo the last moment of such"
        " changes; a sign-in, a sign-out and a new id are on disk in any case.",
        examples=[False],
    )
    on_outage: t.Literal["503", "anonymous"] = pydantic.Field(
        default="503",
        description="Behaviour if the store does not answer. `503` raises"
        " `StoreUnavailable`; `anonymous` goes on with an empty session of which"
        " nothing is stored. A request that leaves `session` alone works either way,"
        " and the cookie stays as it is.",
        examples=["anonymous"],
    )
    idle_timeout: _Positive | None = pydantic.Field(
        default=None,
        description="The longest pause between two requests of a session, in seconds"
        " or as a timedelta. `None` means Flask's `PERMANENT_SESSION_LIFETIME`"
        " (31 days).",
        examples=[3600],
    )
    absolute_timeout: _Positive | None = pydantic.Field(
        default=None,
        description="The longest time from sign-in to the end of a session however"
        " much it is used, in seconds or as a timedelta. `None` means 90 days.",
        examples=[2592000],
    )
    renewal_timeout: _Positive | None = pydantic.Field(
        default=None,
        description="After how long a session that is used gets a new id, in seconds"
        " or as a timedelta. `None` means that only sign-in and `regenerate` change"
        " it.",
        examples=[3600],
    )
    visitor_timeout: _Positive | None = pydantic.Field(
        default=None,
        description="The longest pause between two requests of a session that nobody is"
        " signed in to, in seconds or as a timedelta. `None` means the same as for a"
        " user.",
        examples=[86400],
    )
    unseen_timeout: _Positive = pydantic.Field(
        default=dt.timedelta(hours=1),
        description="How long a visitor's session is kept that no request has come back"
        " with, in seconds or as a timedelta: most of such clients keep no cookies, and"
        " would fill the store.",
        examples=[3600],
    )
    visitor_share: t.Annotated[float, pydantic.Field(ge=0, lt=1)] | None = (
        pydantic.Field(
            default=0.75,
            description="How full the memory of Redis or memcached may be for a new"
            " visitor's session to be stored, as a share of its limit. Beyond it the"
            " cookie of the visitor carries the session, signed with `SECRET_KEY`, so"
            " that there is room for users. `0` stores no visitor, in any store; `None`"
            " stores each.",
            examples=[0.5],
        )
    )
    renewal_grace: t.Annotated[dt.timedelta, pydantic.Field(ge=_ZERO)] = pydantic.Field(
        default=dt.timedelta(seconds=10),
        description="How long the id that `regenerate` or the renewal timeout has"
        " replaced is still good after the browser has used the new id, in seconds or"
        " as a timedelta: for requests that are under way.",
        examples=[10],
    )
    preset: Preset | None = pydantic.Field(
        default=None,
        description="Timeouts by a standard, where they are not set: `owasp`,"
        " `nist-aal2` or `nist-aal3`. The guide lists them.",
        examples=["owasp"],
    )
    max_per_user: int | None = pydantic.Field(
        default=None,
        ge=1,
        description="How many sessions a user may have; a further sign-in ends the"
        " session that was not seen for longest. `None` means any number.",
        examples=[5],
    )
    on_conflict: ConflictPolicy = pydantic.Field(
        default="last-wins",
        description="Behaviour if two requests change the same key at once."
        " `last-wins` keeps the later value; `raise` raises `SessionConflict` (409);"
        " a function `merge(key, base, theirs, mine)` returns the value to store.",
        examples=["raise"],
    )
    peppers: tuple[pydantic.SecretStr, ...] = pydantic.Field(
        default=(),
        description="Secrets that ids are hashed with, beside the hash itself. The"
        " first is used; the others are earlier secrets, with which sessions are"
        ' still found and then stored under the first. `""` stands for the time'
        " before there was a secret.",
        examples=[("…64 characters…", "…its predecessor…", "")],
    )
    encryption_keys: tuple[pydantic.SecretStr, ...] = pydantic.Field(
        default=(),
        description="Keys for AES-256-GCM: 32 bytes each, in URL-safe base64, as"
        " `secrets.token_urlsafe(32)` makes them. The first encrypts what is written;"
        " all of them decrypt. Empty means that content is stored in the clear.",
        examples=[("…43 characters…",)],
    )
    encryption_accept_plain: bool = pydantic.Field(
        default=False,
        description="Whether content that was stored before there were keys is still"
        " read. Turn it off again once such sessions have expired.",
        examples=[True],
    )
    budget: float = pydantic.Field(
        default=3.0,
        gt=0,
        description="How long a request asks the store at most, over all attempts, in"
        " seconds; an attempt that has begun ends by `SESSION_STORE_TIMEOUT`.",
        examples=[2.0],
    )
    load: t.Literal["endpoint", "explicit"] = pydantic.Field(
        default="endpoint",
        description="When an app of Quart reads the session. `endpoint`: before the"
        " view, where the request has an id and the endpoint is no static file."
        " `explicit`: by `await sessions.load()`. Flask reads it at its first use.",
        examples=["explicit"],
    )
    websocket_interval: float = pydantic.Field(
        default=10.0,
        gt=0,
        description="How often an open websocket of Quart asks the store whether its"
        " session has ended, in seconds; it is then closed with the code 1008.",
        examples=[2.0],
    )
    touch_interval: _Positive = pydantic.Field(
        default=dt.timedelta(minutes=1),
        description="How often at most a request that only reads is noted as use, in"
        " seconds or as a timedelta. So much earlier a session may end than its idle"
        " timeout says.",
        examples=[60],
    )
    max_bytes: int = pydantic.Field(
        default=65536,
        gt=0,
        description="The largest encoded session, in bytes.",
        examples=[65536],
    )
    cookie_policy: Policy = pydantic.Field(
        default="auto",
        description="Whether the cookie is `Secure`. `auto`: yes, except over plain"
        " http in debug mode, in tests, or where the host is this machine. `secure`:"
        " always. `plain`: never, also over https.",
        examples=["secure"],
    )
    bearer: bool = pydantic.Field(
        default=False,
        description="Whether `Authorization: Bearer` with an id from"
        " `sessions.issue_token` opens a session. The cookie of such a request is"
        " ignored, none is set, and a new id comes in the header `Session-Token`.",
        examples=[True],
    )
    cache_control: Caching = pydantic.Field(
        default="auto",
        description="`Cache-Control` of a response for which the session was read and"
        " whose view set none. `auto`: `no-store` where a user is signed in, so that"
        " the back button shows nothing after logout, else `private, no-cache`."
        " `no-store` or `private`: always that. `None`: only a response with a cookie"
        " has a header.",
        examples=["private"],
    )
    save_on_error: bool = pydantic.Field(
        default=False,
        description="Whether changes are stored when the response is a server error"
        " (5xx).",
        examples=[True],
    )

    permanent: bool = pydantic.Field(
        default=False,
        description="Whether a new session is permanent, as Flask-Session's are:"
        " whether the browser keeps its cookie when it is closed.",
        examples=[True],
    )
    follow_login: bool = pydantic.Field(
        default=True,
        description="Whether a sign-in by Flask-Login or Flask-Security binds the"
        " session to the user, where the app uses one of them.",
        examples=[False],
    )
    login_id: str | None = pydantic.Field(
        default=None,
        description="Attribute of Flask-Login's user that holds the id by which"
        " `for_user` and `revoke_user` find sessions. `None` means the result of"
        " `get_id()`; with Flask-Security, `id`.",
        examples=["id"],
    )
    login_stamp: str | None = pydantic.Field(
        default=None,
        description="Attribute of Flask-Login's user whose change ends the user's"
        " sessions, except the session that changed it: the hash of the password."
        " Flask-Security needs none.",
        examples=["password_hash"],
    )
    move_from: tuple[t.Annotated[str, Sensitive()], ...] = pydantic.Field(
        default=(),
        description="Sources of sessions to take over when a browser first sends its"
        " cookie: `flask` for Flask's signed cookies, `flask-session+redis://…`,"
        " `flask-session+postgresql://…` or another database, `flask-session+memcached"
        "://…`, `flask-session+file:///…`; and `flask-login` for the cookies by which"
        " Flask-Login remembers users.",
        examples=[("flask",)],
    )
    key_prefix: str = pydantic.Field(
        default="session:",
        description="Prefix of the names of Flask-Session's records; only for taking"
        " them over.",
        examples=["session:"],
    )
    use_signer: bool = pydantic.Field(
        default=False,
        description="Whether Flask-Session's cookies were signed; only for taking"
        " them over.",
        examples=[True],
    )
    sqlalchemy_table: str = pydantic.Field(
        default="sessions",
        description="The name of Flask-Session's table; only for taking them over.",
        examples=["sessions"],
    )

    @pydantic.field_validator("move_from")
    @classmethod
    def _known_sources(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for source in value:
            scheme, _, _ = source.partition("://")
            if source not in {"flask", "flask-login"} and not (
                scheme.startswith("flask-session+") and "://" in source
            ):
                raise ValueError(
                    "'flask', 'flask-login', or flask-session+ and the URL of its store"
                )
        return value

    @pydantic.field_validator("peppers")
    @classmethod
    def _long_pepper(
        cls, value: tuple[pydantic.SecretStr, ...]
    ) -> tuple[pydantic.SecretStr, ...]:
        # An earlier secret may be short, so that its sessions can still be found.
        if value and 0 < len(value[0]) < _SHORTEST_PEPPER:
            raise ValueError(
                f"first a secret of {_SHORTEST_PEPPER} characters or more, such as the"
                " output of: python -c 'import secrets; print(secrets.token_hex())'"
            )
        return value

    @pydantic.field_validator("encryption_keys")
    @classmethod
    def _whole_keys(
        cls, value: tuple[pydantic.SecretStr, ...]
    ) -> tuple[pydantic.SecretStr, ...]:
        for key in value:
            key_from(key.get_secret_value())
        return value

    @pydantic.field_validator("store")
    @classmethod
    def _known_url(cls, value: str | Store | AsyncStore) -> str | Store | AsyncStore:
        if isinstance(value, str):
            check_url(value)
        return value
