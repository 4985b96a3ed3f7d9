"""Transactions of coroutines."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import dataclasses as dc
import functools
import types
import typing as t

from .transaction import Block
from .transaction import delay

if t.TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from .async_session import RoutedAsyncSession

_P = t.ParamSpec("_P")
_R = t.TypeVar("_R")


@dc.dataclass(eq=False, repr=False)
class AsyncTransaction(contextlib.AbstractAsyncContextManager["AsyncSession", None]):
    """A transaction, as an ``async with`` block and as a decorator.

    Made by :meth:`SQLAlchemy.async_transaction`.
    """

    _open_session: cabc.Callable[[], AsyncSession]
    _retries: int
    _level: str | None
    _timeout: float | None
    _read_only: bool = False
    _entered: list[tuple[RoutedAsyncSession, Block]] = dc.field(
        default_factory=list[t.Any]
    )

    async def __aenter__(self) -> AsyncSession:
        session, block = await self._begin()
        self._entered.append((session, block))
        return session

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        session, block = self._entered.pop()
        await session.run_sync(lambda _: block.end_single_pass(error, self._retries))

    def __call__(
        self, function: cabc.Callable[_P, cabc.Awaitable[_R]]
    ) -> cabc.Callable[_P, cabc.Coroutine[t.Any, t.Any, _R]]:
        @functools.wraps(function)
        async def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            number = 1
            while True:
                session, block = await self._begin(may_repeat=self._retries > 0)
                try:
                    try:
                        result = await function(*args, **kwargs)
                    except BaseException as error:
                        await _end(session, block, error)
                        raise
                    await _end(session, block, None)
                except Exception as error:
                    if number > self._retries or not block.can_repeat(error):
                        raise
                else:
                    return result
                await asyncio.sleep(delay(number))
                number += 1

        return run

    async def _begin(
        self, *, may_repeat: bool = False
    ) -> tuple[RoutedAsyncSession, Block]:
        session = t.cast("RoutedAsyncSession", self._open_session())
        block = Block(
            session.routed,
            level=self._level,
            timeout=self._timeout,
            read_only=self._read_only,
            may_repeat=may_repeat,
        )
        await session.run_sync(lambda _: block.begin())
        return session, block


async def _end(
    session: RoutedAsyncSession, block: Block, error: BaseException | None
) -> None:
    await session.run_sync(lambda _: block.end(error))
