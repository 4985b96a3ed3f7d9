"""Problems in the configuration of an app, and the error that lists them."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc

import click


@dc.dataclass(frozen=True)
class ConfigProblem:
    """Something that is wrong in an app's configuration.

    :param key: The key as the user writes it, or several joined by ``" and "``.
    :param expected: A valid value, described as a phrase.
    :param given: The value that was found, already safe to print. Empty if there was
        none.
    :param write: The remedy: a line to write, or an instruction.
    :param summary: Printed in place of the other fields, where one line says it all.
    """

    key: str
    expected: str
    given: str = ""
    write: str = ""
    summary: str = dc.field(default="", kw_only=True)

    def __str__(self) -> str:
        if self.summary:
            return f"  {self.key}\n    {self.summary}"
        rows = (
            ("expected", self.expected),
            ("given", self.given),
            ("write", self.write),
        )
        lines = [f"    {label:<9} {text}" for label, text in rows if text]
        return "\n".join([f"  {self.key}", *lines])


class ConfigError(click.ClickException, ValueError):
    """The configuration of an app is wrong; the message lists every problem.

    Also a :class:`click.ClickException`, so that the ``flask`` command prints the
    list without a traceback and exits with 1.

    :param owner: The distribution whose configuration was read.
    :param problems: Everything that is wrong, in the order of the settings.
    """

    def __init__(self, owner: str, problems: cabc.Iterable[ConfigProblem]) -> None:
        self.owner = owner
        self.problems: tuple[ConfigProblem, ...] = tuple(problems)
        count = len(self.problems)
        noun = "problem" if count == 1 else "problems"
        super().__init__(
            "\n".join(
                [
                    f"{count} {noun} in the configuration of {owner}:",
                    *(f"\n{problem}" for problem in self.problems),
                ]
            )
        )

    def __reduce__(self) -> tuple[type[ConfigError], tuple[object, ...]]:
        return type(self), (self.owner, self.problems)
