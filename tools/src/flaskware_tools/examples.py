"""Run the Python examples of the documentation, one page at a time."""

from __future__ import annotations

import argparse
import collections.abc as cabc
import configparser
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import jinja2

from .matrix import packages
from .matrix import ROOT

_BLOCK = re.compile(
    r"(?P<skip><!-- not run: [^>]+-->\n+)?^(?:```python|<!-- setup)\n"
    r"(?P<code>.*?)^(?:```|-->)$",
    re.MULTILINE | re.DOTALL,
)

_DATA = re.compile(
    r"^```(?P<language>jinja|json|toml|ini)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_PARSERS: dict[str, cabc.Callable[[str], object]] = {
    "ini": lambda text: configparser.ConfigParser().read_string(text),
    "jinja": jinja2.Environment(autoescape=True).parse,
    "json": json.loads,
    "toml": tomllib.loads,
}


def pages() -> list[Path]:
    """Return every page that has examples."""
    docs = ROOT / "docs"
    found = [
        ROOT / "README.md",
        *sorted([*docs.glob("*.md"), *docs.glob("guides/*.md")]),
    ]
    for package in packages().values():
        folder = package.folder
        found += [folder / "README.md", *sorted((folder / "docs").rglob("*.md"))]
    return [path for path in found if _has_examples(path.read_text("utf-8"))]


def _has_examples(text: str) -> bool:
    return bool(_BLOCK.search(text) or _DATA.search(text))


def misspelled(text: str) -> str | None:
    """Return the error in the first wrong example of a language that is only parsed."""
    for match in _DATA.finditer(text):
        try:
            _PARSERS[match["language"]](match["code"])
        except (ValueError, configparser.Error, jinja2.TemplateSyntaxError) as error:
            line = text[: match.start("code")].count("\n") + 1
            return f"line {line}: {match['language']}: {error}"
    return None


def script(text: str) -> str:
    """Return the examples of a page as one script, on the same lines as in the page.

    Code that they need but readers do not stands between ``<!-- setup`` and ``-->``.
    An example below ``<!-- not run: a reason -->`` is only checked for its syntax.
    """
    lines = [""] * (text.count("\n") + 1)
    for match in _BLOCK.finditer(text):
        first = text[: match.start("code")].count("\n")
        compile("\n" * first + match["code"], "example", "exec")
        if not match["skip"]:
            for offset, line in enumerate(match["code"].splitlines()):
                lines[first + offset] = line
    return "\n".join(lines)


def run(path: Path) -> str | None:
    """Run the examples of a page and return what went wrong, or ``None``."""
    text = path.read_text("utf-8")
    try:
        code = script(text)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    if problem := misspelled(text):
        return problem
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "example.py"
        file.write_text(code, "utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error", file.name],
            cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    return done.stderr if done.returncode else None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flaskware_tools.examples")
    parser.add_argument("pages", nargs="*", type=Path, default=pages())
    failed = 0
    for path in parser.parse_args().pages:
        name = path.resolve().relative_to(ROOT)
        problem = run(path)
        if problem:
            failed += 1
            print(f"{name}: its examples fail\n{problem}")
        else:
            print(f"{name}: ok")
    if failed:
        sys.exit(f"the examples of {failed} pages fail")


if __name__ == "__main__":
    main()
