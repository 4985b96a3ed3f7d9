"""What an app itself asks of data whose types have passed."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import inspect
import typing as t

import flask

from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.error import Path
from flaskware_forms._errors.messages import Language
from flaskware_forms._markup.controls import asked_choices
from flaskware_forms._schema.nodes import Group
from flaskware_forms._schema.nodes import Leaf
from flaskware_forms._schema.nodes import Node
from flaskware_forms._schema.nodes import Series
from flaskware_forms._schema.nodes import Variants
from flaskware_forms._schema.values import text_of


@dc.dataclass(frozen=True)
class Check:
    """A function of the app, and the field it looks at."""

    attributes: tuple[str, ...]
    path: Path
    function: cabc.Callable[[t.Any], t.Any]

    @property
    def is_async(self) -> bool:
        """Whether it has to be awaited."""
        return inspect.iscoroutinefunction(self.function)


def due(
    checks: cabc.Iterable[Check], data: t.Any
) -> cabc.Iterator[tuple[Check, t.Any]]:
    """Yield each check, and the value that it looks at.

    :param data: All of the data, with a field of the form as each attribute.
    """
    for check in checks:
        value = data
        for attribute in check.attributes:
            value = None if value is None else getattr(value, attribute)
        # A field of an optional group that is not there.
        if value is None and len(check.attributes) > 1:
            continue
        yield check, value


def failures(due: cabc.Iterable[tuple[Check, t.Any]]) -> list[FormError]:
    """Run checks, and return an error for each that failed.

    :raises RuntimeError: if a check is async, and so is the view.
    """
    return [
        FormError(check.path, "check", message)
        for check, value in due
        if (message := _run(check, value)) is not None
    ]


async def async_failures(due: cabc.Iterable[tuple[Check, t.Any]]) -> list[FormError]:
    """Run checks as :func:`failures` does, each awaited if it has to be."""
    errors: list[FormError] = []
    for check, value in due:
        found = check.function(value)
        message = await found if inspect.isawaitable(found) else found
        if message is not None:
            errors.append(FormError(check.path, "check", message))
    return errors


def _run(check: Check, value: t.Any) -> str | None:
    if not check.is_async:
        return t.cast("str | None", check.function(value))
    # Slow to import, and only needed for async checks.
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return t.cast(
            "str | None", flask.current_app.ensure_sync(check.function)(value)
        )
    raise RuntimeError(
        f"The check {check.function.__name__} is async, and so is the view. Write"
        " `await form.async_submit()` there instead of `form.submit()`."
    )


def has_asked_choices(group: Group) -> bool:
    """Whether some field has choices that are asked for when it is shown."""
    return any(_asks(child) for child in group.children)


def _asks(node: Node) -> bool:
    if isinstance(node, Leaf):
        return node.source is not None
    if isinstance(node, Series):
        return _asks(node.item)
    if isinstance(node, Group):
        return not node.recursive and has_asked_choices(node)
    return any(_asks(case.group) for case in t.cast("Variants", node).cases)


def choice_errors(
    node: Node, value: t.Any, path: Path, language: Language
) -> cabc.Iterator[FormError]:
    """Each value that is not among the choices that are asked for."""
    if value is None:
        return
    if isinstance(node, Leaf):
        yield from _leaf_errors(node, value, path, language)
    elif isinstance(node, Group):
        for child in node.children:
            found = getattr(value, child.attribute, None)
            yield from choice_errors(child, found, (*path, child.key), language)
    elif isinstance(node, Series):
        for index, item in enumerate(t.cast("cabc.Iterable[t.Any]", value)):
            yield from choice_errors(node.item, item, (*path, index), language)
    elif isinstance(node, Variants):
        case = node.case_of(getattr(value, node.tag_attribute, None))
        if case is not None:
            yield from choice_errors(case.group, value, path, language)


def _leaf_errors(
    leaf: Leaf, value: t.Any, path: Path, language: Language
) -> cabc.Iterator[FormError]:
    if leaf.source is None:
        return
    if text_of(value) not in {choice.text for choice in asked_choices(leaf.source)}:
        own = leaf.messages.get("choice")
        message = str(own) if own else language.message("choice") or ""
        yield FormError(path, "choice", message)
