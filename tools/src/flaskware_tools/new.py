"""Make a new extension from the template."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

from .matrix import packages
from .matrix import ROOT

TEMPLATE = Path("shared-config/template")
_NAME = re.compile(r"^[a-z][a-z0-9]{1,29}$")


def make(name: str, summary: str, root: Path = ROOT) -> Path:
    """Write the package ``name`` and add it to the lists of packages.

    :return: The new folder.
    :raises ValueError: if the name cannot be used.
    """
    if not _NAME.match(name):
        raise ValueError(
            f"{name!r}: a name is one word of lowercase letters and digits"
        )
    if name in packages(root) or (root / "packages" / name).exists():
        raise ValueError(f"{name!r}: there is a package of that name")
    target = root / "packages" / name
    for source in sorted((root / TEMPLATE).rglob("*")):
        if source.is_file() and "__pycache__" not in source.parts:
            relative = fill(str(source.relative_to(root / TEMPLATE)), name, summary)
            path = target / relative.removesuffix(".in")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(fill(source.read_text("utf-8"), name, summary), "utf-8")
    shutil.copy(root / "LICENSE.txt", target)
    _insert(
        root / "shared-config" / "matrix.toml",
        before="# Services that tests ask for",
        text=f'[packages.{name}]\nsummary = "{summary}"\nwraps = "Flask"\n'
        'always = ["core"]\n\n',
    )
    _insert(
        root / "pyproject.toml",
        before="flaskware-tools = {",
        text=f"flaskware-{name} = {{ workspace = true }}\n",
    )
    _insert(
        root / "starter" / "pyproject.toml",
        before='    "pyyaml>=',
        text=f'    "flaskware-{name}>=0.1.0",\n',
    )
    return target


def fill(text: str, name: str, summary: str) -> str:
    """Return a text of the template with the names of the new extension."""
    for placeholder, value in {
        "@name@": name,
        "@Name@": name.capitalize(),
        "@NAME@": name.upper(),
        "@summary@": summary,
        "@Summary@": summary[:1].upper() + summary[1:],
    }.items():
        text = text.replace(placeholder, value)
    return text


def _insert(path: Path, *, before: str, text: str) -> None:
    content = path.read_text("utf-8")
    if before not in content:
        raise ValueError(f"{path}: nothing starts with {before!r}")
    path.write_text(content.replace(before, text + before, 1), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="nox -s new --")
    parser.add_argument("name", help="one word, such as mail")
    parser.add_argument("--summary", default="its purpose, in a phrase")
    arguments = parser.parse_args()
    try:
        target = make(arguments.name, arguments.summary)
    except ValueError as error:
        sys.exit(f"new: {error}")
    print(f"made {target.relative_to(ROOT)}; continue with its README.md")


if __name__ == "__main__":
    main()
