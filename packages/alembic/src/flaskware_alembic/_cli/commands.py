"""The group of commands, ``flask db``."""

from __future__ import annotations

import click


class _Commands(click.Group):
    """A group whose commands are loaded when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._load()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        self._load()
        return super().get_command(ctx, cmd_name)

    def _load(self) -> None:
        # A worker that only makes the app runs none of them.
        from .author import AUTHOR
        from .deploy import DEPLOY
        from .inspect import INSPECT
        from .rehearsal import REHEARSAL

        for command in (*AUTHOR, *DEPLOY, *INSPECT, *REHEARSAL):
            self.commands.setdefault(str(command.name), command)


db = _Commands("db", help="Migrate the databases of the app.")
