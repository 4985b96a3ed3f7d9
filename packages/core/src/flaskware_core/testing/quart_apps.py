"""Apps of Quart that a test drives as it drives those of Flask: by calls that block."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import contextvars
import threading
import typing as t
import weakref

import flask
import quart
import quart.ctx
from quart import globals as quart_globals
from quart.testing import make_test_scope  # pyright: ignore[reportUnknownVariableType]
from quart.testing import no_op_push
from quart.testing.connections import TestHTTPConnection
from werkzeug.datastructures import Headers
from werkzeug.test import Client
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

_T = t.TypeVar("_T")
# Of Quart's own methods only pop() sets them back, which waits.
_APP, _REQUEST = quart_globals._cv_app, quart_globals._cv_request  # noqa: SLF001
_PIECE = 1 << 16
_ERROR = "flaskware.error"


class BlockingQuart(quart.Quart):
    """Quart app whose contexts and client block, as those of Flask: made for tests.

    A view that is a plain function runs in a thread, where helpers that block are
    right; a view that is a coroutine runs in the one event loop of the app. So a test
    that was written for Flask holds for Quart too.
    """

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self._runner: _LoopThread | None = None
        self._starting = threading.Lock()
        _apps.add(self)

    @property
    def event_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the app, in a thread; started at its first use."""
        with self._starting:  # the first requests may come at once
            if self._runner is None:
                self._runner = _LoopThread()
            return self._runner.loop

    def close_event_loop(self) -> None:
        """End the event loop and what belongs to it, such as pools of connections."""
        if self._runner is not None:
            self.run_blocking(self._end_serving())
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()

    def run_blocking(self, coroutine: cabc.Coroutine[t.Any, t.Any, _T]) -> _T:
        """Run a coroutine in the event loop of the app, in the current contexts."""
        context = contextvars.copy_context()

        async def run() -> _T:
            return await self.event_loop.create_task(coroutine, context=context)

        return asyncio.run_coroutine_threadsafe(run(), self.event_loop).result()

    async def _end_serving(self) -> None:
        async with super().app_context():
            for function in self.after_serving_funcs:
                await self.ensure_async(function)()

    def app_context(self) -> BlockingAppContext:
        """Return an app context that ``with`` enters too."""
        return BlockingAppContext(self)

    def request_context(self, request: quart.Request) -> BlockingRequestContext:
        """Return a request context that ``with`` enters too."""
        return BlockingRequestContext(self, request)

    def test_request_context(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, path: str = "/", **kwargs: t.Any
    ) -> BlockingRequestContext:
        """Same as Flask's; see :class:`werkzeug.test.EnvironBuilder`."""
        with contextlib.closing(EnvironBuilder(path, **kwargs)) as builder:
            sent = Request(builder.get_environ())
        request = self.request_class(
            sent.method,
            sent.scheme,
            sent.path,
            sent.query_string,
            Headers(sent.headers),
            sent.root_path,
            "1.1",
            send_push_promise=no_op_push,
            scope=t.cast("t.Any", _scope_of(sent)),
        )
        request.body.set_result(sent.get_data())
        return self.request_context(request)

    def test_client(self, use_cookies: bool = True, **kwargs: t.Any) -> t.Any:
        """Return the test client of Werkzeug, which Flask has too."""
        app = _ClientApp(self, self._answer)
        return BlockingClient(app, flask.Response, use_cookies=use_cookies, **kwargs)

    async def handle_request(self, request: quart.Request) -> t.Any:
        """Note an error that a view raises: Quart would make a page of it."""
        try:
            return await super().handle_request(request)
        except Exception as error:
            t.cast("dict[str, t.Any]", request.scope)[_ERROR] = error
            raise

    # a2wsgi does this too, but leaves tasks behind that wait for the next request.
    def _answer(
        self, environ: t.Any, start_response: cabc.Callable[..., t.Any]
    ) -> cabc.Iterable[bytes]:
        sent = Request(environ)
        status, headers, body = self.run_blocking(self._exchange(sent))
        start_response(f"{status} ", list(headers))
        return [body]

    async def _exchange(self, sent: Request) -> tuple[int, Headers, bytes]:
        scope: t.Any = _scope_of(sent)
        connection = TestHTTPConnection(self, scope)
        async with connection:
            data = sent.get_data()
            for start in range(0, len(data), _PIECE):
                await connection.send(data[start : start + _PIECE])
            await connection.send_complete()
        if _ERROR in scope:
            raise scope[_ERROR]
        status, headers = t.cast("t.Any", (connection.status_code, connection.headers))
        return status, headers, bytes(connection.response_data)


class _ClientApp:
    """App of WSGI for a client, with the attributes of the app behind it."""

    def __init__(self, app: BlockingQuart, answer: cabc.Callable[..., t.Any]) -> None:
        self._app = app
        self._answer = answer

    def __call__(self, *args: t.Any) -> cabc.Iterable[bytes]:
        return t.cast("cabc.Iterable[bytes]", self._answer(*args))

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._app, name)


class BlockingClient(Client):
    """Client of Werkzeug with what Flask's client adds."""

    application: t.Any

    @contextlib.contextmanager
    def session_transaction(
        self, *args: t.Any, **kwargs: t.Any
    ) -> cabc.Generator[t.Any]:
        """Same as that of Flask's client."""
        app, environ = self.application, dict[str, t.Any]()
        with contextlib.closing(EnvironBuilder(*args, **kwargs)) as builder:
            environ.update(builder.get_environ())
        self._add_cookies_to_wsgi(environ)
        headers = Headers(Request(environ).headers)
        with app.test_request_context(*args, **kwargs, headers=headers) as context:
            yield context.session
            response = quart.Response()
            save = app.session_interface.save_session
            app.run_blocking(save(app, context.session, response))
            host, path = context.request.host.partition(":")[0], context.request.path
        cookies = response.headers.getlist("Set-Cookie")
        self._update_cookies_from_response(host, path, cookies)


class BlockingAppContext(quart.ctx.AppContext):
    """App context for ``with`` too."""

    app: BlockingQuart

    def __enter__(self) -> BlockingAppContext:
        self._token = _APP.set(self)
        return self

    def __exit__(self, kind: t.Any, error: BaseException | None, trace: t.Any) -> None:
        try:
            self.app.run_blocking(self.app.do_teardown_appcontext(error))
        finally:
            _APP.reset(self._token)


class BlockingRequestContext(quart.ctx.RequestContext):
    """Request context for ``with`` too."""

    app: BlockingQuart

    def __enter__(self) -> BlockingRequestContext:
        with contextlib.ExitStack() as stack:
            outer = _APP.get(None)
            if outer is None or outer.app is not self.app:
                stack.enter_context(self.app.app_context())
            token = _REQUEST.set(self)
            stack.callback(_REQUEST.reset, token)
            self.app.run_blocking(self._push())
            self._exits = stack.pop_all()
        return self

    def __exit__(self, kind: t.Any, error: BaseException | None, trace: t.Any) -> None:
        try:
            self.app.run_blocking(self.app.do_teardown_request(error, self))
        finally:
            self._exits.__exit__(kind, error, trace)


def _scope_of(sent: Request) -> object:
    """Return the scope of ASGI for a request as a client of WSGI sends it."""
    base = {"client": (sent.remote_addr or "127.0.0.1", 1)}
    parts = sent.method, sent.headers, sent.query_string, sent.scheme, sent.root_path
    method, headers, query, scheme, root = parts
    # Unlike WSGI's, the path of ASGI includes the root.
    path = root.rstrip("/") + sent.path
    return make_test_scope(
        "http", path, method, Headers(headers), query, scheme, root, "1.1", base
    )


class _LoopThread:
    """Event loop that runs in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close what is open in the loop, as a server does at its end."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


def close_event_loops() -> None:
    """End the event loop of every app; each starts again at its next use."""
    for app in list(_apps):
        app.close_event_loop()


_apps: weakref.WeakSet[BlockingQuart] = weakref.WeakSet()
