"""Check or write the generated parts of prose and of packages."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import exports
from . import neighbours
from .matrix import packages
from .matrix import read_matrix
from .matrix import ROOT

FILES = ("README.md", "docs/policies.md", "docs/works-with.md")


def family_table(root: Path = ROOT) -> str:
    rows = ["| package | wraps | gives |", "|---|---|---|"]
    rows += [
        f"| [`{item.distribution}`](packages/{item.name}/README.md) | {item.wraps}"
        f" | {item.summary} |"
        for item in packages(root).values()
    ]
    return "\n".join(rows)


def support_table(root: Path = ROOT) -> str:
    matrix = read_matrix(root)
    rows = ["| what | supported |", "|---|---|"]
    rows.append(f"| Python | {', '.join(matrix['python']['versions'])} |")
    rows += [
        f"| {service} (tested) | {', '.join(versions)} |"
        for service, versions in matrix["services"].items()
    ]
    rows += [
        f"| {name} | {lowest} and later |"
        for name, lowest in matrix["minimum"].items()
        if name in {"flask", "pydantic", "sqlalchemy", "alembic", "flask-wtf", "secure"}
    ]
    return "\n".join(rows)


def generate(text: str, root: Path = ROOT) -> str:
    """Return the text with each generated part up to date."""
    tables = {
        "packages": family_table(root),
        "support": support_table(root),
        "neighbours": neighbours.page(root),
    }
    for name, table in tables.items():
        start, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        before, opening, rest = text.partition(start)
        _, closing, after = rest.partition(end)
        if opening and closing:
            text = f"{before}{start}\n{table}\n{end}{after}"
    return text


def stale(root: Path = ROOT) -> list[str]:
    """Return the files whose generated parts are outdated."""
    texts = {name: (root / name).read_text("utf-8") for name in FILES}
    return [name for name, text in texts.items() if generate(text, root) != text]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flaskware_tools.tables")
    parser.add_argument("--fix", action="store_true")
    arguments = parser.parse_args()
    found = stale()
    if not arguments.fix and found:
        sys.exit(f"stale tables in {', '.join(found)}: run `nox -s layout -- --fix`")
    for name in found:
        path = ROOT / name
        path.write_text(generate(path.read_text("utf-8")), "utf-8")
        print(f"wrote the tables of {name}")
    for item in packages().values():
        if arguments.fix and exports.fix(item.source):
            print(f"wrote the table of lazy names of {item.module}")


if __name__ == "__main__":
    main()
