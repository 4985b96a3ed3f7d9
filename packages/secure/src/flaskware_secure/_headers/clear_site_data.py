"""The ``Clear-Site-Data`` header."""

from __future__ import annotations

import typing as t

from werkzeug.sansio.response import Response

from flaskware_secure._policy.vocabulary import ClearableData

R = t.TypeVar("R", bound=Response)

_KINDS = frozenset(t.get_args(ClearableData))


def clear_site_data(response: R, *what: ClearableData) -> R:
    """Have the browser delete what it keeps of this origin, as at logout.

    Browsers do so over https only.

    :param what: Kinds of data; by default, cache, cookies and storage. Cookies include
        the session's, so flashed messages are lost.
    :raises ValueError: for a kind of data that browsers do not know.
    """
    unknown = sorted(set(what) - _KINDS)
    if unknown:
        raise ValueError(
            f"clear_site_data() does not know {unknown[0]!r}; write any of"
            f" {', '.join(sorted(_KINDS))}."
        )
    kinds = what or ("cache", "cookies", "storage")
    response.headers["Clear-Site-Data"] = ", ".join(f'"{kind}"' for kind in kinds)
    return response
