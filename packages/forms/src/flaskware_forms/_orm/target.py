"""The mapped class that a form writes to: its attributes and its children."""

from __future__ import annotations

import datetime as dt
import decimal
import typing as t

import pydantic
import pydantic_core
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy import orm

from flaskware_core import closest
from flaskware_core import DeclarationError
from flaskware_forms._body.decoder import Decoded
from flaskware_forms._errors.error import Path
from flaskware_forms._fields.choice import Choice
from flaskware_forms._fields.node import Node
from flaskware_forms._fields.scalars import FileInput
from flaskware_forms._fields.structures import Group
from flaskware_forms._schema.facets import facets
from flaskware_forms._schema.moments import as_aware
from flaskware_forms._schema.moments import as_stored
from flaskware_forms._schema.moments import current_zone
from flaskware_forms._schema.values import key_of
from flaskware_forms._schema.values import text_of

_PLAIN = (bool, int, float, str, decimal.Decimal, dt.datetime, dt.date, dt.time)


class Difference(t.NamedTuple):
    """A field whose value differs from that of the object."""

    path: Path
    current: t.Any
    sent: t.Any


class Target:
    """A mapped class, and the model with its values.

    :param passed_over: Fields that only the view writes.
    :raises DeclarationError: listing every mismatch between the two.
    """

    def __init__(
        self,
        entity: type[t.Any],
        model: type[pydantic.BaseModel],
        schema: Group,
        passed_over: frozenset[str] = frozenset(),
        *,
        child: bool = False,
    ) -> None:
        self.entity = entity
        self.mapper = t.cast("t.Any", sa.inspect(entity))
        self._model = model
        self._schema = schema
        self._nodes = [n for n in schema.children if n.attribute not in passed_over]
        self._children: dict[str, Target] = {}
        table = self.mapper.local_table
        self.key: tuple[str, ...] = tuple(
            name
            for name, attribute in _columns(self.mapper).items()
            if table in {c.table for c in attribute} and attribute[0].primary_key
        )
        version = self.mapper.version_id_col
        self.version: str | None = None
        for name, attribute in _columns(self.mapper).items():
            if any(column is version for column in attribute):
                self.version = name
        problems = [
            f"{model.__name__}.{node.attribute} {problem}"
            for node in self._nodes
            for problem in self._problems(node, child=child)
        ]
        if problems:
            raise DeclarationError(
                f"{model.__name__} does not fit {entity.__name__}:\n  "
                + "\n  ".join(problems)
            )

    def child(self, node: Node) -> Target:
        """Return the class of a relationship, with the model for it.

        :raises DeclarationError: listing every mismatch between the two.
        """
        found = self._children.get(node.attribute)
        if found is None:
            kind = facets(self._model.model_fields[node.attribute].annotation).type
            model = facets(t.get_args(kind)[0]).type if node.many else kind
            entity = getattr(self.entity, node.attribute).property.mapper.class_
            found = Target(entity, model, t.cast("Group", node.model_group), child=True)
            if node.many:
                missing = set(found.key) - {n.attribute for n in found._nodes}
                if missing:
                    name = sorted(missing)[0]
                    raise DeclarationError(
                        f"{model.__name__} has no field {name!r} to match a row with"
                        f" its {entity.__name__}. Add {name}:"
                        " Annotated[int | None, Ui(widget='hidden')] = None."
                    )
            self._children[node.attribute] = found
        return found

    def _problems(self, node: Node, *, child: bool) -> t.Iterator[str]:
        name = node.attribute
        known: list[str] = list(self.mapper.all_orm_descriptors.keys())
        if name not in known:
            close = closest(name, known)
            hint = f" Did you mean {close!r}?" if close else ""
            yield (
                f"is not an attribute of {self.entity.__name__}.{hint} If only the view"
                f" writes it, add view_writes=({name!r},)."
            )
            return
        prop: t.Any = getattr(getattr(self.entity, name), "property", None)
        if isinstance(prop, orm.RelationshipProperty):
            if _is_choice(node):
                yield from self._link_problems(node, prop)
                return
            group = node.model_group
            if group is None or group.recursive:
                yield (
                    "is a relationship, which takes a model, a list of models, or the"
                    " primary keys of what Ui(choices=...) offers."
                )
                return
            try:
                self.child(node)
            except exc.InvalidRequestError:
                # The other class is not imported yet, so it is checked at first use.
                return
            except TypeError as error:
                yield f"is a relationship with a problem: {error}"
        elif isinstance(prop, orm.ColumnProperty):
            check = self._nested_problems if node.nested else self._column_problems
            yield from check(node, prop.columns[0], child=child)

    def _nested_problems(
        self,
        node: Node,
        column: t.Any,
        *,
        child: bool,  # noqa: ARG002
    ) -> t.Iterator[str]:
        for leaf, _ in node.leaves():
            if leaf.is_secret or leaf.is_file:
                yield f"has {leaf.attribute}, which {column} cannot hold."

    def _link_problems(self, node: Node, prop: t.Any) -> t.Iterator[str]:
        if len(prop.target.primary_key) != 1:
            yield f"is a choice, but {prop.target} has several primary keys."
        if prop.uselist != node.many:
            wanted = "a list of keys" if prop.uselist else "one key"
            yield f"is a relationship that takes {wanted}."

    def _column_problems(
        self, leaf: Node, column: t.Any, *, child: bool
    ) -> t.Iterator[str]:
        info = self._model.model_fields[leaf.attribute]
        found = facets(info.annotation, info.metadata)
        if leaf.attribute in self.key:
            if not child:
                yield "is the primary key, which a form must not write."
            return
        if found.type is pydantic.SecretStr:
            yield "is a secret: hash it in the view, and name it in view_writes."
        if isinstance(leaf, FileInput):
            yield "is a file: save it in the view, and name it in view_writes."
        if leaf.nullable and not column.nullable:
            yield f"may be None, but {column} may not."
        length = getattr(column.type, "length", None)
        longest = found.max_length
        if found.type is str and length and (longest is None or longest > length):
            yield f"may be longer than the {length} characters of {column}."
        try:
            kind = column.type.python_type
        except NotImplementedError:
            return
        if found.type in _PLAIN and kind in _PLAIN and not _fits(found.type, kind):
            yield f"is {found.type.__name__}, but {column} is {kind.__name__}."

    def unknown_children(
        self, obj: t.Any, data: pydantic.BaseModel, path: Path = ()
    ) -> t.Iterator[Path]:
        """Yield the path of each row whose key is that of another object's child."""
        for node in self._nodes:
            value = getattr(data, node.attribute)
            if node.many and node.model_group is not None and self._is_link(node):
                target = self.child(node)
                own = target.by_key(getattr(obj, node.attribute))
                for index, row in enumerate(value):
                    key = target.key_of(row)
                    at = (*path, node.key, index)
                    if key is not None and key not in own:
                        yield at
                    elif key is not None:
                        yield from target.unknown_children(own[key], row, at)

    def path_of(self, columns: t.Collection[str]) -> Path | None:
        """The path of the first field that is stored in one of these columns."""
        stored = _columns(self.mapper)
        for node in self._schema.children:
            if any(c.name in columns for c in stored.get(node.attribute, ())):
                return (node.key,)
        return None

    def by_key(self, objects: t.Iterable[t.Any]) -> dict[tuple[t.Any, ...], t.Any]:
        """Objects by the values of their primary key."""
        return {tuple(getattr(o, name) for name in self.key): o for o in objects}

    def key_of(self, row: pydantic.BaseModel) -> tuple[t.Any, ...] | None:
        """Return the primary key of a row; ``None`` for a new row."""
        key = tuple(getattr(row, name) for name in self.key)
        return None if None in key else key

    def differences(
        self, obj: t.Any, data: pydantic.BaseModel, sent: t.Any
    ) -> t.Iterator[Difference]:
        """Yield the fields of one value that differ from the object."""
        body = t.cast("dict[str, t.Any]", sent if isinstance(sent, dict) else {})
        for node in self._written(data, body):
            if not node.nested:
                sent = self._value(node, data)
                current = key_of(getattr(obj, node.attribute))
                if not _is_same(current, sent):
                    yield Difference((node.key,), text_of(current), text_of(sent))

    def write(
        self,
        obj: t.Any,
        data: pydantic.BaseModel,
        sent: t.Any = None,
        *,
        whole: bool = False,
        session: t.Any = None,
    ) -> frozenset[str]:
        """Write the values that differ, and return the names of their attributes.

        :param sent: The decoded body of the data.
        :param whole: Whether a field that the body does not name gets its default.
        :param session: The session that finds chosen objects for an object without one.
        """
        session = orm.object_session(obj) or session
        body = t.cast("dict[str, t.Any]", sent if isinstance(sent, dict) else {})
        return frozenset(
            node.attribute
            for node in self._written(data, body, whole=whole)
            if self._write(node, obj, data, body, whole=whole, session=session)
        )

    def _written(
        self, data: pydantic.BaseModel, body: dict[str, t.Any], *, whole: bool = False
    ) -> t.Iterator[Node]:
        unsent = body.unsent if isinstance(body, Decoded) else ()
        for node in self._nodes:
            name = node.attribute
            named = name in data.model_fields_set and node.key not in unsent
            if (named or whole) and name not in self.key:
                yield node

    def _value(self, node: Node, data: pydantic.BaseModel) -> t.Any:
        value = getattr(data, node.attribute)
        column = _columns(self.mapper).get(node.attribute)
        if column is None:
            return value
        # A URL is an object in Pydantic, and text in a table.
        if isinstance(value, pydantic.AnyUrl):
            return str(value)
        if node.nested and isinstance(column[0].type, sa.JSON):
            return pydantic_core.to_jsonable_python(value)
        return [*value] if isinstance(value, set | frozenset | tuple) else value

    def _is_link(self, node: Node) -> bool:
        prop = getattr(getattr(self.entity, node.attribute), "property", None)
        return isinstance(prop, orm.RelationshipProperty)

    def _write(
        self,
        node: Node,
        obj: t.Any,
        data: pydantic.BaseModel,
        body: dict[str, t.Any],
        *,
        whole: bool,
        session: t.Any,
    ) -> bool:
        name = node.attribute
        value = self._value(node, data)
        current = getattr(obj, name)
        sent = body.get(node.key)
        is_link = self._is_link(node)
        if is_link and _is_choice(node):
            kind = getattr(self.entity, name).property.mapper.class_
            return _link(obj, name, current, value, kind, session)
        if is_link and node.many and node.model_group is not None:
            return self._write_rows(
                self.child(node), current, value, sent, whole=whole, session=session
            )
        if is_link and node.model_group is node and value is not None:
            target = self.child(node)
            if current is not None:
                return bool(
                    target.write(current, value, sent, whole=whole, session=session)
                )
            current = target.entity()
            target.write(current, value, whole=True, session=session)
            setattr(obj, name, current)
            return True
        value = _in_zone(value, current, _columns(self.mapper).get(name))
        members = getattr(data, name)
        if _is_same(current, value) or (
            # A set has no order, unlike the list that stands for it in a column.
            isinstance(members, set | frozenset)
            and isinstance(current, list)
            and sorted(map(repr, t.cast("list[t.Any]", current)))
            == sorted(map(repr, value))
        ):
            return False
        # A value that no page can show as it is differs, though nobody touched it.
        is_form = isinstance(body, Decoded) and node.key in body
        if is_form and not is_link and sent == node.echo(current):
            return False
        setattr(obj, name, value)
        return True

    def _write_rows(
        self,
        target: Target,
        current: t.Any,
        rows: t.Any,
        sent: t.Any,
        *,
        whole: bool,
        session: t.Any,
    ) -> bool:
        own = target.by_key(current)
        changed = False
        kept: list[t.Any] = []
        bodies = t.cast("list[t.Any]", sent if isinstance(sent, list) else [])
        if len(bodies) != len(rows):
            # A validator of the app took rows away or added some.
            bodies = [None] * len(rows)
        for row, body in zip(rows, bodies, strict=True):
            key = target.key_of(row)
            if key is None:
                child = target.entity()
                target.write(child, row, whole=True, session=session)
                changed = True
            else:
                child = own[key]
                changed |= bool(
                    target.write(child, row, body, whole=whole, session=session)
                )
            kept.append(child)
        before = list(current)
        for child in before:
            if child not in kept:
                current.remove(child)
                changed = True
        for child in kept:
            if child not in before:
                # A list, or a set.
                add = current.add if hasattr(current, "add") else current.append
                add(child)
        return changed


def _is_choice(node: Node) -> bool:
    """True for one or several keys of objects that are offered."""
    return isinstance(node.inner[0] if node.inner else node, Choice)


def _link(
    obj: t.Any, name: str, current: t.Any, keys: t.Any, entity: t.Any, session: t.Any
) -> bool:
    """Make a relationship lead to the objects of some primary keys.

    :raises RuntimeError: if there is no session to find them in.
    """
    several = isinstance(keys, list | set | tuple | frozenset)
    chosen: list[t.Any] = [*keys] if several else [keys]
    before: dict[t.Any, t.Any] = {
        key_of(each): each for each in (current if several else [current])
    }
    if set(chosen) == set(before):
        return False
    if session is None:
        raise RuntimeError(
            f"{type(obj).__name__}.{name} is chosen by its key, so a session must find"
            " it. Add the object to a session before form.apply(obj), or call"
            " form.save(session, obj)."
        )
    with session.no_autoflush:
        after = [
            None if key is None else before.get(key) or session.get_one(entity, key)
            for key in dict.fromkeys(chosen)
        ]
    kept: t.Any = after if several else after[0]
    setattr(obj, name, set(after) if isinstance(current, set) else kept)
    return True


def _is_same(current: t.Any, value: t.Any) -> bool:
    """True if a value is that of the object, whose database may keep no zone."""
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        current = as_aware(current)
    return bool(current == value)


def _in_zone(value: t.Any, current: t.Any, columns: list[t.Any] | None) -> t.Any:
    """Give a moment the zone that its column demands.

    A driver would take it for one in the zone of the process.
    """
    if not isinstance(value, dt.datetime) or not columns:
        return value
    keeps_zone = bool(getattr(columns[0].type, "timezone", False))
    if value.tzinfo is not None or not keeps_zone:
        return as_stored(value, keeps_zone=keeps_zone)
    if isinstance(current, dt.datetime) and current.tzinfo is None:
        # The database keeps no zones, such as SQLite.
        return value
    zone = current_zone() or getattr(current, "tzinfo", None) or dt.UTC
    return value.replace(tzinfo=zone)


def _columns(mapper: t.Any) -> dict[str, list[t.Any]]:
    """Return the columns of each attribute, before all mappers are configured."""
    found: dict[str, list[t.Any]] = {}
    for name, attribute in mapper.all_orm_descriptors.items():
        prop: t.Any = getattr(attribute, "property", None)
        if isinstance(prop, orm.ColumnProperty):
            found[name] = list(prop.columns)
    return found


def _fits(kind: type[t.Any], column: type[t.Any]) -> bool:
    # A whole number is a number, and a boolean is one for Python only.
    numbers = (int, float, decimal.Decimal)
    if kind is column:
        return True
    return (
        kind in numbers
        and column in numbers
        and not (kind is not int and column is int)
    )
