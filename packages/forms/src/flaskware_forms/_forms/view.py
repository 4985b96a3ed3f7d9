"""The wrapper around a view that handles a form."""

from __future__ import annotations

import collections.abc as cabc
import functools
import inspect
import re
import typing as t

import flask
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError

from flaskware_forms._csrf.layered import FORM_MARK

from .compiled import CompiledForm
from .partial import answer
from .partial import async_answer
from .partial import PARTIAL_HEADER
from .submission import Submission

Opened: t.TypeAlias = tuple[t.Any, Submission[t.Any], ResponseReturnValue | None]
"""The view's first argument, its submission, and an answer instead of the view's."""


def handle(
    view: t.Any,
    form: CompiledForm[t.Any],
    open_form: cabc.Callable[[cabc.Mapping[str, t.Any]], Opened],
) -> t.Any:
    """Wrap a view so that it gets the form of the request as its first argument.

    :param open_form: Called with the arguments of the route.
    """
    if inspect.iscoroutinefunction(view):

        @functools.wraps(view)
        async def handle_async(*args: t.Any, **kwargs: t.Any) -> t.Any:
            first, submission, instead = open_form(kwargs)
            if submission.is_sent and PARTIAL_HEADER in flask.request.environ:
                return await async_answer(submission)
            if instead is not None:
                return instead
            response = await view(first, *args, **kwargs)
            _refuse_unread(submission)
            return response

        wrapped: t.Any = handle_async
    else:

        @functools.wraps(view)
        def handle_sync(*args: t.Any, **kwargs: t.Any) -> t.Any:
            first, submission, instead = open_form(kwargs)
            if submission.is_sent and PARTIAL_HEADER in flask.request.environ:
                return answer(submission)
            if instead is not None:
                return instead
            response = view(first, *args, **kwargs)
            _refuse_unread(submission)
            return response

        wrapped = handle_sync
    setattr(wrapped, FORM_MARK, form)
    # Flask takes these for a route that names no methods. With its default, GET alone,
    # the first person to send the form would get 405.
    wrapped.methods = getattr(wrapped, "methods", None) or ("GET", "POST")
    return wrapped


def _refuse_unread(submission: Submission[t.Any]) -> None:
    """Refuse the answer of a view that acted without looking at the form.

    :raises CSRFError: if the request has no valid token and the view never called
        :meth:`Bound.submit`.
    """
    if submission.is_sent and not submission.is_read:
        refusal = submission.state.csrf.refusal()
        if refusal is not None:
            raise CSRFError(refusal.reason)


def explain_missing_form(
    app: flask.Flask, *, exception: BaseException, **_: object
) -> None:
    """Add a note to the error of a view that lacks ``@spec.handles``."""
    view: t.Any = app.view_functions.get(flask.request.endpoint or "")
    if not isinstance(exception, TypeError) or hasattr(view, FORM_MARK):
        return
    hints: dict[str, object] = getattr(view, "__annotations__", {})
    if any(
        f"{name!r}" in str(exception) and re.search(r"\bBound(Steps)?\[", str(hint))
        for name, hint in hints.items()
    ):
        exception.add_note(
            "A view gets its form from a FormSpec. Write @<the spec>.handles between"
            " @app.route(...) and the view."
        )
