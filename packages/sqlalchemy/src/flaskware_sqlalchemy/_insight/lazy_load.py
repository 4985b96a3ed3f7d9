"""Detector of N+1 queries: a relationship loaded for one object after another."""

from __future__ import annotations

import typing as t
import warnings

from sqlalchemy import event
from sqlalchemy import orm

from flaskware_sqlalchemy._errors import NPlusOneError

from .location import Location
from .location import user_location

Mode: t.TypeAlias = t.Literal["off", "warn", "raise"]
Seen: t.TypeAlias = dict[object, set[object]]


class NPlusOneWarning(UserWarning):
    """One line loads the same relationship of one object after another."""


def watch_lazy_loads(session: orm.Session, seen: Seen, mode: Mode) -> None:
    """Report each relationship that a session loads for one object after another.

    :param seen: The objects loaded in this context, by relationship and line.
    """

    def on_execute(state: orm.ORMExecuteState) -> None:
        if not state.is_select or state.lazy_loaded_from is None:
            return
        path = state.loader_strategy_path
        if path is None or not state.is_relationship_load:
            return
        relationship = str(path[-1])
        location = user_location()
        objects = seen.setdefault((relationship, location), set())
        objects.add(state.lazy_loaded_from.key)
        if len(objects) == 2:
            _report(relationship, location, mode)

    event.listen(session, "do_orm_execute", on_execute)


def _report(relationship: str, location: Location | None, mode: Mode) -> None:
    message = (
        f"{relationship} is loaded for one object after another at"
        f" {location or 'an unknown line'}. Load it with the objects:"
        f" `.options(selectinload({relationship}))`."
    )
    if mode == "raise":
        raise NPlusOneError(message)
    if location is None:
        warnings.warn(message, NPlusOneWarning, stacklevel=2)
    else:
        warnings.warn_explicit(
            message, NPlusOneWarning, location.filename, location.line
        )
