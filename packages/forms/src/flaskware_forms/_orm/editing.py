"""Writes a submitted form to an object of SQLAlchemy."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import flask
from markupsafe import escape

from flaskware_forms._csrf.layered import hidden_input
from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.error import Path
from flaskware_forms._schema.values import text_of

if t.TYPE_CHECKING:
    import pydantic

    from flaskware_forms._forms.bound import Bound

    from .target import Target

_CHECKED = {4025, 3819}
VERSION = "_version"
"""What the version of the object is sent under that somebody saw."""


def target_of(form: Bound[t.Any]) -> Target:
    """What the form writes to.

    :raises TypeError: if the form was not made for a mapped class.
    """
    target = form.spec._target
    if target is None:
        raise TypeError(
            f"The form {form.spec.name!r} is of no mapped class. Declare it as"
            f" FormSpec.for_model(Class, {form.spec.model.__name__}, name=...)."
        )
    return target


def apply(form: Bound[t.Any], obj: t.Any) -> frozenset[str]:
    """Write what is different to an object, or add what is wrong to the form."""
    target = target_of(form)
    data = form._data
    if data is None:
        raise RuntimeError(
            "form.apply() needs what was submitted: write `if form.submit():` first."
        )
    if target.version is not None:
        seen = _seen_version(form)
        if seen is not None and seen != str(getattr(obj, target.version)):
            conflict(form, obj)
            return frozenset()
    unknown = tuple(
        FormError(path, "unknown_child", form._say("unknown_child"))
        for path in target.unknown_children(obj, data)
    )
    if unknown:
        form._reject(unknown)
        return frozenset()
    return target.write(obj, data)


def hidden(form: Bound[t.Any]) -> str:
    """What a form sends along: the token, and the version that is shown."""
    version = _shown_version(form)
    if version is None:
        return hidden_input()
    text = f'<input type="hidden" name="{VERSION}" value="{escape(version)}">'
    return f"{hidden_input()}{text}"


def _shown_version(form: Bound[t.Any]) -> str | None:
    target = form.spec._target
    if target is None or target.version is None or form._initial is None:
        return None
    # What was typed on top of an older version stays so, until a conflict is shown.
    if form.submitted and form._status != 409 and not flask.request.is_json:
        return flask.request.form.get(VERSION)
    return text_of(getattr(form._initial, target.version, None))


def _seen_version(form: Bound[t.Any]) -> str | None:
    request = flask.request
    if not request.is_json:
        return request.form.get(VERSION)
    # RFC 9110, section 13.1.1: a version is an entity tag, so it is in quotes.
    tags = request.if_match.as_set()
    if tags:
        return next(iter(tags))
    sent = form._sent
    found = t.cast("dict[str, t.Any]", sent).get(VERSION)
    return None if found is None else str(found)


def conflict(form: Bound[t.Any], obj: t.Any) -> None:
    """Say that somebody else changed the object, with both values of each field."""
    target = target_of(form)
    errors = [FormError((), "conflict", form._say("conflict_form"))]
    errors.extend(
        FormError(
            difference.path,
            "conflict",
            form._say("conflict", current=difference.current),
            {"current": difference.current, "sent": difference.sent},
        )
        for difference in target.differences(
            obj, t.cast("pydantic.BaseModel", form._data)
        )
    )
    form._reject(tuple(errors), 409)
    form._initial = obj


def save(form: Bound[t.Any], session: t.Any, obj: t.Any) -> bool:
    """Apply and commit; ``False`` with the errors in the form if that cannot be."""
    import sqlalchemy.exc
    import sqlalchemy.orm.exc

    data = form._data
    try:
        apply(form, obj)
        if form.errors:
            return False
        session.add(obj)
        session.commit()
    except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.OperationalError) as error:
        session.rollback()
        # What MariaDB and MySQL say of a CHECK, PyMySQL takes for an operational error.
        integrity = isinstance(error, sqlalchemy.exc.IntegrityError)
        named = integrity or _CHECKED & set(getattr(error.orig, "args", ())[:1])
        found = _error_of(form, error) if named else None
        if found is None:
            raise
        form._reject((found,))
        return False
    except sqlalchemy.orm.exc.StaleDataError:
        session.rollback()
        session.refresh(obj)
        form._data = data
        conflict(form, obj)
        return False
    return True


def _error_of(form: Bound[t.Any], error: t.Any) -> FormError | None:
    """The error of a field for a violated constraint; ``None`` if it is of none."""
    from .violation import violation_of

    target = target_of(form)
    tables = target.mapper.local_table.metadata.tables.values()
    violation = violation_of(error, tables)
    own = form.spec._constraints.get(violation.name or "")
    if own is not None:
        path, message = own
        return FormError(path, "constraint", message)
    where = _path_of(target, violation.columns)
    if where is None:
        return None
    code = "taken" if violation.unique else "constraint"
    return FormError(where, code, form._say(code))


def _path_of(target: Target, columns: cabc.Set[str]) -> Path | None:
    for node in target._schema.children:
        if columns & set(target.column_names(node.attribute)):
            return (node.key,)
    return None
