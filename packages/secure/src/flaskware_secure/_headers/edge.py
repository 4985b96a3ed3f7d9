"""The edge of an app, where each response gets its headers as it leaves.

Hooks of an app run in an order that nobody knows in advance, and some answers pass none
of them. Behind them all is the interface to the server: what leaves there is final, so
a page from a cache, a 304 of another hook or an error page has the right headers.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

import flask
from flask.sansio.app import App

from flaskware_core import active_context
from flaskware_core import active_request
from flaskware_core import attach
from flaskware_core import request_getter
from flaskware_secure._policy.cors import Cors

from .compiled import Compiled
from .compiled import is_page
from .compiled import kind_of
from .compiled import Line
from .nonce import new_nonce
from .nonce import note_sent
from .nonce import private_cache_control
from .nonce import used_nonce
from .nonce import with_page
from .transport import is_local

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment

CompiledFor: t.TypeAlias = "cabc.Callable[[flask.Request], Compiled]"
FixCookie: t.TypeAlias = cabc.Callable[[str, bool], str]

_REFUSED = "_flaskware_secure_refused"
_SCOPE = "flaskware_secure.request"
# The second is the refusal of a websocket.
_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})


def note_refused(request: flask.Request) -> None:
    """Note that the answer to a request is a refusal, which no cache may keep."""
    request.__dict__[_REFUSED] = True


@dc.dataclass(frozen=True)
class Edge:
    """The last change of the headers of every response of an app.

    :param removed: Names, in lower case, of headers to remove.
    :param fix_cookie: Returns a ``Set-Cookie`` value with the flags that it should
        have; its second argument is true over https. ``None`` leaves cookies alone.
    """

    compiled_for: CompiledFor
    removed: frozenset[str]
    fix_cookie: FixCookie | None

    def finished(
        self, request: flask.Request, status: int, headers: list[Line]
    ) -> list[Line]:
        """Return the headers of a response with those that it does not have."""
        compiled = self.compiled_for(request)
        https = request.is_secure
        present, content_type, sized = self._examined(headers, compiled)
        if "set-cookie" in present and (fix := self.fix_cookie) is not None:
            headers = [
                (name, fix(value, https) if name.lower() == "set-cookie" else value)
                for name, value in headers
            ]
        over_https = https and not is_local(request)
        nonce = used_nonce(request)
        lines: cabc.Sequence[Line]
        if status == 304:
            lines, nonce = compiled.not_modified(https=over_https), None
        else:
            if (
                nonce is None
                and not sized
                and compiled.takes_nonce
                and is_page(content_type)
            ):
                # A streamed page: its headers go out before it asks for the nonce.
                nonce = new_nonce(request, taken=True)
            variant = compiled.variant(kind_of(content_type), https=over_https)
            if nonce is None:
                lines = variant.lines
            else:
                lines = with_page(variant.with_nonce(nonce), request, nonce)
        note_sent(request)
        if present:
            headers, lines = self._merged(
                headers, lines, present, compiled, nonced=nonce is not None
            )
        if compiled.policy.cors is not None:
            lines = [*lines, *_shared(request, headers, compiled.policy.cors)]
        headers = [*headers, *lines]
        return _refused(headers) if _REFUSED in request.__dict__ else headers

    def _examined(
        self, headers: list[Line], compiled: Compiled
    ) -> tuple[set[str], str, bool]:
        """Return the names that need care, the content type, and if a length is set."""
        names = compiled.names
        present: set[str] = set()
        content_type, sized = "", False
        for name, value in headers:
            lower = name.lower()
            if lower == "content-type":
                content_type = value
            elif lower == "content-length":
                sized = True
            elif lower in names or lower == "set-cookie":
                present.add(lower)
        return present, content_type, sized

    def _merged(
        self,
        headers: list[Line],
        lines: cabc.Sequence[Line],
        present: set[str],
        compiled: Compiled,
        *,
        nonced: bool,
    ) -> tuple[list[Line], list[Line]]:
        """Return the headers and lines of a response that has some of them already."""
        if "cache-control" in present and nonced:
            given = _joined(headers, "cache-control")
            headers = _replaced(headers, "Cache-Control", private_cache_control(given))
        if "vary" in present and compiled.vary:
            given = _joined(headers, "vary")
            headers = _replaced(headers, "Vary", _varied(given, compiled.vary))
        if gone := present & self.removed:
            headers = [line for line in headers if line[0].lower() not in gone]
        return headers, [line for line in lines if line[0].lower() not in present]


def wrap_edge(app: App, edge: Edge) -> None:
    """Have every response of an app pass an edge.

    Flask sets the session's cookie after the hooks of a response, so this wraps the
    WSGI or ASGI application, inside of any ``ProxyFix`` that is added later.
    """
    if isinstance(app, flask.Flask):
        t.cast("t.Any", app).wsgi_app = _wsgi(app, app.wsgi_app, edge)
        return

    def remember() -> None:
        request: t.Any = active_request()
        request.scope[_SCOPE] = request

    def remember_websocket() -> None:
        websocket: t.Any = current_websocket()
        websocket.scope[_SCOPE] = websocket

    current_websocket = request_getter(app, websocket=True)
    attach_first(app, remember)
    attach_first(app, remember_websocket, "before_websocket")
    asynchronous: t.Any = app
    asynchronous.asgi_app = _asgi(asynchronous.asgi_app, edge)


def attach_last(app: App, function: cabc.Callable[..., object]) -> None:
    """Attach a hook of responses that runs after all hooks attached so far."""
    attach(app, "after_request", function)
    # Flask runs them in reverse.
    hooks = app.after_request_funcs[None]
    hooks.insert(0, hooks.pop())


def attach_first(
    app: App,
    function: cabc.Callable[[], object],
    hook: t.Literal["before_request", "before_websocket"] = "before_request",
) -> None:
    """Attach a hook that runs before all hooks attached so far."""
    attach(app, hook, function)
    hooks = getattr(app, f"{hook}_funcs")[None]
    hooks.insert(0, hooks.pop())


def _wsgi(app: flask.Flask, inner: WSGIApplication, edge: Edge) -> WSGIApplication:
    finished = edge.finished

    def application(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        def start(
            status: str, headers: list[Line], exc_info: t.Any = None
        ) -> cabc.Callable[[bytes], object]:
            # Flask calls this while the context of the request is active. Where
            # another app answers, such as one mounted below a path, it is not.
            context = active_context()
            if context is not None and context.app is app:
                request = active_request()
                if request is not None:
                    headers = finished(request, int(status[:3]), headers)
            if exc_info is None:
                return start_response(status, headers)
            return start_response(status, headers, exc_info)

        return inner(environ, start)

    return application


def _asgi(inner: t.Any, edge: Edge) -> t.Any:
    async def application(scope: t.Any, receive: t.Any, send: t.Any) -> None:
        async def send_finished(message: t.Any) -> None:
            # The context of the request has ended by now.
            request = scope.get(_SCOPE)
            if message["type"] in _STARTS and request is not None:
                given = [
                    (bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
                    for name, value in message["headers"]
                ]
                lines = edge.finished(request, message["status"], given)
                encoded = [
                    (name.lower().encode("latin-1"), value.encode("latin-1"))
                    for name, value in lines
                ]
                message = {**message, "headers": encoded}
            await send(message)

        await inner(scope, receive, send_finished)

    return application


def _joined(headers: list[Line], name: str) -> str:
    return ", ".join(value for given, value in headers if given.lower() == name)


def _replaced(headers: list[Line], name: str, value: str | None) -> list[Line]:
    """Return headers with one value for a name; ``None`` leaves them as they are."""
    if value is None:
        return headers
    lower = name.lower()
    return [*(line for line in headers if line[0].lower() != lower), (name, value)]


def _varied(given: str, names: cabc.Iterable[str]) -> str | None:
    known = {part.strip().lower() for part in given.split(",")}
    missing = [name for name in names if name.lower() not in known]
    return ", ".join([given, *missing]) if missing and "*" not in known else None


def _refused(headers: list[Line]) -> list[Line]:
    kept = [line for line in headers if line[0].lower() not in {"vary", "etag"}]
    return _replaced(kept, "Cache-Control", "no-store")


def _shared(
    request: flask.Request, headers: list[Line], cors: Cors
) -> cabc.Iterable[Line]:
    for name, _ in headers:
        if name.lower() == "access-control-allow-origin":  # a preflight, or the view
            return ()
    return cors.lines(request.headers.get("Origin"))
