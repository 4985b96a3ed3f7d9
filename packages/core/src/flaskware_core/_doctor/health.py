"""Two URLs for what watches an app: does it answer, and do its backends?"""

from __future__ import annotations

import logging
import typing as t

from flask.sansio.app import App

from flaskware_core._installed import installed_on

_log = logging.getLogger("flaskware.core")
_HEADERS = {"Cache-Control": "no-store"}

_Answer: t.TypeAlias = tuple[dict[str, str], int, dict[str, str]]


def add_health(app: App, *, live: str = "/livez", ready: str = "/readyz") -> None:
    """Add two URLs that show a load balancer or an orchestrator how the app is.

    Both answer JSON that nothing may cache, read no session, and name no address: an
    extension is ``ok`` or ``unreachable``, and the log has the reason.

    :param live: 200 as long as the process serves requests. Restart it otherwise.
    :param ready: 200 if every database and store of the app's extensions answers, else
        503. Send the app no requests while it is not ready. Each backend is asked
        within its own time limit.
    :raises ValueError: if the app has a view of this name or serves requests already.
    """

    def livez() -> _Answer:
        return {"status": "ok"}, 200, _HEADERS

    def readyz() -> _Answer:
        states: dict[str, str] = {}
        for name, installed in installed_on(app).items():
            problems = list(installed.probe(app))
            states[name] = "unreachable" if problems else "ok"
            for problem in problems:
                _log.warning("%s needs %s.", problem.key, problem.expected)
        is_ready = "unreachable" not in states.values()
        status = "ok" if is_ready else "unavailable"
        return {"status": status, **states}, 200 if is_ready else 503, _HEADERS

    app.add_url_rule(live, "flaskware_livez", livez)
    app.add_url_rule(ready, "flaskware_readyz", readyz)
