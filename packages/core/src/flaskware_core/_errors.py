"""Errors of an extension that is used in the wrong way."""

from __future__ import annotations

import sys
import sysconfig
import typing as t

import click


class Misuse(click.ClickException):
    """Code uses an extension in a way that cannot work; the message says what to write.

    Also a :class:`click.ClickException`, so that the ``flask`` command prints the
    message and the place in your code, without a traceback, and exits with 1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.place = caller()
        """The file and line of the code that is wrong."""

    def show(self, file: t.IO[t.Any] | None = None) -> None:
        """Print the message and the place; called by click."""
        super().show(file)
        # Libraries and the `flask` command itself are no code of yours. Not the whole
        # prefix: an environment may lie around the app.
        kinds = ("stdlib", "platstdlib", "purelib", "platlib", "scripts")
        others = tuple(sysconfig.get_path(kind) for kind in kinds)
        if not self.place.startswith(others) and self.place not in self.message:
            click.echo(f"  at {self.place}", file=file or sys.stderr)


class NotInitialised(Misuse, RuntimeError):
    """An extension is used where no app that it was initialised on is active."""


class AlreadyInitialised(Misuse, RuntimeError):
    """An extension is initialised a second time on the same app."""


class DeclarationError(Misuse, TypeError):
    """A declaration in code, or an argument, is of a kind that cannot work."""


class WouldBlock(Misuse, RuntimeError):
    """A helper that waits is called in the event loop of an asynchronous app."""


def caller(*between: str) -> str:
    """Return the first place on the stack that is outside of the family.

    :param between: Starts of the names of other modules to leave out.
    """
    # Not inspect.stack(), which reads the source of every frame.
    frame = sys._getframe(1)  # noqa: SLF001
    # SQLAlchemy's proxy of a session stands between your code and ours.
    skipped = ("flaskware_", "sqlalchemy.", *between)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
        skipped
    ):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
