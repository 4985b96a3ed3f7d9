"""The session of a websocket: it can be read, and its end closes the websocket."""

from __future__ import annotations

import asyncio
import contextlib
import typing as t

from flaskware_session._core.load import goes_on
from flaskware_session._core.visit import Intent
from flaskware_session._core.visit import Visit
from flaskware_session._errors import SessionReadOnly
from flaskware_session._errors import StoreUnavailable

from .async_access import AsyncAccess

if t.TYPE_CHECKING:
    from quart import Websocket

    from flaskware_session._records.record import Record

# "Policy violation", of RFC 6455, section 7.4.1.
_REVOKED = 1008


class WebsocketAccess(AsyncAccess):
    """Access of a websocket to the session of the page that has opened it.

    :param interval: Seconds after which the store is asked for the session again.
    """

    is_read_only = True

    def __init__(
        self, app: t.Any, websocket: Websocket, interval: float, *args: t.Any
    ) -> None:
        super().__init__(app, *args)
        self._websocket = websocket
        self._interval = interval

    async def read(self) -> None:
        """Read the session once, and watch it as long as the websocket is open."""
        is_first = self._read_before is None
        await super().read()
        visit = self._read_before
        if is_first and visit is not None:
            visit.data = _frozen(visit.data)
            if visit.record is not None:
                self._watch(visit.record, visit.sent_id)

    def make_permanent(self, value: bool) -> None:  # noqa: ARG002
        raise SessionReadOnly

    async def save_awaited(self, visit: Visit) -> None:  # noqa: ARG002
        raise SessionReadOnly

    def _new_visit(self) -> Visit:
        # No cookie can be set any more.
        return _ReadOnlyVisit(self._read_tokens(), is_sent=True)

    def _begin(self, visit: Visit) -> None:
        """Leave it as it was read: nothing of it will be stored."""

    def _watch(self, record: Record, token: str | None) -> None:
        handler = asyncio.current_task()
        if handler is not None:
            watcher = asyncio.create_task(self._close_at_end(record, token, handler))
            handler.add_done_callback(lambda _: watcher.cancel())

    async def _close_at_end(
        self, record: Record, token: str | None, handler: asyncio.Task[t.Any]
    ) -> None:
        policy, is_going_on = self.manager.policy, True
        while is_going_on:
            await asyncio.sleep(self._interval)
            # An outage ends nobody's session, as with a request; it is logged.
            with contextlib.suppress(StoreUnavailable):
                steps = goes_on(record, token, policy)
                is_going_on = await self._client.run(steps, Visit())
        # The handler, or the browser, may have closed it just now.
        with contextlib.suppress(RuntimeError):
            await self._websocket.close(_REVOKED, "The session has ended.")
        handler.cancel()


class _ReadOnlyVisit(Visit):
    """A visit that stores nothing, and so refuses what would have to be stored."""

    def require(self, intent: Intent) -> None:  # noqa: ARG002
        raise SessionReadOnly

    def sign_in(self, user_id: str, *, address: str, agent: str) -> None:  # noqa: ARG002
        raise SessionReadOnly

    def make_permanent(self, value: bool) -> None:  # noqa: ARG002
        raise SessionReadOnly

    def clear(self) -> None:
        raise SessionReadOnly

    def signed_out(self) -> None:
        super().signed_out()
        self.data = _frozen({})


def _refuse(*_: object, **__: object) -> t.NoReturn:
    raise SessionReadOnly


class _FrozenDict(dict[str, t.Any]):
    """A dict that cannot be changed; a dict for everything else."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


class _FrozenList(list[t.Any]):
    """A list that cannot be changed; a list for everything else."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = extend = insert = remove = pop = clear = sort = reverse = _refuse


def _frozen(value: t.Any) -> t.Any:
    if isinstance(value, dict):
        items = t.cast("dict[str, t.Any]", value).items()
        return _FrozenDict({key: _frozen(item) for key, item in items})
    if isinstance(value, list):
        return _FrozenList(map(_frozen, t.cast("list[t.Any]", value)))
    if isinstance(value, tuple):
        return tuple(map(_frozen, t.cast("tuple[t.Any, ...]", value)))
    return value
