"""Schemas that replace those of the models, as with one schema for each tenant."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import contextvars
import typing as t

Schemas: t.TypeAlias = cabc.Mapping[str | None, str | None]
FrozenSchemas: t.TypeAlias = tuple[tuple[str | None, str | None], ...] | None

SCHEMAS: contextvars.ContextVar[FrozenSchemas] = contextvars.ContextVar(
    "flaskware_sqlalchemy_schemas", default=None
)
"""Set by :func:`mapped_schemas` for the running code."""


@contextlib.contextmanager
def mapped_schemas(schemas: Schemas) -> cabc.Generator[None]:
    """Give the sessions that are opened in the block other schemas."""
    token = SCHEMAS.set(tuple(schemas.items()))
    try:
        yield
    finally:
        SCHEMAS.reset(token)
