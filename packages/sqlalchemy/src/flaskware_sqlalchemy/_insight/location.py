"""Location: the line of an app's own code that led to a query."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import inspect
import sys
import types
import typing as t
from pathlib import Path

import flask
import jinja2
import sqlalchemy as sa
import werkzeug

_LIBRARIES = tuple(
    f"{Path(str(module.__file__)).parent}{sep}"
    for module in (sa, flask, jinja2, werkzeug, sys.modules["flaskware_sqlalchemy"])
    for sep in ("/", "\\")
)


class Location(t.NamedTuple):
    """A line of an app's code, or of a template."""

    filename: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.filename}:{self.line} ({self.function})"


def user_location() -> Location | None:
    """Return the innermost line outside the libraries between app and database."""
    return next((_location(frame) for frame in _user_frames()), None)


def user_lines() -> tuple[tuple[str, int], ...]:
    """Return file and line of every call outside these libraries, innermost first."""
    return tuple((frame.f_code.co_filename, frame.f_lineno) for frame in _user_frames())


def _user_frames() -> cabc.Iterator[types.FrameType]:
    frame = inspect.currentframe()
    while frame is not None:
        if not _is_library(frame.f_code.co_filename):
            yield frame
        frame = frame.f_back or _frame_of_awaiting_code(frame)


def _frame_of_awaiting_code(frame: types.FrameType) -> types.FrameType | None:
    # SQLAlchemy's asyncio runs its synchronous part in a greenlet with a stack of its
    # own. The code that awaits it is in the parent greenlet.
    greenlet: t.Any = sys.modules.get("greenlet")
    if greenlet is None:
        return None
    parent = greenlet.getcurrent().parent
    outer: types.FrameType | None = getattr(parent, "gr_frame", None)
    return None if outer is frame else outer


def _location(frame: types.FrameType) -> Location:
    filename, line = frame.f_code.co_filename, frame.f_lineno
    template: jinja2.Template | None = frame.f_globals.get("__jinja_template__")
    if template is not None:
        return Location(
            template.filename or template.name or filename,
            template.get_corresponding_lineno(line),
            "template",
        )
    return Location(_relative(filename), line, frame.f_code.co_name)


@functools.lru_cache(maxsize=1024)
def _is_library(filename: str) -> bool:
    if filename.startswith("<sqlalchemy"):
        return True  # code that SQLAlchemy generates
    return filename.startswith(_LIBRARIES) or filename == contextlib.__file__


@functools.lru_cache(maxsize=1024)
def _relative(filename: str) -> str:
    try:
        return str(Path(filename).relative_to(Path.cwd()))
    except (OSError, ValueError):  # the folder is gone, or another
        return filename
