"""Links to other pages of the list that a request asks for."""

from __future__ import annotations

import typing as t
from urllib.parse import urlencode

import flask


def page_query(**changes: t.Any) -> str:
    """The query string of the current request with other arguments.

    It is a relative address of its own, ``?page=2&q=tea``: nothing that a request
    brings along can lead to another site.

    :param changes: ``None`` leaves an argument out.
    """
    arguments: dict[str, t.Any] = flask.request.args.to_dict(flat=False)
    arguments.update(changes)
    kept = {name: value for name, value in arguments.items() if value is not None}
    return f"?{urlencode(kept, doseq=True)}"
