"""The command `flask db rehearse`, and what it prints."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import sys
import textwrap
import typing as t

import click

from flaskware_alembic._errors import DataLost
from flaskware_alembic._results import HELD_BACK
from flaskware_alembic._results import Rehearsal
from flaskware_alembic._results import RehearsedStatement
from flaskware_alembic._results import RehearsedStep

from .options import command
from .options import json_option
from .output import NOTHING_TO_DO
from .output import print_json

if t.TYPE_CHECKING:
    from flaskware_alembic._extension import Alembic

_WIDTH = 80
# Statements that only look are shown where they take long.
_LONG = 0.1
_LONGEST_LIST = 10


@command("rehearse")
@click.argument("target", default="heads")
@click.option("--no-down", is_flag=True, help="Do not take the revisions back again.")
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    help="Copy as many rows of each table, with those that they refer to; all by"
    " default, where that is possible.",
)
@click.option("--url", help="The server to make the copy on.")
@click.option(
    "--contract",
    is_flag=True,
    help="Also what is held back until no process runs older code.",
)
@json_option
def rehearse(
    alembic: Alembic,
    *,
    target: str,
    no_down: bool,
    rows: int | None,
    url: str | None,
    contract: bool,
    as_json: bool,
    **chosen: t.Any,
) -> None:
    """Apply what is pending to a copy, measure it, and take it back again.

    The database itself is left alone, and the copy is dropped in the end. Exits with
    19 if data was lost.
    """
    # A revision may print, which is no part of the result.
    with (
        contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    ):
        found = alembic.rehearse(
            target,
            down=not no_down,
            rows=rows,
            url=url,
            contract=contract,
            **chosen,
        )
    if as_json:
        print_json(found)
    else:
        for rehearsal in found:
            _print(rehearsal)
    lost = [change for rehearsal in found for change in rehearsal.lost]
    if lost:
        raise DataLost(
            f"Data was lost in {len(lost)} place{'s' * (len(lost) > 1)}, and no"
            " statement of a revision says so.",
            rehearsals=tuple(found),
        )


def _print(rehearsal: Rehearsal) -> None:
    name = rehearsal.bind or "default"
    if not rehearsal.copy:
        click.echo(f"{name}: {NOTHING_TO_DO}")
        return
    _say(f"{name}: rehearsed on a copy of {rehearsal.copy}")
    samples = sorted(rehearsal.samples, key=lambda s: s.total, reverse=True)
    for sample in samples[:_LONGEST_LIST]:
        _say(str(sample), 2)
    if (more := len(samples) - _LONGEST_LIST) and more > 0:
        _say(f"and {more} smaller tables", 2)
    for note in rehearsal.notes:
        _say(f"Note: {note}", 2)
    for step in rehearsal.steps:
        _print_step(step)
    for info in rehearsal.backfills:
        _say(f"backfill {info}")
    for revision in rehearsal.left:
        _say(f"Held back: {revision}")
    if rehearsal.left:
        _say(HELD_BACK)
    _print_data(rehearsal)


def _print_step(step: RehearsedStep) -> None:
    _say(str(step))
    for statement in step.statements:
        if _is_shown(statement):
            _print_statement(statement)
    for lock in step.waits.values():
        where = lock.table or "the database"
        _say(f"{lock.blocks} of {where} wait for {lock.seconds:.2f} s", 2)


def _is_shown(statement: RehearsedStatement) -> bool:
    waits = any(lock.blocks != "nothing" for lock in statement.locks or ())
    return bool(
        waits
        or statement.rewritten
        or statement.rows
        or statement.seconds >= _LONG
        or not statement.sql.lstrip().upper().startswith(("SELECT", "PRAGMA", "SHOW"))
    )


def _print_statement(statement: RehearsedStatement) -> None:
    sql = " ".join(statement.sql.split())
    sql = sql if len(sql) <= 160 else f"{sql[:157]}..."
    times = f" ({statement.times} times)" if statement.times > 1 else ""
    _say(f"{statement.seconds:.2f} s  {sql}{times}", 2, 10)
    notes = [str(lock) for lock in statement.locks or () if lock.blocks != "nothing"]
    if statement.locks is None:
        notes.append("its locks are not known")
    if statement.rewritten:
        notes.append(f"rewrites: {', '.join(statement.rewritten)}")
    if statement.rows is not None:
        notes.append(f"rows: {statement.rows}")
    for note in notes:
        _say(note, 10)


def _print_data(rehearsal: Rehearsal) -> None:
    ways = {step.direction for step in rehearsal.steps}
    way = "up and down" if "downgrade" in ways else "up"
    plural = "s" * (rehearsal.kept != 1)
    verb = "is" if rehearsal.kept == 1 else "are"
    _say(f"Data: {rehearsal.kept} column{plural} {verb} the same after the way {way}.")
    for title, changes in (
        ("As the revisions say", [c for c in rehearsal.changes if c.is_expected]),
        ("LOST", rehearsal.lost),
    ):
        for change in changes:
            _say(f"{title}: {change}", 2)


def _say(text: str, indent: int = 0, hanging: int | None = None) -> None:
    click.echo(_filled(text, indent, indent if hanging is None else hanging))


def _filled(text: str, indent: int, hanging: int) -> str:
    lines: cabc.Sequence[str] = textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * hanging,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


REHEARSAL = (rehearse,)
