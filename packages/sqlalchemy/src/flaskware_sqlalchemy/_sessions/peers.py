"""Lazy loads of one result, fetched together for all its objects.

The first lazy load of a relationship is replaced by one statement, which loads the
relationship of every object of the same result: its peers. That statement is a
``joinedload`` of SQLAlchemy's, which fills what is not loaded of objects that exist and
leaves the rest alone. Where this would not give what a lazy load gives, such as for an
object with changes, the lazy load takes place as ever.
"""

from __future__ import annotations

import collections.abc as cabc
import contextvars
import itertools
import typing as t

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import orm
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine import Result
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.orm import collections
from sqlalchemy.orm.interfaces import UserDefinedOption

from .session import RoutedSession

BATCH = 500
"""Objects in one statement at most, as SQLAlchemy's ``selectinload`` has it."""

_wanted: contextvars.ContextVar[bool | None] = contextvars.ContextVar(
    "flaskware_sqlalchemy_fetch_peers", default=None
)


class _Option(UserDefinedOption):
    """An option that is part of the key of cached statements.

    SQLAlchemy pairs the options of a statement with those of the cached statement by
    their place, so an equal key has to mean equal options.
    """

    __slots__ = ()

    _is_has_cache_key = True

    def _gen_cache_key(self, anon_map: object, bindparams: object) -> tuple[t.Any, ...]:  # noqa: ARG002
        return type(self), self.payload


class FetchPeers(_Option):
    """Choice how relationships are loaded, made by :func:`fetch_peers`."""

    __slots__ = ("_tokens",)

    def __init__(self, wanted: bool) -> None:
        super().__init__(wanted)
        self._tokens: list[contextvars.Token[bool | None]] = []

    def __enter__(self) -> None:
        self._tokens.append(_wanted.set(self.payload))

    def __exit__(self, *_: object) -> None:
        _wanted.reset(self._tokens.pop())


class _Origin(_Option):
    """Mark of the objects of one result. SQLAlchemy keeps it with each of them."""

    __slots__ = ()

    propagate_to_loaders = True


class _Related(IteratorResult[t.Any]):
    """Result that a lazy load expects from its statement."""

    def unique(self, strategy: t.Any = None) -> t.Self:  # noqa: ARG002
        return self  # it has each object once; those of data classes have no hash


def fetch_peers(wanted: bool = True) -> FetchPeers:
    """Fetch a relationship for all objects of a result when it is first read for one.

    Without this, reading ``user.posts`` in a loop over users is a query for each user.
    With it, the first ``user.posts`` loads the posts of all of these users.

    It is for the queries of a block, ``with fetch_peers():``, or for one query,
    ``select(User).options(fetch_peers())``. ``SQLALCHEMY_FETCH_PEERS = True`` is for
    all queries of an app; ``fetch_peers(False)`` makes an exception.

    :param wanted: False to load each relationship by itself.
    :raises TypeError: if it is neither True nor False.
    """
    if not isinstance(wanted, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"Write fetch_peers() or fetch_peers(False), not {wanted!r}.")
    if wanted:
        listen(RoutedSession)
    return FetchPeers(wanted)


def listen(sessions: type[orm.Session] | orm.Session) -> None:
    """Let sessions fetch the peers of what they are asked to."""
    if not event.contains(sessions, "do_orm_execute", _on_execute):
        event.listen(sessions, "do_orm_execute", _on_execute)


def _on_execute(execution: orm.ORMExecuteState) -> Result[t.Any] | None:
    if not execution.is_select or not execution.is_orm_statement:
        return None
    if execution.lazy_loaded_from is not None:
        return _load_for_peers(execution, execution.lazy_loaded_from)
    if not execution.is_relationship_load and not execution.is_column_load:
        _mark(execution)
    return None


def _mark(execution: orm.ORMExecuteState) -> None:
    wanted = _wanted.get()
    for option in execution.user_defined_options:
        if isinstance(option, FetchPeers):
            wanted = t.cast("bool", option.payload)
        elif isinstance(option, _Origin):
            return  # it loads peers itself
    if wanted is None:
        wanted = getattr(execution.session, "fetches_peers", False)
    if wanted:
        statement = t.cast("sa.Select[t.Any]", execution.statement)
        execution.statement = statement.options(_Origin())


def _load_for_peers(
    execution: orm.ORMExecuteState, asked: orm.InstanceState[t.Any]
) -> Result[t.Any] | None:
    """Load a relationship of an object and of its peers; ``None`` to load it alone."""
    origin = _origin(execution.user_defined_options)
    path = execution.loader_strategy_path
    if origin is None or path is None or asked.modified:
        return None
    relationship = path[-1]
    if not isinstance(relationship, orm.RelationshipProperty) or asked.key is None:
        return None
    options = _options_for(asked, relationship)
    mapper, key = relationship.parent, relationship.key
    if (
        options is None
        or mapper.concrete
        or asked.identity_token is not None
        or key in asked.callables
    ):
        return None
    session = execution.session
    peers = _peers(session, origin, asked, mapper, key)
    if len(peers) < 2 or key in asked.dict:
        return None
    entity = mapper.entity
    names = [mapper.get_property_by_column(one).key for one in mapper.primary_key]
    columns = [getattr(entity, name) for name in names]
    statement = (
        sa.select(entity)
        .where(_any_of(columns, [t.cast("t.Any", peer.identity) for peer in peers]))
        .options(
            *options,
            _Origin(),
            orm.Load(entity).lazyload("*"),
            orm.Load(entity).load_only(*columns),
            orm.joinedload(getattr(entity, key)),
        )
    )
    autoflush = execution.execution_options.get("autoflush", True)
    session.scalars(
        statement, execution_options={"autoflush": autoflush}
    ).unique().all()
    if key not in asked.dict:
        return None  # it is gone from the database, or is of another kind now
    return _as_result(relationship, asked.dict[key])


def _origin(options: cabc.Iterable[object]) -> _Origin | None:
    found = None
    for option in options:
        if isinstance(option, _Origin):
            found = option
    return found


def _peers(
    session: orm.Session,
    origin: _Origin,
    asked: orm.InstanceState[t.Any],
    mapper: orm.Mapper[t.Any],
    key: str,
) -> list[orm.InstanceState[t.Any]]:
    """Return the objects to load for: the one asked for, and those that follow it."""
    # Objects with changes are left alone: what their lazy load returns depends on them.
    found = [
        state
        for state in session.identity_map.all_states()
        if state is asked
        or (
            key not in state.dict
            and key not in state.callables  # an option of another query
            and not state.modified
            and origin in state.load_options
            and state.mapper.isa(mapper)
            and state.identity_token is None
        )
    ]
    start = found.index(asked) if asked in found else 0
    in_turn = itertools.chain(found[start:], found[:start])
    return list(itertools.islice(in_turn, BATCH))


def _any_of(
    columns: list[t.Any], identities: list[tuple[t.Any, ...]]
) -> sa.ColumnElement[bool]:
    if len(columns) == 1:
        return t.cast(
            "sa.ColumnElement[bool]", columns[0].in_([one for (one,) in identities])
        )
    return sa.tuple_(*columns).in_(identities)


def _options_for(
    asked: orm.InstanceState[t.Any], relationship: orm.RelationshipProperty[t.Any]
) -> list[t.Any] | None:
    """Return the options of a result's query that count for what is loaded later.

    ``None`` if there are some for the relationship itself: their paths begin at the
    entity of the query, which need not be that of the object.
    """
    depth = len(asked.load_path.path)
    found: list[t.Any] = []
    for option in asked.load_options:
        if isinstance(option, orm.LoaderCriteriaOption | UserDefinedOption):
            if not isinstance(option, _Origin):
                found.append(option)
            continue
        elements: cabc.Iterable[t.Any] | None = getattr(option, "context", None)
        if elements is None:
            return None
        paths = [one.path.path for one in elements]
        if any(len(path) > depth and path[depth] is relationship for path in paths):
            return None
    return found


def _as_result(
    relationship: orm.RelationshipProperty[t.Any], value: t.Any
) -> Result[t.Any]:
    related: list[t.Any]
    if relationship.uselist:
        related = list(t.cast("t.Any", collections.collection_adapter(value)))
    else:
        related = [] if value is None else [value]
    return _Related(SimpleResultMetaData(["related"]), ((one,) for one in related))
