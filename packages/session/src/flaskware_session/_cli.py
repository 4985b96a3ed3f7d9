from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import datetime as dt
import json
import shutil
import sys
import typing as t

import click

from flaskware_core import CommandGroup
from flaskware_core import current_app_object

from ._errors import StoreUnavailable

if t.TYPE_CHECKING:
    from ._extension import BaseSessions
    from ._extension import Sessions
    from ._records.record import SessionInfo

_BATCH = 1000


class _Group(CommandGroup):
    def invoke(self, ctx: click.Context) -> t.Any:
        try:
            return super().invoke(ctx)
        except StoreUnavailable as error:
            raise click.ClickException(
                f"SESSION_STORE does not answer: {error.reason}"
            ) from None


session_commands = _Group("session", help="Look at sessions and end them.")

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@session_commands.command("stats")
@_as_json
def stats(*, as_json: bool) -> None:
    """Count sessions and users."""
    sessions = _sessions()
    found = sessions.stats()
    if as_json:
        click.echo(json.dumps(dc.asdict(found)))
    else:
        users = _count_of(found.users, "user")
        click.echo(f"{_count_of(found.sessions, 'session')}, {users} signed in")
        click.echo(f"{found.expired} expired and not yet removed")


@session_commands.command("list")
@click.option("--user", "user_id", help="The user's id; without it, all users.")
@_as_json
def list_sessions(user_id: str | None, *, as_json: bool) -> None:
    """List where a user is signed in, or everybody.

    The list of everybody is read a part at a time and printed as it is read.
    """
    sessions = _sessions()
    parts: cabc.Iterable[list[SessionInfo]]
    is_all = user_id is None
    parts = sessions.for_everybody() if is_all else [sessions.for_user(user_id or "")]
    # A store may give a session twice.
    seen: set[str] = set()
    for infos in parts:
        for info in infos:
            if info.handle not in seen:
                _print(info, is_first=not seen, has_user=is_all, as_json=as_json)
                seen.add(info.handle)
    if as_json:
        click.echo("]" if seen else "[]")
    elif not seen:
        nobody = "Nobody is" if is_all else f"{user_id} is not"
        click.echo(f"{nobody} signed in anywhere.")


def _print(info: SessionInfo, *, is_first: bool, has_user: bool, as_json: bool) -> None:
    if as_json:
        text = json.dumps(dc.asdict(info), default=dt.datetime.isoformat)
        click.echo(f"{'[' if is_first else ', '}{text}")
        return
    # The name of a browser is long; --json has all of it.
    width = shutil.get_terminal_size().columns
    when = info.last_seen.strftime("%Y-%m-%d %H:%M UTC")
    user = f"{info.user_id}  " if has_user else ""
    name = info.label or info.agent or "-"
    line = f"{info.handle}  {when}  {user}{info.address or '-'}  {name}"
    click.echo(line if len(line) <= width else f"{line[: width - 1]}…")


@session_commands.command("revoke")
@click.argument("user_id", metavar="[USER]", required=False)
@click.argument("handle", required=False)
@click.option("--everybody", is_flag=True, help="End the sessions of all users.")
@click.option("--yes", is_flag=True, help="Ask no question before that.")
@_as_json
def revoke(
    user_id: str | None,
    handle: str | None,
    *,
    everybody: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """End all sessions of a user, or the session with a handle from `list`."""
    if everybody == (user_id is not None):
        raise click.UsageError("Name a user, or say --everybody.")
    sessions = _sessions()
    if user_id is None:
        ended = _revoke_everybody(sessions, is_agreed=yes)
    elif handle is None:
        ended = sessions.revoke_user(user_id)
    elif sessions.revoke(handle, user_id=user_id):
        ended = 1
    else:
        raise click.ClickException(f"{user_id} has no session {handle}.")
    click.echo(json.dumps({"ended": ended}) if as_json else f"{ended} ended.")


def _revoke_everybody(sessions: Sessions, *, is_agreed: bool) -> int:
    stored = sessions.stats()
    if not is_agreed:
        users = _count_of(stored.users, "user")
        click.confirm(f"Sign out {users}?", abort=True, err=True)
    with click.progressbar(
        length=stored.sessions, label="Sessions", file=sys.stderr
    ) as bar:
        return sessions.revoke_everybody(progress=bar.update)


@session_commands.command("create-table")
@_as_json
def create_table(*, as_json: bool) -> None:
    """Make the table of sessions in the database server, if it is not there."""
    needed = _sessions().create_table()
    if as_json:
        click.echo(json.dumps({"table": needed}))
    else:
        click.echo("The table is there." if needed else "This store needs no table.")


@session_commands.command("convert")
@click.option(
    "--trust-the-store",
    is_flag=True,
    help="Consent: nobody else could write to it, so that no pickle in it is foreign.",
)
@_as_json
def convert(*, trust_the_store: bool, as_json: bool) -> None:
    """Turn pickled sessions of Flask-Session into JSON, where they are stored.

    A pickle runs any code that somebody put into it when it is read. This reads every
    one in the stores that SESSION_MOVE_FROM names.
    """
    if not trust_the_store:
        raise click.UsageError(
            "Reading a pickle runs any code that somebody put into it. If nobody else"
            " could write to the old store, say so with --trust-the-store."
        )
    done = _sessions().unpickle_old()
    if as_json:
        click.echo(json.dumps({"converted": done.converted, "failed": done.failed}))
        return
    click.echo(f"{done.converted} converted.")
    for reason in done.failed:
        click.echo(f"Left as it was: {reason}", err=True)


@session_commands.command("prune")
@_as_json
def prune(*, as_json: bool) -> None:
    """Remove expired sessions, a batch at a time."""
    sessions = _sessions()
    expired = sessions.stats().expired
    removed = 0
    with click.progressbar(
        length=expired, label="Expired sessions", file=sys.stderr
    ) as bar:
        while count := sessions.prune(limit=_BATCH):
            removed += count
            bar.update(count)
    click.echo(json.dumps({"removed": removed}) if as_json else f"{removed} removed.")


def _count_of(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _sessions() -> Sessions:
    sessions = t.cast("BaseSessions", current_app_object().extensions["session"])
    return sessions.for_commands()
