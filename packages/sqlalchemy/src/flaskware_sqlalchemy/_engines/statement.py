"""Statements: the tables that they name, and the difference of reading and writing."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
import typing as t

import sqlalchemy as sa
from sqlalchemy.util import LRUCache

# Statements that change no row, and those that only set up the transaction.
_PLAIN = re.compile(
    r"\s*\(*\s*(?:SELECT|WITH|SHOW|VALUES|TABLE|SAVEPOINT|RELEASE|ROLLBACK|SET|BEGIN"
    r"|USE|DESCRIBE|PRAGMA(?![^;]*=)|EXPLAIN(?![^;]*ANALYZE))\b",
    re.IGNORECASE,
).match
_WITH = re.compile(r"\s*\(*\s*WITH\b", re.IGNORECASE).match
_CHANGE = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE|INTO)\b", re.IGNORECASE).search
_CALL = re.compile(r"\b(\w+)\s*\(")
# Names before a parenthesis that write nothing. A call of any other function in a
# textual SELECT may write, and only the server knows.
_HARMLESS = re.compile(
    r"abs|all|and|any|array|as|avg|between|by|case|cast|ceil"
    r"|coalesce|concat|count|current_setting|date|distinct|else|"
    r"exists|extract|filter|first_value|floor|from|group_concat|"
    r"having|ifnull|in|join|json_agg|lag|last_value|lateral|lead|"
    r"length|like|limit|lower|max|min|mod|not|now|nullif|"
    r"offset|on|or|over|partition|pg_backend_pid|rank|replace|"
    r"round|row_number|select|string_agg|substr|substring|sum|then|"
    r"trim|union|upper|using|values|version|when|where",
    re.IGNORECASE,
).fullmatch
# Neither has parts that matter here.
_LEAVES = (sa.Column, sa.BindParameter)


@dc.dataclass(frozen=True)
class StatementParts:
    """Properties of a statement that decide where it runs.

    :param metadatas: Those of its tables, in every part of it.
    :param is_read: True for a plain ``SELECT``, which can be sent to a replica.
    """

    metadatas: frozenset[sa.MetaData]
    is_read: bool


_NOTHING = StatementParts(frozenset(), False)
_known: LRUCache[t.Any, StatementParts] = LRUCache(1000)


def parts_of(clause: t.Any) -> StatementParts:
    """Return the properties of a statement, with its CTEs, subqueries and compounds.

    :param clause: ``None`` for no statement, as for the rows of a flush.
    """
    if clause is None:
        return _NOTHING
    # The key under which SQLAlchemy keeps the compiled statement. It makes the key for
    # each statement anyway and keeps it there; to walk through each would be slower.
    key = clause._generate_cache_key()  # noqa: SLF001
    if key is None:
        return _look_through(clause)
    found: StatementParts | None = _known.get(key.key)
    if found is None:
        found = _known[key.key] = _look_through(clause)
    return found


def _look_through(clause: t.Any) -> StatementParts:
    metadatas: set[sa.MetaData] = set()
    is_read = bool(clause.is_select) if hasattr(clause, "is_select") else False
    nodes: list[t.Any] = [clause]
    while nodes:
        node = nodes.pop()
        if isinstance(node, sa.Table):
            metadatas.add(node.metadata)
        elif not isinstance(node, _LEAVES):
            if (
                getattr(node, "is_dml", False)
                or getattr(node, "_for_update_arg", None) is not None
                or isinstance(node, sa.TextualSelect)
            ):
                is_read = False
            children: cabc.Iterable[t.Any] = node.get_children()
            nodes.extend(children)
    return StatementParts(frozenset(metadatas), is_read)


def is_write(statement: str, context: t.Any) -> bool:
    """Return True if a statement that a driver gets writes, or may write.

    :param context: The execution of the statement, as SQLAlchemy's events have it.
    """
    if not _PLAIN(statement):
        return True
    if getattr(context, "is_text", True):
        return _CHANGE(statement) is not None or any(
            _HARMLESS(name) is None for name in _CALL.findall(statement)
        )
    return _WITH(statement) is not None and _CHANGE(statement) is not None
