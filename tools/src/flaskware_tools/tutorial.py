"""Follow the tutorial: write the files it shows, run the commands it names.

A block with a caption is the file of that name. In a ``console`` block, the lines below
a command are its output: each must be printed, in this order; ``…`` matches anything. A
command may fail if these lines say "error".
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from .matrix import ROOT

_BLOCK = re.compile(
    r"(?P<skip><!-- not run: [^>]+-->\n+)?"
    r"^```(?:\{code-block\} \w+\n:caption: (?P<name>\S+)\n"
    r"(?::[^\n]*\n)*\n?|(?P<console>console)\n)"
    r"(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

# The longest time for a command, in seconds.
TIMEOUT = 120


class TutorialError(Exception):
    """The tutorial says one thing and another happens."""


def follow(pages: list[Path], folder: Path, *, commands: bool = True) -> None:
    """Follow the pages in a folder, or only write their files.

    :raises TutorialError: if a command fails, or prints something else.
    """
    for page in pages:
        for block in _BLOCK.finditer(page.read_text("utf-8")):
            if block["skip"]:
                continue
            if block["console"] and not commands:
                continue
            if block["console"]:
                _run(block["text"], folder, page.name)
            else:
                path = folder / block["name"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block["text"], "utf-8")


def _run(text: str, folder: Path, page: str) -> None:
    scripts = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        process = subprocess.Popen(
            ["sh", "-c", command], cwd=folder, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": scripts, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        try:
            printed, _ = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            # Also the processes that the shell started: a server would go on.
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise TutorialError(f"{page}: `{command}` does not end") from None
        if missing := _missing(expected, printed):
            raise TutorialError(
                f"{page}: `{command}` does not print {missing!r}, but:\n{printed}"
            )
        if process.returncode and "error" not in expected.lower():
            raise TutorialError(
                f"{page}: `{command}` exits with {process.returncode}:\n{printed}"
            )


def _missing(expected: str, printed: str) -> str | None:
    """Return the first line that was not printed, or ``None``."""
    lines = iter(line.rstrip() for line in printed.splitlines())
    for line in (line.rstrip() for line in expected.splitlines()):
        if line in {"", "…"}:
            continue
        pattern = ".*".join(re.escape(part) for part in line.split("…"))
        if not any(re.fullmatch(pattern, seen) for seen in lines):
            return line
    return None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flaskware_tools.tutorial")
    parser.add_argument("--files", type=Path, help="only write the files, here")
    files: Path | None = parser.parse_args().files
    pages = sorted((ROOT / "docs" / "tutorial").glob("[0-9]*.md"))
    if files:
        follow(pages, files, commands=False)
        return
    with tempfile.TemporaryDirectory(prefix="tutorial-") as folder:
        try:
            follow(pages, Path(folder))
        except TutorialError as error:
            sys.exit(str(error))
    print(f"docs/tutorial: {len(pages)} pages followed")


if __name__ == "__main__":
    main()
