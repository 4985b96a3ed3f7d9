"""A session seen as a TypedDict or a Pydantic model."""

from __future__ import annotations

import collections.abc as cabc
import functools
import logging
import typing as t

import pydantic

from flaskware_session._errors import SessionMismatch

if t.TYPE_CHECKING:
    from .session import SessionContent

logger = logging.getLogger("flaskware.session")

D = t.TypeVar("D")


def view_of(session: SessionContent, schema: type[D]) -> D:
    """The session as an instance of a schema; see ``Sessions.typed``."""
    adapters = _adapters(t.cast("t.Any", schema))
    views = session.access.load().views
    known = views.get(schema)
    if known is not None and not isinstance(known, _ModelView):
        return t.cast("D", session)
    _drop_what_does_not_fit(session, adapters)
    if not issubclass(schema, pydantic.BaseModel):
        views[schema] = _DictView(adapters)
        return t.cast("D", session)
    model = schema.model_validate(
        {name: session[name] for name in adapters if name in session}
    )
    if known is None:
        known = views[schema] = _ModelView(model)
    else:
        known.follow(model)
    return t.cast("D", known.model)


class _DictView:
    def __init__(self, adapters: dict[str, pydantic.TypeAdapter[t.Any]]) -> None:
        self._adapters = adapters

    def flush(self, session: cabc.MutableMapping[str, t.Any]) -> None:
        for name, adapter in self._adapters.items():
            if name in session:
                try:
                    adapter.validate_python(session[name], strict=True)
                except pydantic.ValidationError as error:
                    raise SessionMismatch(name, error.errors()[0]["msg"]) from None


class _ModelView:
    def __init__(self, model: pydantic.BaseModel) -> None:
        self.model = model
        self._read = _texts_of(model)

    def follow(self, newer: pydantic.BaseModel) -> None:
        """Take over what has changed in the session, as by another request."""
        mine = _texts_of(self.model)
        for name, text in _texts_of(newer).items():
            if mine[name] == self._read[name] != text:
                vars(self.model)[name] = vars(newer)[name]
                self._read[name] = text

    def flush(self, session: cabc.MutableMapping[str, t.Any]) -> None:
        # Only what was changed here, by what was read: the session may have newer.
        texts = _texts_of(self.model)
        changed = [name for name, text in texts.items() if text != self._read[name]]
        if not changed:
            return
        # A value of a wrong type is reported below, with its key.
        values = self.model.model_dump(warnings=False)
        try:
            type(self.model).model_validate(values)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            raise SessionMismatch(str(first["loc"][0]), first["msg"]) from None
        for name in changed:
            session[name] = values[name]
        self._read = texts


def _texts_of(model: pydantic.BaseModel) -> dict[str, str]:
    # By their texts, as values that are equal may differ, such as 1 and True.
    values = model.model_dump(warnings=False)
    fields = type(model).model_fields
    return {name: repr(value) for name, value in values.items() if name in fields}


def _drop_what_does_not_fit(
    session: SessionContent, adapters: dict[str, pydantic.TypeAdapter[t.Any]]
) -> None:
    # An earlier version of the app may have stored it: no reason to fail now.
    visit = session.access.load()
    for name, adapter in adapters.items():
        if name in session:
            try:
                adapter.validate_python(session[name])
            except pydantic.ValidationError:
                logger.warning("session[%r] does not fit its type: dropped", name)
                visit.forget(name)


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
