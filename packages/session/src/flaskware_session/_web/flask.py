"""The session interface of Flask."""

from __future__ import annotations

import flask
from flask.sessions import SessionInterface
from flask.sessions import SessionMixin

from flaskware_session._core.visit import Visit
from flaskware_session._errors import SessionConflict
from flaskware_session._errors import StoreUnavailable

from .edge import CookieNames
from .edge import replace_headers
from .edge import SessionEdge
from .session import Access
from .session import ServerSession


class ServerSessionInterface(CookieNames, SessionInterface):
    """Opens and saves ``flask.session``."""

    def __init__(self, edge: SessionEdge) -> None:
        self.edge = edge

    def open_session(self, app: flask.Flask, request: flask.Request) -> ServerSession:  # noqa: ARG002
        """Make a session that has not been read yet."""
        return ServerSession(Access(self.edge.manager, *self.edge.reader(request)))

    def save_session(
        self, app: flask.Flask, session: SessionMixin, response: flask.Response
    ) -> None:
        """Store what changed, and send the cookie; do nothing if it was not used."""
        if not isinstance(session, ServerSession):
            return
        access = session.access
        access.is_sent = True
        visit = access.visit
        if visit is None:
            return
        if visit.outage is not None:
            # The view caught the error and went on with a session that was empty.
            if response.status_code < 500 and not self.edge.is_lenient:
                _replace(app, response, visit.outage)
        elif visit.is_due_to_save:
            self._save(app, session, visit, response)
        self.edge.send(visit, flask.request, response)
        if access.on_send is not None:
            access.on_send(response)
        visit.is_sent = True

    def _save(
        self,
        app: flask.Flask,
        session: ServerSession,
        visit: Visit,
        response: flask.Response,
    ) -> None:
        if not self.edge.is_to_save(response):
            return
        try:
            session.save()
        except (SessionConflict, StoreUnavailable) as error:
            if self.edge.is_reported(error, visit):
                _replace(app, response, error)


def _replace(
    app: flask.Flask,
    response: flask.Response,
    error: StoreUnavailable | SessionConflict,
) -> None:
    """Make a response that is already built the app's answer to an error."""
    answer = app.make_response(app.handle_user_exception(error))
    response.close()
    response.response = answer.response
    response.direct_passthrough = answer.direct_passthrough
    replace_headers(response, answer)
