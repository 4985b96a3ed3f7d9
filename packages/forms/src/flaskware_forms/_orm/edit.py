"""Writes a submitted form to an object of SQLAlchemy."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

from markupsafe import escape

from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.error import Path
from flaskware_forms._exchanges.exchange import Exchange
from flaskware_forms._schema.values import text_of

if t.TYPE_CHECKING:
    from .target import Target

# Error numbers of MariaDB and MySQL for a violated CHECK constraint.
_CHECKED = {4025, 3819}
_NAMED = (
    # MySQL and MariaDB
    re.compile(r"for key '(?:[^'.]*\.)?([^']+)'"),
    re.compile(r"CONSTRAINT `([^`]+)`"),
    re.compile(r"[Cc]heck constraint '([^']+)' is violated"),
    # SQLite
    re.compile(r"CHECK constraint failed: (\w+)"),
)
_SQLITE_COLUMNS = re.compile(r"(?:UNIQUE|NOT NULL) constraint failed: (.+)")
_DETAIL = re.compile(r"Key \((.+?)\)=")

VERSION = "_version"
"""The name under which the version of the shown object is sent."""


class Submitted(t.Protocol):
    """The part of a submission that an edit needs."""

    data: t.Any
    exchange: Exchange
    initial: object
    status: int

    @property
    def is_sent(self) -> bool: ...

    @property
    def sent(self) -> t.Any: ...

    @property
    def errors(self) -> tuple[FormError, ...]: ...

    def hidden(self, name: str) -> str | None: ...

    def hidden_name(self, name: str) -> str: ...

    def say(self, code: str, **context: t.Any) -> str: ...

    def reject(self, *errors: FormError, status: int | None = None) -> None: ...


def version_input(submission: Submitted, target: Target | None) -> str:
    """The hidden input with the version of the shown object, if it counts them."""
    if target is None or target.version is None or submission.initial is None:
        return ""
    is_json = submission.exchange.request.is_json
    # Changes on top of an older version keep that version, until a conflict is shown.
    if submission.is_sent and submission.status != 409 and not is_json:
        version = submission.hidden(submission.hidden_name(VERSION))
    else:
        version = text_of(getattr(submission.initial, target.version, None))
    if version is None:
        return ""
    name = submission.hidden_name(VERSION)
    return f'<input type="hidden" name="{name}" value="{escape(version)}">'


class Edit:
    """Writes a submission to an object, or adds the reasons against it as errors.

    :param constraints: The path and the message for each constraint, by its name.
    """

    def __init__(
        self,
        submission: Submitted,
        target: Target,
        constraints: cabc.Mapping[str, tuple[Path, str]],
    ) -> None:
        self._submission = submission
        self._target = target
        self._constraints = constraints

    def apply(self, obj: t.Any, session: t.Any = None) -> frozenset[str]:
        """Write the values that differ, or add the errors to the submission.

        :param session: The session that finds chosen objects for a new object.
        :return: The names of the attributes that changed.
        :raises RuntimeError: if nothing was submitted.
        """
        submission, target = self._submission, self._target
        data = submission.data
        if data is None:
            raise RuntimeError(
                "form.apply() needs submitted data: write `if form.submit():` first."
            )
        if target.version is not None:
            seen = self._seen_version()
            if seen is not None and seen != str(getattr(obj, target.version)):
                self._conflict(obj, data)
                return frozenset()
        unknown = tuple(
            FormError(path, "unknown_child", submission.say("unknown_child"))
            for path in target.unknown_children(obj, data)
        )
        if unknown:
            submission.reject(*unknown, status=422)
            return frozenset()
        request = submission.exchange.request
        # PUT says what the whole object is; all else says what changes.
        whole = request.method == "PUT" and request.is_json
        return target.write(obj, data, submission.sent, whole=whole, session=session)

    def _seen_version(self) -> str | None:
        request = self._submission.exchange.request
        if not request.is_json:
            name = self._submission.hidden_name(VERSION)
            return self._submission.hidden(name)
        # RFC 9110, section 13.1.1: a version is an entity tag, so it is in quotes.
        tags = request.if_match.as_set()
        if tags:
            return next(iter(tags))
        found = self._submission.sent.get(VERSION)
        return None if found is None else str(found)

    def _conflict(self, obj: t.Any, data: t.Any) -> None:
        """Add the errors of a concurrent change, with both values of each field."""
        submission = self._submission
        fields = (
            FormError(
                difference.path,
                "conflict",
                submission.say("conflict", current=difference.current),
                {"current": difference.current, "sent": difference.sent},
            )
            for difference in self._target.differences(obj, data, submission.sent)
        )
        whole = FormError((), "conflict", submission.say("conflict_form"))
        submission.reject(whole, *fields, status=409)
        submission.initial = obj

    def save(self, session: t.Any, obj: t.Any) -> bool:
        """Apply and commit; ``False`` with errors in the submission if refused."""
        import sqlalchemy.exc
        import sqlalchemy.orm.exc

        data = self._submission.data
        try:
            self.apply(obj, session)
            if self._submission.errors:
                return False
            session.add(obj)
            session.commit()
        except (
            sqlalchemy.exc.IntegrityError,
            sqlalchemy.exc.OperationalError,
        ) as error:
            session.rollback()
            # PyMySQL reports a violated CHECK as an operational error.
            integrity = isinstance(error, sqlalchemy.exc.IntegrityError)
            named = integrity or _CHECKED & set(getattr(error.orig, "args", ())[:1])
            found = self._error_of(error) if named else None
            if found is None:
                raise
            self._submission.reject(found, status=422)
            return False
        except sqlalchemy.orm.exc.StaleDataError:
            session.rollback()
            session.refresh(obj)
            self._conflict(obj, data)
            return False
        return True

    def _error_of(self, error: t.Any) -> FormError | None:
        """The error of a field for a violated constraint; ``None`` if it has none."""
        target = self._target
        violation = violation_of(
            error, target.mapper.local_table.metadata.tables.values()
        )
        own = self._constraints.get(violation.name or "")
        if own is not None:
            path, message = own
            return FormError(path, "constraint", message)
        where = target.path_of(violation.columns)
        if where is None:
            return None
        code = "taken" if violation.unique else "constraint"
        return FormError(where, code, self._submission.say(code))


class Violation(t.NamedTuple):
    """A violated constraint, as far as a driver names it."""

    name: str | None
    columns: frozenset[str]
    unique: bool


def violation_of(error: t.Any, tables: t.Iterable[t.Any]) -> Violation:
    """Return the name and the columns of a violated constraint, if they are known.

    :param error: SQLAlchemy's ``IntegrityError``.
    :param tables: The tables that may define the constraint.
    """
    origin = error.orig
    text = str(origin)
    # asyncpg's error is the cause of SQLAlchemy's own.
    sources = (getattr(origin, "diag", None), origin.__cause__)
    named = [getattr(source, "constraint_name", None) for source in sources]
    named += [found[1] for each in _NAMED if (found := each.search(text))]
    name: str | None = next(filter(None, named), None)
    columns: set[str] = set()
    if found := _DETAIL.search(text) or _SQLITE_COLUMNS.search(text):
        parts = (part.strip().strip('"') for part in found[1].split(","))
        columns = {part.rpartition(".")[2] for part in parts}
    unique = "unique" in text.lower() or "duplicate" in text.lower()
    for table in tables:
        for constraint in (*table.constraints, *table.indexes):
            its = {column.name for column in constraint.columns}
            if constraint.name and constraint.name == name:
                columns = its
            elif name is None and columns and its == columns:
                name = constraint.name
    return Violation(name, frozenset(columns), unique)
