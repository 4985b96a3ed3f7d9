"""Guard of Flask-Caching: it stores nothing that belongs to one request."""

from __future__ import annotations

import collections.abc as cabc
import functools
import logging
import typing as t

import flask
from flask.sansio.app import App

from .current import active_app

logger = logging.getLogger("flaskware.core")

Texts: t.TypeAlias = cabc.Callable[[], cabc.Iterable[str]]

_KEY = "flaskware.uncached"
_GUARDED = "_flaskware_guarded"


def keep_out_of_caches(app: App, name: str, texts: Texts) -> None:
    """Have Flask-Caching store nothing that contains certain texts of a request.

    The next visitor would get the text of somebody else, such as a token. The backends
    take whatever a view returned, and have no hook to refuse it. A backend that is
    added after the call is not guarded, so call it in a request, or again.

    :param name: The kind of text, for the log: ``"the nonce"``.
    :param texts: Returns the texts of the current request.
    """
    extensions: dict[str, t.Any] = app.extensions
    extensions.setdefault(_KEY, {})[name] = texts
    backends = extensions.get("cache")
    if not isinstance(backends, dict):
        return
    for backend in t.cast("dict[object, t.Any]", backends).values():
        if _GUARDED not in getattr(backend, "__dict__", {_GUARDED: True}):
            backend.__dict__[_GUARDED] = True
            for method in ("set", "add"):
                setattr(backend, method, _guarded(getattr(backend, method)))


def _guarded(store: cabc.Callable[..., t.Any]) -> cabc.Callable[..., t.Any]:
    @functools.wraps(store)
    def refuse_or_store(key: str, value: object, *args: t.Any, **kw: t.Any) -> t.Any:
        for name, texts in _texts_of_app().items():
            if any(_contains(value, text) for text in texts()):
                logger.info(
                    "%s is not cached: it has %s of this request. Cache parts of a page"
                    " that have none.",
                    key,
                    name,
                )
                return False
        return store(key, value, *args, **kw)

    return refuse_or_store


def _texts_of_app() -> dict[str, Texts]:
    app = active_app()
    if app is None or not flask.has_request_context():
        return {}
    found: dict[str, Texts] = app.extensions.get(_KEY, {})
    return found


def _contains(value: object, text: str) -> bool:
    """Return whether what a view returned has a text in it."""
    if isinstance(value, str):
        return text in value
    if isinstance(value, bytes):
        return text.encode() in value
    if isinstance(value, tuple | list):
        parts = t.cast("cabc.Sequence[object]", value)
        return any(_contains(part, text) for part in parts)
    if isinstance(value, dict):
        parts = list(t.cast("dict[object, object]", value).values())
        return any(_contains(part, text) for part in parts)
    if isinstance(value, flask.Response) and not value.is_streamed:
        return text.encode() in value.get_data()
    return False
