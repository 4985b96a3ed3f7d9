"""A session seen as a TypedDict or a Pydantic model."""

from __future__ import annotations

import functools
import logging
import typing as t

import pydantic

from ._codec import encode
from ._errors import SessionMismatch

if t.TYPE_CHECKING:
    from ._session import ServerSession

logger = logging.getLogger("flaskware_session")

D = t.TypeVar("D")


class View(t.Protocol):
    """Something that looks at a session, and is asked before it is stored."""

    def flush(self, session: ServerSession) -> None:
        """Check the content, and write back what was changed elsewhere.

        :raises SessionMismatch: naming the key whose value does not fit.
        """
        ...


def view_of(session: ServerSession, schema: type[D]) -> D:
    """The session as an instance of a schema; see ``Sessions.typed``."""
    known = session._views.get(schema)
    if known is not None:
        return t.cast("D", known[1])
    adapters = _adapters(t.cast("t.Any", schema))
    _drop_what_does_not_fit(session, adapters)
    shown: object
    if issubclass(schema, pydantic.BaseModel):
        shown = schema.model_validate(
            {name: session[name] for name in adapters if name in session}
        )
        session._views[schema] = (_ModelView(shown), shown)
    else:
        shown = session
        session._views[schema] = (_DictView(adapters), shown)
    return t.cast("D", shown)


class _DictView:
    def __init__(self, adapters: dict[str, pydantic.TypeAdapter[t.Any]]) -> None:
        self._adapters = adapters

    def flush(self, session: ServerSession) -> None:
        for name, adapter in self._adapters.items():
            if name in session:
                try:
                    adapter.validate_python(session[name], strict=True)
                except pydantic.ValidationError as error:
                    raise SessionMismatch(name, error.errors()[0]["msg"]) from None


class _ModelView:
    def __init__(self, model: pydantic.BaseModel) -> None:
        self._model = model

    def flush(self, session: ServerSession) -> None:
        schema = type(self._model)
        # What was assigned with a wrong type is told below, with the key.
        values = self._model.model_dump(warnings=False)
        changed = {
            name: value
            for name, value in values.items()
            if name in schema.model_fields and self._differs(session, name, value)
        }
        if not changed:
            return
        try:
            schema.model_validate(values)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            raise SessionMismatch(str(first["loc"][0]), first["msg"]) from None
        for name, value in changed.items():
            session[name] = value

    def _differs(self, session: ServerSession, name: str, value: object) -> bool:
        if name in session:
            return encode({name: session[name]}) != encode({name: value})
        # A default that nobody touched is not worth a session.
        field = type(self._model).model_fields[name]
        return bool(value != field.get_default(call_default_factory=True))


def _drop_what_does_not_fit(
    session: ServerSession, adapters: dict[str, pydantic.TypeAdapter[t.Any]]
) -> None:
    # An earlier version of the app may have stored it: no reason to fail now.
    for name, adapter in adapters.items():
        if name in session:
            try:
                adapter.validate_python(session[name])
            except pydantic.ValidationError:
                logger.warning("session[%r] does not fit its type: dropped", name)
                del session[name]


@functools.cache
def _adapters(schema: t.Any) -> dict[str, pydantic.TypeAdapter[t.Any]]:
    hints: dict[str, t.Any]
    if t.is_typeddict(schema):
        hints = t.get_type_hints(schema)
    elif issubclass(schema, pydantic.BaseModel):
        hints = {name: field.annotation for name, field in schema.model_fields.items()}
    else:
        raise TypeError(
            f"typed() takes a TypedDict or a Pydantic model, not {schema.__qualname__}"
        )
    return {name: pydantic.TypeAdapter(hint) for name, hint in hints.items()}
