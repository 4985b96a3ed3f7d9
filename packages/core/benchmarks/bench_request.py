"""Cost of core in a request: an extension that only exists, and its settings read."""

from __future__ import annotations

import collections.abc as cabc

import flask
from flask.sansio.app import App

from flaskware_core import Extension
from flaskware_core import Settings

BASELINE = "bare Flask"


class CounterSettings(Settings):
    prefix = "COUNTER_"
    step: int = 1


class Counter(Extension[CounterSettings, list[int]]):
    name = "counter"

    def _build(self, app: App, settings: CounterSettings) -> list[int]:
        return [settings.step]


def cases() -> dict[str, cabc.Callable[[], object]]:
    bare, idle, used = (flask.Flask(name) for name in ("bare", "idle", "used"))
    counter = Counter()
    for app in (idle, used):
        counter.init_app(app)
    for app in (bare, idle):
        app.add_url_rule("/", "index", lambda: "1")
    used.add_url_rule("/", "index", lambda: str(counter.state[0]))
    return {
        BASELINE: _get(bare),
        "an extension that is initialised": _get(idle),
        "an extension whose state is read": _get(used),
    }


def _get(app: flask.Flask) -> cabc.Callable[[], object]:
    client = app.test_client()
    return lambda: client.get("/")
