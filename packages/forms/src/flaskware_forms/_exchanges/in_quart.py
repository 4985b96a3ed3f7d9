"""Requests of Quart: a body is awaited, piece by piece.

A view of Quart that is a plain function runs in a thread. There, whatever waits is
left to the event loop, and the thread waits for it.
"""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import functools
import io
import typing as t

import flask
import quart
from flask.sansio.app import App
from quart.formparser import FormDataParser
from werkzeug.datastructures import FileStorage
from werkzeug.datastructures import MultiDict
from werkzeug.formparser import FormDataParser as WSGIFormDataParser

from flaskware_core import refuse_in_event_loop
from flaskware_forms._errors.problem import BodyTooLarge

from .exchange import Exchange
from .exchange import FORM_TYPES
from .exchange import P
from .exchange import piece_size
from .exchange import Run
from .exchange import T
from .in_flask import HEAD


class QuartExchange(Exchange):
    """A request of Quart."""

    __slots__ = ("_data", "_files", "_form", "_head", "_is_loaded", "_loop")

    renders_in_loop = True

    def __init__(self, app: App, request: flask.Request) -> None:
        super().__init__(app, request)
        self._is_loaded = False
        self._form: MultiDict[str, str] = MultiDict()
        self._files: MultiDict[str, FileStorage] = MultiDict()
        self._data = b""
        self._head = b""
        self._loop = _running_loop()
        if self._quart.form_data_parser_class is FormDataParser:
            # For code of the app, too, which may read the form before.
            parser: t.Any = functools.partial(_FormDataParser, self)
            self._quart.form_data_parser_class = parser

    @property
    def _quart(self) -> quart.Request:
        return t.cast("quart.Request", self.request)

    def bound(self, limit: int) -> None:
        # Quart has a limit of its own where the app has none.
        default = t.cast("quart.Quart", self.app).default_config["MAX_CONTENT_LENGTH"]
        if self.request.max_content_length in (self.limit, default):
            self.request.max_content_length = self.limit = max(limit, self.limit or 0)

    async def load(self) -> None:
        if self._is_loaded:
            return
        request, most = self._quart, self.request.max_content_length
        self._refuse_more_than(most, request.content_length or 0)
        if request.mimetype in FORM_TYPES:
            self._form = await request.form
            self._files = t.cast("t.Any", await request.files)
        elif request.is_json or not request.mimetype:
            self._data = t.cast("bytes", await request.get_data())
            self._refuse_more_than(most, len(self._data))
        self._is_loaded = True

    @property
    def form(self) -> MultiDict[str, str]:
        self._wait_for_body()
        return self._form

    @property
    def files(self) -> MultiDict[str, FileStorage]:
        self._wait_for_body()
        return self._files

    @property
    def data(self) -> bytes:
        self._wait_for_body()
        return self._data

    def is_cut_off(self) -> bool:
        # A body beyond its limit is refused, whether its length is known or not.
        return False

    @property
    def head(self) -> bytes:
        return self._head

    def refuse_in_event_loop(self, name: str) -> None:
        refuse_in_event_loop(self.app, f"form.{name}()", f"await form.async_{name}()")

    async def aside(
        self, function: cabc.Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await asyncio.to_thread(function, *args, **kwargs)

    def run(self, function: Run, *args: t.Any) -> t.Any:
        refuse_in_event_loop(self.app, "A form", "await form.async_load()")
        coroutine = function(*args)
        if self._loop is None or not self._loop.is_running():
            return asyncio.run(coroutine)
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def render(self, template: str, context: dict[str, t.Any]) -> str:
        return t.cast("str", self.run(self.async_render, template, context))

    def stream(self, template: str, context: dict[str, t.Any]) -> t.Any:
        return self.run(self.async_stream, template, context)

    def render_block(
        self, template: str, block: str, context: dict[str, t.Any]
    ) -> str | None:
        found = self.run(self.async_render_block, template, block, context)
        return t.cast("str | None", found)

    async def async_render(self, template: str, context: dict[str, t.Any]) -> str:
        return await quart.render_template(template, **context)

    async def async_stream(self, template: str, context: dict[str, t.Any]) -> t.Any:
        return await t.cast("t.Any", quart.stream_template(template, **context))

    async def async_render_block(
        self, template: str, block: str, context: dict[str, t.Any]
    ) -> str | None:
        app = t.cast("quart.Quart", self.app)
        found = app.jinja_env.get_or_select_template(template)
        if block not in found.blocks:
            return None
        await app.update_template_context(context)
        pieces: t.Any = found.blocks[block](found.new_context(context))
        return "".join([piece async for piece in pieces])

    async def pieces(
        self, body: cabc.AsyncIterable[bytes], most: int | None, size: int
    ) -> cabc.AsyncGenerator[bytes]:
        """Yield a body in pieces of at least a size, but for the last.

        :raises BodyTooLarge: once there is more of it than allowed.
        """
        kept, total = bytearray(), 0
        async for data in body:
            total += len(data)
            self._refuse_more_than(most, total)
            if len(self._head) < HEAD:
                self._head += data[:HEAD]
            kept += data
            if len(kept) >= size:
                yield bytes(kept)
                kept.clear()
        yield bytes(kept)

    def _wait_for_body(self) -> None:
        if not self._is_loaded:
            call = "Reading the body of a form"
            refuse_in_event_loop(self.app, call, "await form.async_load()")
            self.run(self.load)

    @staticmethod
    def _refuse_more_than(most: int | None, size: int) -> None:
        if most is not None and size > most:
            raise BodyTooLarge


class _FormDataParser(FormDataParser):
    """A parser that counts what it gets, and reads it as in Flask."""

    def __init__(self, exchange: QuartExchange, **options: t.Any) -> None:
        super().__init__(**options)
        self._exchange = exchange

    async def parse(
        self,
        body: t.Any,
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> t.Any:
        parse = t.cast("t.Any", super().parse)
        if mimetype not in FORM_TYPES:
            return await parse(body, mimetype, content_length, options)
        size = piece_size(self.max_form_memory_size)
        pieces = self._exchange.pieces(body, self.max_content_length, size)
        if mimetype == "multipart/form-data":
            with _closed_unless_taken(self) as taken:
                parts = _to_the_end(pieces)
                found: t.Any = await parse(parts, mimetype, content_length, options)
                taken.update(id(file.stream) for _, file in found[1].items(multi=True))
            return found
        text = b"".join([piece async for piece in pieces])
        make: t.Any = WSGIFormDataParser
        parser = make(max_form_memory_size=self.max_form_memory_size, cls=self.cls)
        return parser.parse(io.BytesIO(text), mimetype, len(text), options)[1:]


@contextlib.contextmanager
def _closed_unless_taken(parser: FormDataParser) -> cabc.Generator[set[int]]:
    """Close the files of a body that is refused; Quart closes those of a form."""
    taken: set[int] = set()
    opened: list[t.Any] = []
    open_file: t.Any = parser.stream_factory

    def open_noted(*args: t.Any) -> t.Any:
        opened.append(open_file(*args))
        return opened[-1]

    parser.stream_factory = open_noted
    try:
        yield taken
    finally:
        for file in opened:
            if id(file) not in taken:
                file.close()


async def _to_the_end(
    pieces: cabc.AsyncIterable[bytes],
) -> cabc.AsyncGenerator[bytes | None]:
    """Yield pieces, and ``None``: a body in parts that is cut off is then refused."""
    async for piece in pieces:
        yield piece
    yield None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
