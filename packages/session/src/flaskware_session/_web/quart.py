"""The session interface of Quart."""

from __future__ import annotations

import inspect
import typing as t

from flask.sessions import SessionInterface

from flaskware_session._core.visit import Visit
from flaskware_session._errors import SessionConflict
from flaskware_session._errors import StoreUnavailable

from .async_access import AsyncAccess
from .edge import CookieNames
from .edge import replace_headers
from .edge import SessionEdge
from .session import SessionContent
from .websocket import WebsocketAccess

if t.TYPE_CHECKING:
    from quart import Quart
    from quart import Request
    from quart import Response
    from quart import Websocket
    from quart.sessions import SessionMixin
    from quart.wrappers import BaseRequestWebsocket
    from werkzeug.wrappers import Response as WerkzeugResponse


class QuartSessionInterface(CookieNames, SessionInterface):
    """Opens and saves ``quart.session``.

    Its base is that of Flask, whose answers about the cookie are those of Quart's too.

    :param session_class: The class of the sessions: with a ``save`` that is awaited, or
        with one for threads.
    :param reads_first: Whether a session is read before the view.
    :param interval: Seconds after which an open websocket asks for its session.
    """

    def __init__(
        self,
        edge: SessionEdge,
        session_class: type[SessionContent],
        *,
        reads_first: bool,
        interval: float,
    ) -> None:
        self.edge = edge
        self._session_class = session_class
        self._reads_first = reads_first
        self._interval = interval
        self._static: tuple[str, ...] | None = None

    async def open_session(  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride] # Quart awaits it
        self, app: Quart, request: BaseRequestWebsocket
    ) -> SessionContent:
        """Make a session, and read it unless the request is for a static file."""
        source = self.edge.manager, *self.edge.reader(request)
        access: AsyncAccess
        if request.scope["type"] == "websocket":
            websocket = t.cast("Websocket", request)
            access = WebsocketAccess(app, websocket, self._interval, *source)
            await access.read()
            return self._session_class(access)
        access = AsyncAccess(app, *source)
        if self._reads_first and not request.path.startswith(self._static_paths(app)):
            await access.read()
        return self._session_class(access)

    async def save_session(  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride] # Quart awaits it
        self,
        app: Quart,
        session: SessionMixin,
        response: Response | WerkzeugResponse | None,
    ) -> None:
        """Store what changed, and send the cookie; do nothing if it was not used."""
        if not isinstance(session, SessionContent):
            return
        access = t.cast("AsyncAccess", session.access)
        access.is_sent = True
        visit = access.visit
        if visit is None:
            return
        if access.is_read_only or response is None:
            # A change of a view is noticed only when it is taken back.
            if visit.views:
                session.ready_to_save()
            return
        if visit.outage is not None:
            # The view caught the error and went on with a session that was empty.
            if response.status_code < 500 and not self.edge.is_lenient:
                await _replace(app, response, visit.outage)
        elif visit.is_due_to_save:
            await self._save(app, session, visit, response)
        self.edge.send(visit, _request(), response)
        visit.is_sent = True

    async def _save(
        self,
        app: Quart,
        session: SessionContent,
        visit: Visit,
        response: Response | WerkzeugResponse,
    ) -> None:
        if not self.edge.is_to_save(response):
            return
        access = t.cast("AsyncAccess", session.access)
        try:
            await access.save_awaited(session.ready_to_save())
        except (SessionConflict, StoreUnavailable) as error:
            if self.edge.is_reported(error, visit):
                await _replace(app, response, error)

    def _static_paths(self, app: Quart) -> tuple[str, ...]:
        # The endpoint is known only later. All rules are there with the first request.
        if self._static is None:
            found = {
                rule.rule.partition("<")[0]
                for rule in app.url_map.iter_rules()
                if rule.endpoint.rpartition(".")[2] == "static"
                and rule.rule.endswith("/<path:filename>")
                and rule.arguments == {"filename"}
            }
            self._static = tuple(found - {"/"})
        return self._static


def _request() -> Request:
    import quart

    return quart.request


async def _replace(
    app: Quart,
    response: Response | WerkzeugResponse,
    error: StoreUnavailable | SessionConflict,
) -> None:
    """Make a response that is already built the app's answer to an error."""
    answer = await app.make_response(await app.handle_user_exception(error))
    data = answer.get_data()
    replace_headers(response, answer)
    response.set_data(await data if inspect.isawaitable(data) else data)
