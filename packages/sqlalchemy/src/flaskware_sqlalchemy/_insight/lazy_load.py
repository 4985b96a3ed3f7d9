"""Detector of N+1 queries: something loaded for one object after another."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import warnings

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import orm

from flaskware_sqlalchemy._errors import NPlusOneError

from .location import Location
from .location import user_lines
from .location import user_location

Mode: t.TypeAlias = t.Literal["off", "warn", "raise"]
Seen: t.TypeAlias = dict[object, set[object]]


class NPlusOneWarning(UserWarning):
    """One line loads the same of one object after another."""


def watch_lazy_loads(
    session: orm.Session, seen: Seen, mode: Mode, is_getting: cabc.Callable[[], bool]
) -> None:
    """Report what a session loads for one object after another.

    These are relationships, columns that are deferred or that a commit has expired, and
    ``get()`` in a loop. Objects count together if one query has loaded them, so that a
    helper may load something of objects that have nothing to do with each other. The
    calls of ``get()`` count together if every line that led to them is the same.

    :param seen: The objects loaded in this context, by kind of load.
    :param is_getting: Returns True while the session looks an object up by its key.
    """

    def on_execute(state: orm.ORMExecuteState) -> None:
        if not state.is_select:
            return
        found = _load(state, is_getting)
        if found is None:
            return
        what, peers, identity, remedy = found
        location = user_location()
        objects = seen.setdefault((what, peers, location), set())
        objects.add(identity)
        if len(objects) == 2:
            _report(what, location, remedy, mode)

    event.listen(session, "do_orm_execute", on_execute)


def _load(
    state: orm.ORMExecuteState, is_getting: cabc.Callable[[], bool]
) -> tuple[str, object, object, str] | None:
    """Return the name, the peers and the object of a load, and its remedy."""
    parent = state.lazy_loaded_from
    if parent is not None:
        path = state.loader_strategy_path
        if path is None or not state.is_relationship_load:
            return None
        name = str(path[-1])
        remedy = f"`.options(selectinload({name}))`"
        return f"{name} is loaded", parent.runid, parent.key, remedy
    mapper = state.bind_mapper
    if mapper is None or not (state.is_column_load or is_getting()):
        return None
    name = mapper.class_.__name__
    values = state.parameters
    key = tuple(values.values()) if isinstance(values, dict) else ()
    if not state.is_column_load:
        remedy = (
            f"`db.session.scalars(db.select({name}).where({name}.id.in_(ids)))`, before"
            " the loop"
        )
        return f"{name} is looked up by its key", user_lines(), key, remedy
    identity = mapper.identity_key_from_primary_key(key)
    instance = state.session.identity_map.get(identity)
    peers = None if instance is None else sa.inspect(instance).runid
    remedy = (
        f"`.options(undefer(…))` for deferred columns of {name}; for objects that a"
        " commit has expired, select them again before the loop"
    )
    return f"A column of {name} is loaded", peers, identity, remedy


def _report(what: str, location: Location | None, remedy: str, mode: Mode) -> None:
    message = (
        f"{what} for one object after another at {location or 'an unknown line'}. Load"
        f" it for all at once: {remedy}."
    )
    if mode == "raise":
        raise NPlusOneError(message)
    if location is None:
        warnings.warn(message, NPlusOneWarning, stacklevel=2)
    else:
        warnings.warn_explicit(
            message, NPlusOneWarning, location.filename, location.line
        )
