"""Dangers on PostgreSQL beside tables: what clients see, may do and rely on.

Most break nothing by a lock, but code that is still running, or that is put back
after a deploy that failed.
"""

from __future__ import annotations

import dataclasses as dc

from flaskware_alembic._lint.predicates import checks_partition
from flaskware_alembic._lint.rule import advice
from flaskware_alembic._lint.rule import Applies
from flaskware_alembic._lint.rule import Dialect
from flaskware_alembic._lint.rule import KEYS
from flaskware_alembic._lint.rule import kind
from flaskware_alembic._lint.rule import READS
from flaskware_alembic._lint.rule import Rule
from flaskware_alembic._lint.rule import RuleContext
from flaskware_alembic._sql.change import Change
from flaskware_core import Level

_PG: tuple[Dialect, ...] = ("postgresql",)


def _restricts(change: Change, context: RuleContext) -> bool:
    """True if rows that were valid before may be refused from now on."""
    if any(
        context.is_new_part(dc.replace(change, name=info.name))
        for info in change.columns
    ):
        # No code that is still running writes it.
        return False
    added = {"add_check", "add_foreign_key", "add_unique", "add_exclude"}
    if change.kind == "alter_domain":
        # Another rule is about that of a domain whose rows are checked.
        return change.is_checked and change.is_flagged
    is_unique_index = change.kind == "create_index" and change.is_unique
    return (change.kind in added and change.is_flagged) or is_unique_index


def _hides_rows(change: Change, _: RuleContext) -> bool:
    return change.kind in {"detach_partition", "no_inherit"}


def _revokes(change: Change, _: RuleContext) -> bool:
    drops_role = (change.kind, change.other) == ("drop_object", "role")
    return change.kind == "revoke" or drops_role


def _drops_type(change: Change, context: RuleContext) -> bool:
    # With its last column goes its last use.
    gone = {"drop_column", "drop_table", "alter_type"}
    is_named = change.other in {"cast", "type"}
    return (
        change.kind == "drop_object"
        and is_named
        and not any(earlier.kind in gone for earlier in context.before(change))
    )


def _rule(
    id: str,
    level: Level,
    reason: str,
    applies: Applies,
    safe: str,
    lock: str | None = None,
    *,
    has_table: bool = False,
    grows: bool = False,
) -> Rule:
    # Only a rule about a table is silent for a new table.
    on_new = lock is None and not has_table
    text = advice(safe)
    return Rule(id, _PG, level, reason, applies, text, lock, on_new, grows=grows)


_FIRST_CODE = "# First deploy code that copes with both, then do it."
OBJECTS = (
    _rule(
        "drop-routine",
        Level.WARNING,
        "Code that is still running and calls it fails from this moment, and so do"
        " triggers and defaults that do.",
        kind("drop_object", other="routine"),
        "# First deploy code, triggers and defaults that do not call {name}.",
    ),
    _rule(
        "drop-type",
        Level.WARNING,
        "Code that is still running and casts to the type fails from this moment.",
        _drops_type,
        "# First deploy code that does not name {name}.",
    ),
    _rule(
        "drop-sequence",
        Level.WARNING,
        "Code that is still running and takes numbers of it fails from this moment,"
        " and how far it came is gone.",
        kind("drop_object", other="sequence"),
        "# First deploy code that takes its numbers elsewhere.",
    ),
    _rule(
        "drop-schema",
        Level.ERROR,
        "Code that is still running and uses anything in it fails from this moment;"
        " with CASCADE all of that is deleted.",
        kind("drop_object", other="schema"),
        "# First move or drop what is in {name}, one by one.",
    ),
    _rule(
        "drop-extension",
        Level.WARNING,
        "The types, functions and operators of the extension go with it, and with"
        " CASCADE each column that uses them.",
        kind("drop_object", other="extension"),
        "# First drop or move what uses {name}, one by one.",
    ),
    _rule(
        "drop-trigger",
        Level.WARNING,
        "Silently ends what the trigger wrote or checked. It also waits for running"
        " queries on the table and blocks new queries meanwhile.",
        kind("drop_object", other="trigger"),
        "# First deploy code that does what the trigger did.",
        READS,
    ),
    _rule(
        "drop-policy",
        Level.WARNING,
        "Changes at once who may see and write which rows: without a policy that allows"
        " them, rows are hidden; rows that only this policy forbade are open.",
        kind("drop_object", other="policy"),
        "# Make the policy that takes its place in the same transaction.",
        READS,
    ),
    _rule(
        "rename-object",
        Level.WARNING,
        "Code that is still running uses the old name, and fails from this moment.",
        kind("rename_object"),
        "# Make another beside it, under the new name; drop the old a release later.",
    ),
    _rule(
        "rename-constraint",
        Level.INFO,
        "An INSERT of running code that says ON CONFLICT ON CONSTRAINT with the old"
        " name fails from this moment.",
        kind("rename_constraint"),
        "# First deploy code that names the columns: ON CONFLICT (...).",
        READS,
    ),
    _rule(
        "move-schema",
        Level.ERROR,
        "Code that is still running looks for it in the old schema, and fails from"
        " this moment.",
        kind("move_object"),
        "# Have both schemas in the search_path of every client first:\n"
        "op.execute('ALTER ROLE app SET search_path = {other}, public')",
        READS,
    ),
    _rule(
        "replace-object",
        Level.INFO,
        "Code that is still running gets what the new definition returns.",
        kind("replace_object"),
        _FIRST_CODE,
    ),
    _rule(
        "alter-view",
        Level.INFO,
        "Options of a view decide whose rights and which rows count.",
        kind("alter_view"),
        _FIRST_CODE,
    ),
    _rule(
        "alter-routine",
        Level.INFO,
        "Options of a routine decide whose rights count and in which schema it looks.",
        kind("alter_routine"),
        _FIRST_CODE,
    ),
    _rule(
        "alter-sequence",
        Level.WARNING,
        "Numbers may be given out twice, or be refused by the code that gets them.",
        kind("alter_sequence"),
        "op.execute(\"SELECT setval('{name}', max(id)) FROM ...\")"
        "  # never below what was given out",
    ),
    _rule(
        "alter-identity",
        Level.WARNING,
        "Code that is still running fails if it gives a value where one is made"
        " ALWAYS, or leaves one out where none is made any more.",
        kind("alter_identity"),
        "# GENERATED BY DEFAULT takes both.",
        READS,
    ),
    _rule(
        "alter-generated",
        Level.WARNING,
        "The column is from this moment written by the code, which may not do so, or"
        " computed in another way.",
        kind("alter_generated"),
        "# Add a column beside {table}.{name}, and deploy code that writes it.",
        READS,
    ),
    _rule(
        "alter-composite",
        Level.WARNING,
        "Code that is still running reads and writes values of the type as it was.",
        kind("alter_composite"),
        "# Make a new type, and a column of it beside the old column.",
    ),
    _rule(
        "add-enum-value",
        Level.INFO,
        "Code that is still running does not know the value, and SQLAlchemy raises"
        " LookupError when it reads one; it cannot be used in this transaction either.",
        kind("add_enum_value"),
        "# First deploy code that knows the value; write it only after this revision.",
    ),
    _rule(
        "new-restriction",
        Level.INFO,
        "Code that is still running may write what is refused from this moment; NOT"
        " VALID and CONCURRENTLY only spare the rows that are there.",
        _restricts,
        "# First deploy code that writes nothing else.",
        has_table=True,
    ),
    _rule(
        "hides-rows",
        Level.INFO,
        "Code that is still running no longer finds these rows by way of the parent.",
        _hides_rows,
        "# First deploy code that does not look for them there.",
        has_table=True,
    ),
    _rule(
        "attach-validates",
        Level.WARNING,
        "Checks every row of the new and the default partition while nobody can read or"
        " write them.",
        checks_partition,
        "# First give {name} a valid CHECK that says the same as its bounds:\n"
        "op.execute('ALTER TABLE {sql_name} ADD CONSTRAINT fits CHECK (...)"
        " NOT VALID')\n"
        "op.execute('ALTER TABLE {sql_name} VALIDATE CONSTRAINT fits')",
        READS,
        grows=True,
    ),
    _rule(
        "disable-trigger",
        Level.WARNING,
        "Silently changes what the trigger or rule writes or checks. It also waits for"
        " running writes to the table.",
        kind("disable_trigger"),
        _FIRST_CODE,
        KEYS,
    ),
    _rule(
        "replica-identity",
        Level.WARNING,
        "Subscribers of logical replication get other columns of the changed rows.",
        kind("replica_identity"),
        "# First see to the subscribers.",
        READS,
    ),
    _rule(
        "drop-publication",
        Level.WARNING,
        "Logical replication of its tables ends: nobody gets their changes any more.",
        kind("drop_object", other="replication"),
        "# First see to the subscribers.",
    ),
    _rule(
        "row-security",
        Level.WARNING,
        "Changes at once who may see and write which rows: without a policy, nobody.",
        kind("row_security"),
        "# Make the policies first, and try them as the role of the app.",
        READS,
    ),
    _rule(
        "change-policy",
        Level.WARNING,
        "Silently changes who may see and write which rows.",
        kind("create_policy", "alter_policy"),
        "# Try it as the role of the app, with code of both releases.",
        READS,
    ),
    _rule(
        "revoke",
        Level.WARNING,
        "Code that is still running as that role is refused from this moment.",
        _revokes,
        "# First deploy code that does not need the right.",
    ),
    _rule(
        "change-owner",
        Level.INFO,
        "Code that still runs as the old owner is refused from this moment, unless that"
        " role was granted the rights.",
        kind("change_owner"),
        "# First GRANT the role of the running code what it needs.",
        has_table=True,
    ),
    _rule(
        "alter-role",
        Level.WARNING,
        "Changes the role in every database of the server, and for code that is still"
        " running.",
        kind("alter_role"),
        "# Leave that to the operator of the server.",
    ),
    _rule(
        "alter-database",
        Level.WARNING,
        "Each new session is set up in another way, for code that is still running,"
        " too.",
        kind("alter_database"),
        "# Leave that to the operator of the server, or SET it in the session.",
    ),
    _rule(
        "alter-system",
        Level.ERROR,
        "It sets the whole server, for all of its databases.",
        kind("alter_system"),
        "# Leave that to the operator of the server.",
    ),
    _rule(
        "alter-extension",
        Level.WARNING,
        "A new version may change or drop what code that is still running uses.",
        kind("alter_extension"),
        "# Try it on a copy first, with code of both releases.",
    ),
)
