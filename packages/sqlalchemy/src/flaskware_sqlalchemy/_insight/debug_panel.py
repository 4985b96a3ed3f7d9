"""Panel of Flask-DebugToolbar with the queries of a request.

The toolbar's own panel asks the package Flask-SQLAlchemy for them.
"""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t

import flask
from flask.sansio.app import App

if t.TYPE_CHECKING:
    from .query_log import RecordedQuery

_ITS_OWN = "flask_debugtoolbar.panels.sqlalchemy.SQLAlchemyDebugPanel"
_NAME = "QueryPanel"
_OURS = f"{__name__}.{_NAME}"


def put_panel(app: App) -> None:
    """Put the panel in the place of the toolbar's own, if the toolbar shows that."""
    panels = t.cast("cabc.Iterable[str]", app.config.get("DEBUG_TB_PANELS") or ())
    if _ITS_OWN in panels:
        app.config["DEBUG_TB_PANELS"] = [
            _OURS if panel == _ITS_OWN else panel for panel in panels
        ]


def __getattr__(name: str) -> t.Any:
    # The toolbar imports its panels by their names.
    if name == _NAME:
        return _panel_class()
    raise AttributeError(name)


@functools.cache
def _panel_class() -> type:
    from flask_debugtoolbar.panels import DebugPanel

    class QueryPanel(DebugPanel):
        name = "SQLAlchemy"

        @property
        def has_content(self) -> bool:  # type: ignore[override]
            return bool(_queries())

        def nav_title(self) -> str:
            return "SQLAlchemy"

        def nav_subtitle(self) -> str:
            return _summary(_queries())

        def title(self) -> str:
            return "SQLAlchemy queries"

        def url(self) -> str:
            return ""

        def content(self) -> str:
            rows = [_row(query) for query in _queries()]
            return self.render("panels/sqlalchemy.html", {"queries": rows})

    return QueryPanel


def _queries() -> cabc.Sequence[RecordedQuery]:
    found: cabc.Sequence[RecordedQuery]
    found = flask.current_app.extensions["sqlalchemy"].recorded_queries
    return found


def _summary(queries: cabc.Sequence[RecordedQuery]) -> str:
    noun = "query" if len(queries) == 1 else "queries"
    seconds = sum(query.duration for query in queries)
    return f"{len(queries)} {noun} in {seconds * 1000:.1f} ms"


def _row(query: RecordedQuery) -> dict[str, t.Any]:
    """Return a query as the template of the toolbar's own panel shows it."""
    from flask_debugtoolbar.utils import format_fname
    from flask_debugtoolbar.utils import format_sql

    place = query.location
    return {
        "duration": query.duration,
        "sql": format_sql(query.statement, query.parameters),
        # Without a signature there are no links to run the statement again, which the
        # toolbar does with a method that SQLAlchemy 2 removed.
        "signed_query": None,
        "location_long": str(place or ""),
        "location": f"{format_fname(place.filename)}:{place.line}" if place else "",
    }
