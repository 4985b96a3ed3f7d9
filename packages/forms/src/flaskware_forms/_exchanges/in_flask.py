"""Requests of Flask: a body is read from ``wsgi.input`` where it is asked for."""

from __future__ import annotations

import typing as t

import flask
from flask.sansio.app import App
from werkzeug.datastructures import FileStorage
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.formparser import FormDataParser
from werkzeug.formparser import MultiPartParser

from flaskware_forms._errors.problem import BadBody

from .exchange import Exchange
from .exchange import piece_size
from .exchange import Run

# A boundary has at most 70 characters (RFC 2046, section 5.1.1).
HEAD = 100


class FlaskExchange(Exchange):
    """A request of Flask."""

    __slots__ = ("_is_guarded",)

    app: flask.Flask

    def __init__(self, app: App, request: flask.Request) -> None:
        super().__init__(app, request)
        self._is_guarded = False

    def prove(self) -> None:
        self.is_proven = True
        # For a FlaskForm in the same view, which then skips its token.
        flask.g.csrf_valid = True

    def forget_proof(self) -> None:
        self.is_proven = False
        flask.g.pop("csrf_valid", None)

    def bound(self, limit: int) -> None:
        # Before anything reads the body, and be it for the token.
        self._guard()
        if self.request.max_content_length == self.limit:
            self.request.max_content_length = self.limit = max(limit, self.limit or 0)

    async def load(self) -> None:
        """Nothing to wait for: WSGI has no coroutines."""

    @property
    def form(self) -> MultiDict[str, str]:
        self._guard()
        return self.request.form

    @property
    def files(self) -> MultiDict[str, FileStorage]:
        self._guard()
        return self.request.files

    @property
    def data(self) -> bytes:
        self._guard()
        return self.request.get_data()

    def is_cut_off(self) -> bool:
        # Without a length, Werkzeug reads as much as is allowed and leaves the rest.
        request = self.request
        return request.content_length is None and bool(request.stream.read(1))

    @property
    def head(self) -> bytes:
        stream = self.request.environ.get("wsgi.input")
        return stream.head if isinstance(stream, _Input) else b""

    def refuse_in_event_loop(self, name: str) -> None:
        """Nothing to refuse: each coroutine of Flask has an event loop of its own."""

    def run(self, function: Run, *args: t.Any) -> t.Any:
        return self.app.ensure_sync(function)(*args)

    def render(self, template: str, context: dict[str, t.Any]) -> str:
        return flask.render_template(template, **context)

    def stream(self, template: str, context: dict[str, t.Any]) -> t.Any:
        return flask.stream_template(template, **context)

    def render_block(
        self, template: str, block: str, context: dict[str, t.Any]
    ) -> str | None:
        found = self.app.jinja_env.get_or_select_template(template)
        if block not in found.blocks:
            return None
        self.app.update_template_context(context)
        return "".join(found.blocks[block](found.new_context(context)))

    def _guard(self) -> None:
        """Make the body safe to read, no matter which code reads it.

        The answer is 400 if the server cannot read it. PEP 3333 does not define the
        exceptions of ``wsgi.input``. Gunicorn raises its own for malformed chunks,
        which Werkzeug does not handle.
        """
        if self._is_guarded:
            return
        self._is_guarded = True
        request = self.request
        stream = request.environ.get("wsgi.input")
        if stream is not None:
            request.environ["wsgi.input"] = _Input(stream)
        if request.form_data_parser_class is FormDataParser:
            request.form_data_parser_class = _FormDataParser


class _FormDataParser(FormDataParser):
    """A parser that gets a multipart form without files in one piece."""

    def parse(
        self,
        stream: t.IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> t.Any:
        boundary = (options or {}).get("boundary", "")
        if mimetype != "multipart/form-data" or not boundary or not boundary.isascii():
            return super().parse(stream, mimetype, content_length, options)
        parser = MultiPartParser(
            stream_factory=self.stream_factory,
            max_form_memory_size=self.max_form_memory_size,
            max_form_parts=self.max_form_parts,
            buffer_size=piece_size(self.max_form_memory_size),
            cls=self.cls,
        )
        try:
            found = parser.parse(stream, boundary.encode(), content_length)
        except ValueError:
            return stream, self.cls(), self.cls()
        return stream, *found


class _Input:
    """The input stream for Werkzeug, which needs only ``read`` of it."""

    def __init__(self, stream: t.Any) -> None:
        self._stream = stream
        self.head = b""

    def __getattr__(self, name: str) -> t.Any:
        if name == "readinto":
            # Werkzeug would prefer it to read().
            raise AttributeError(name)
        return getattr(self._stream, name)

    def read(self, size: int = -1) -> bytes:
        try:
            data = t.cast("bytes", self._stream.read(size))
        except Exception as error:
            if not _is_of_client(error):
                raise
            raise BadBody("The body could not be read to its end.") from error
        if len(self.head) < HEAD:
            self.head += data[:HEAD]
        return data


def _is_of_client(error: Exception) -> bool:
    if isinstance(error, HTTPException):
        return False
    # A bug raises a built-in exception, of which only these three are about data. An
    # exception that a server defines is about the request.
    return isinstance(error, (OSError, EOFError, ValueError)) or (
        type(error).__module__ != "builtins"
    )
