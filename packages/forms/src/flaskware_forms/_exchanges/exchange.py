"""A request as forms see it, and what its framework does for them."""

from __future__ import annotations

import abc
import collections.abc as cabc
import typing as t

import flask
from flask.sansio.app import App
from flask.sessions import SessionMixin
from werkzeug.datastructures import FileStorage
from werkzeug.datastructures import MultiDict

from flaskware_core import current_session

FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
"""The methods that send a form."""

# More than a form has without files, unless the app allows more.
_LEAST = 64 * 1024  # Werkzeug's own
_AT_ONCE = 2 << 20

P = t.ParamSpec("P")
T = t.TypeVar("T")
Run: t.TypeAlias = "cabc.Callable[..., cabc.Coroutine[t.Any, t.Any, t.Any]]"


class Exchange(abc.ABC):
    """One request, its body, and what forms have noted about it.

    All of it is read without waiting, once :meth:`load` was awaited. Flask needs no
    such call: there, a body is read where it is first asked for.
    """

    __slots__ = ("app", "is_proven", "is_read", "limit", "offers", "request", "token")

    renders_in_loop: t.ClassVar[bool] = False
    """True if a template is rendered in an event loop, wherever it is asked for."""

    def __init__(self, app: App, request: flask.Request) -> None:
        self.app = app
        self.request = request
        # True once it was shown that no other site made the request.
        self.is_proven = False
        # True once a form of the request was read.
        self.is_read = False
        # The largest body of the forms of the request.
        self.limit: int | None = None
        # The choices that were asked for, by the function that gives them.
        self.offers: dict[t.Any, t.Any] = {}
        # The signed token, made once.
        self.token: str | None = None

    @property
    def session(self) -> SessionMixin:
        """The session of the request."""
        return current_session()

    def prove(self) -> None:
        """Note that no other site made the request."""
        self.is_proven = True

    def forget_proof(self) -> None:
        """Forget what was noted, also by an earlier request of the app context."""
        self.is_proven = False

    @abc.abstractmethod
    def bound(self, limit: int) -> None:
        """Refuse a body larger than a form takes, unless the app has its own limit.

        Of the forms of a page the largest counts, as only the body says which it is.
        """

    @abc.abstractmethod
    async def load(self) -> None:
        """Read the body, within its limits.

        :raises HTTPException: 400, 408 or 413 for a body that cannot be read.
        """

    @property
    @abc.abstractmethod
    def form(self) -> MultiDict[str, str]:
        """The values of a form, without its files.

        :raises WouldBlock: if that would stop an event loop.
        """

    @property
    @abc.abstractmethod
    def files(self) -> MultiDict[str, FileStorage]:
        """The files of a form."""

    @property
    @abc.abstractmethod
    def data(self) -> bytes:
        """The body, where it is no form."""

    @abc.abstractmethod
    def is_cut_off(self) -> bool:
        """True if the body goes on after what was read."""

    @property
    @abc.abstractmethod
    def head(self) -> bytes:
        """The start of the body of a form, longer than the end of a body in parts."""

    @abc.abstractmethod
    def refuse_in_event_loop(self, name: str) -> None:
        """Refuse a method of a form where a coroutine has to await its twin.

        :raises WouldBlock: saying what to write.
        """

    @abc.abstractmethod
    def run(self, function: Run, *args: t.Any) -> t.Any:
        """Call a coroutine function in a plain function, and wait for its result."""

    @abc.abstractmethod
    def render(self, template: str, context: dict[str, t.Any]) -> str:
        """Render a template."""

    @abc.abstractmethod
    def stream(self, template: str, context: dict[str, t.Any]) -> t.Any:
        """Render a template piece by piece, while it is sent."""

    @abc.abstractmethod
    def render_block(
        self, template: str, block: str, context: dict[str, t.Any]
    ) -> str | None:
        """Render a block of a template; ``None`` if there is no such block."""

    async def aside(
        self, function: cabc.Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a function that reads files, or otherwise takes its time."""
        return function(*args, **kwargs)

    async def async_render(self, template: str, context: dict[str, t.Any]) -> str:
        """Same as :meth:`render`, for coroutines."""
        return self.render(template, context)

    async def async_stream(self, template: str, context: dict[str, t.Any]) -> t.Any:
        """Same as :meth:`stream`, for coroutines."""
        return self.stream(template, context)

    async def async_render_block(
        self, template: str, block: str, context: dict[str, t.Any]
    ) -> str | None:
        """Same as :meth:`render_block`, for coroutines."""
        return self.render_block(template, block, context)


def piece_size(max_form_memory_size: int | None) -> int:
    """Return how much of a body in parts is parsed at once.

    A form without files is parsed in one piece. Where a piece ends inside of a part
    without content, Werkzeug takes the next part for the content of that part.
    """
    if max_form_memory_size is None:
        return _AT_ONCE
    # Werkzeug answers 413 if what it reads at once is more than a form may hold.
    return max(_LEAST, min(_AT_ONCE, max_form_memory_size - _LEAST))
