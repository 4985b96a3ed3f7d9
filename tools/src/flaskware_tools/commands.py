"""Check that the `flask` commands and options in the documentation exist."""

from __future__ import annotations

import importlib
import re
import sys
import tempfile
from pathlib import Path

import click
from flask import Flask
from flask.cli import FlaskGroup
from flask.cli import ScriptInfo

from .matrix import packages
from .matrix import ROOT

DEMO = ROOT / "docs" / "examples" / "noticeboard"

# A command ends at a backtick in prose, at a comment or the end of the line in a block.
_COMMAND = re.compile(r"(?:^|[`$] ?|\s)flask (?P<rest>[^`\n#|;]+)", re.MULTILINE)
_CODE = re.compile(r"^```[^\n]*\n.*?^```$|`[^`]+`", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Return the pages to check; those on moving also name commands of others."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    found += [
        *(ROOT / "docs/guides").glob("*.md"),
        *(ROOT / "docs/tutorial").glob("*.md"),
    ]
    for package in packages().values():
        folder = package.folder
        found += [folder / "README.md", *(folder / "docs").rglob("*.md")]
    return sorted(path for path in found if path.name != "moving.md")


def named(text: str) -> list[str]:
    """Return what follows `flask` in the code of a page."""
    found: list[str] = []
    for code in _CODE.findall(text):
        found += [
            re.sub(r"\s+", " ", match["rest"]).strip()
            for match in _COMMAND.finditer(code.replace("\\\n", " "))
        ]
    return [command for command in found if not re.match(r"[^a-z-]|import\b", command)]


def problem(command: str, app: Flask) -> str | None:
    """Return what is wrong with a command, or ``None``."""
    group = FlaskGroup()
    words = re.sub(r"^(?:--(?:app|env-file) \S+ |--debug )+", "", command).split()
    current: click.Command = group
    context = click.Context(group, obj=ScriptInfo(create_app=lambda: app))
    for word in words:
        if word.startswith("--"):
            options = {name for item in current.params for name in _names(item)}
            # Click adds `--help` to each command.
            name = word.strip("[],.").split("=")[0]
            if name not in options | {"--help"}:
                return f"`flask {command}`: {current.name} has no {name}"
        elif isinstance(current, click.Group):
            found = current.get_command(context, word.strip("[],."))
            if found is None:
                return f"`flask {command}`: there is no {word}"
            current = found
    return None


def _names(parameter: click.Parameter) -> list[str]:
    return [*parameter.opts, *parameter.secondary_opts]


def main() -> None:
    sys.path.insert(0, str(DEMO))
    demo = importlib.import_module("noticeboard")

    with tempfile.TemporaryDirectory() as folder:
        app: Flask = demo.create_app(instance_path=folder)
        count = 0
        problems: list[str] = []
        for page in pages():
            for command in named(page.read_text("utf-8")):
                count += 1
                if wrong := problem(command, app):
                    problems.append(f"{page.relative_to(ROOT)}: {wrong}")
    if problems:
        sys.exit("\n".join(problems))
    print(f"{count} commands of the documentation exist")


if __name__ == "__main__":
    main()
