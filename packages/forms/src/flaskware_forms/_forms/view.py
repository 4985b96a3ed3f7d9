"""The wrapper around a view that handles a form."""

from __future__ import annotations

import collections.abc as cabc
import functools
import inspect
import re
import typing as t

import flask
from flask.sansio.app import App
from flask_wtf.csrf import CSRFError

from flaskware_core import active_request
from flaskware_forms._csrf.layered import FORM_MARK
from flaskware_forms._csrf.layered import form_of

from .compiled import CompiledForm
from .partial import answer
from .partial import async_answer
from .partial import is_partial
from .submission import Submission

Instead: t.TypeAlias = cabc.Callable[[], flask.Response | None]
Opened: t.TypeAlias = tuple[t.Any, Submission[t.Any], Instead | None]
"""The view's first argument, its submission, and an answer instead of the view's."""

OpenForm: t.TypeAlias = cabc.Callable[[cabc.Mapping[str, t.Any]], Opened]


def handle(view: t.Any, form: CompiledForm[t.Any], open_form: OpenForm) -> t.Any:
    """Wrap a view so that it gets the form of the request as its first argument.

    :param open_form: Called with the arguments of the route.
    """
    wrap = _awaited if inspect.iscoroutinefunction(view) else _called
    wrapped = wrap(view, open_form)
    setattr(wrapped, FORM_MARK, form)
    # Flask takes these for a route that names no methods. With its default, GET alone,
    # the first person to send the form would get 405.
    usual = ("GET",) if form.method == "get" else ("GET", "POST")
    wrapped.methods = getattr(wrapped, "methods", None) or usual
    return wrapped


def _called(view: t.Any, open_form: OpenForm) -> t.Any:
    @functools.wraps(view)
    def handle_called(*args: t.Any, **kwargs: t.Any) -> t.Any:
        first, submission, instead = open_form(kwargs)
        if is_partial(submission.exchange) and submission.is_sent:
            return answer(submission)
        response = None if instead is None else instead()
        if response is not None:
            return response
        response = view(*_with(first, args), **kwargs)
        if _is_unread(submission):
            _refuse_unread(submission)
        return response

    return handle_called


def _awaited(view: t.Any, open_form: OpenForm) -> t.Any:
    @functools.wraps(view)
    async def handle_awaited(*args: t.Any, **kwargs: t.Any) -> t.Any:
        first, submission, instead = open_form(kwargs)
        asks = is_partial(submission.exchange)
        if asks or instead is not None:
            await submission.load()
        if asks and submission.is_sent:
            return await async_answer(submission)
        response = None if instead is None else instead()
        if response is not None:
            return response
        response = await view(*_with(first, args), **kwargs)
        if _is_unread(submission):
            await submission.load()
            _refuse_unread(submission)
        return response

    return handle_awaited


def _with(form: t.Any, args: tuple[t.Any, ...]) -> tuple[t.Any, ...]:
    """The arguments of a view, with the form as the first."""
    if args and hasattr(args[0], "dispatch_request"):
        # Frameworks pass arguments by name only, so this is the `self` of a method.
        return (args[0], form, *args[1:])
    return (form, *args)


def _refuse_unread(submission: Submission[t.Any]) -> None:
    """Refuse the answer of a view that acted without looking at the form.

    :raises CSRFError: if the request has no valid token.
    """
    refusal = submission.state.csrf.refusal(submission.exchange)
    if refusal is not None:
        raise CSRFError(refusal.reason)


def _is_unread(submission: Submission[t.Any]) -> bool:
    """True if the view never called :meth:`Bound.submit`."""
    if submission.compiled.method != "post":
        return False
    return not (submission.is_read or submission.exchange.is_read)


def explain_missing_form(app: App, *, exception: BaseException, **_: object) -> None:
    """Add a note to the error of a view that lacks ``@spec.handles``."""
    request = active_request()
    endpoint = None if request is None else request.endpoint
    view: t.Any = app.view_functions.get(endpoint or "")
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
