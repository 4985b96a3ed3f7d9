"""The wrapper around a view that handles a form."""

from __future__ import annotations

import collections.abc as cabc
import functools
import inspect
import re
import typing as t

import flask
import flask.views
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError

from flaskware_forms._csrf.layered import FORM_MARK
from flaskware_forms._csrf.layered import form_of

from .compiled import CompiledForm
from .partial import answer
from .partial import async_answer
from .partial import PARTIAL_HEADER
from .submission import READ
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
            if PARTIAL_HEADER in flask.request.environ and submission.is_sent:
                return await async_answer(submission)
            if instead is not None:
                return instead
            response = await view(*_with(first, args), **kwargs)
            _refuse_unread(submission)
            return response

        wrapped: t.Any = handle_async
    else:

        @functools.wraps(view)
        def handle_sync(*args: t.Any, **kwargs: t.Any) -> t.Any:
            first, submission, instead = open_form(kwargs)
            if PARTIAL_HEADER in flask.request.environ and submission.is_sent:
                return answer(submission)
            if instead is not None:
                return instead
            response = view(*_with(first, args), **kwargs)
            _refuse_unread(submission)
            return response

        wrapped = handle_sync
    setattr(wrapped, FORM_MARK, form)
    # Flask takes these for a route that names no methods. With its default, GET alone,
    # the first person to send the form would get 405.
    usual = ("GET",) if form.method == "get" else ("GET", "POST")
    wrapped.methods = getattr(wrapped, "methods", None) or usual
    return wrapped


def _with(form: t.Any, args: tuple[t.Any, ...]) -> tuple[t.Any, ...]:
    """The arguments of a view, with the form as the first."""
    if args and isinstance(args[0], flask.views.View):
        # Flask passes arguments by name only, so this is the `self` of a method.
        return (args[0], form, *args[1:])
    return (form, *args)


def _refuse_unread(submission: Submission[t.Any]) -> None:
    """Refuse the answer of a view that acted without looking at the form.

    :raises CSRFError: if the request has no valid token and the view never called
        :meth:`Bound.submit`.
    """
    read = submission.is_read or READ in flask.request.environ
    if submission.compiled.method == "post" and not read:
        refusal = submission.state.csrf.refusal()
        if refusal is not None:
            raise CSRFError(refusal.reason)


def explain_missing_form(
    app: flask.Flask, *, exception: BaseException, **_: object
) -> None:
    """Add a note to the error of a view that lacks ``@spec.handles``."""
    view: t.Any = app.view_functions.get(flask.request.endpoint or "")
    if not isinstance(exception, TypeError) or form_of(view) is not None:
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
