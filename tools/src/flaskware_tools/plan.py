"""Jobs for CI: one for each project, Python, system and set of services."""

from __future__ import annotations

import argparse
import collections.abc as cabc
import json
import re
import typing as t
from pathlib import Path

from .matrix import changed
from .matrix import packages
from .matrix import read_matrix
from .matrix import ROOT
from .matrix import STARTER

LINUX = "ubuntu-latest"
# The demo, the starter and the tools have tests like any package.
OTHERS = {
    "noticeboard": "docs/examples/noticeboard",
    STARTER: "starter",
    "tools": "tools",
}


class Job(t.TypedDict):
    """One row of the matrix; the workflows read its keys."""

    name: str
    session: str
    python: str
    os: str
    services: str
    arguments: str
    postgresql: str
    mariadb: str
    redis: str
    memcached: str


def services_of(folder: Path, root: Path = ROOT) -> list[str]:
    """Return the services that the tests in a folder name or use through a fixture."""
    text = "\n".join(
        path.read_text("utf-8") for path in sorted((folder / "tests").rglob("*.py"))
    )
    known: dict[str, list[str]] = read_matrix(root)["services"]
    return [name for name in known if re.search(rf"\b{name}(_url)?\b", text)]


def jobs(
    names: cabc.Iterable[str], *, nightly: bool = False, root: Path = ROOT
) -> list[Job]:
    """Return the jobs for some projects.

    :param nightly: Also test pre-releases, the other versions of each service, and
        replacements such as Valkey.
    """
    matrix = read_matrix(root)
    pythons: list[str] = matrix["python"]["versions"]
    family = packages(root)
    found: list[Job] = []
    for name in names:
        folder = family[name].folder if name in family else root / OTHERS[name]
        wanted = services_of(folder, root)
        images = {kind: _image(matrix, kind) for kind in wanted}
        found += [_job(name, python, images) for python in pythons]
        found.append(_job(name, pythons[0], images, session="tests_slow"))
        if name in matrix["frameworks"]["quart"]:
            found.append(_job(name, pythons[0], images, session="tests_quart"))
        if name not in family:
            continue
        # Other systems have no containers: tests skip there if a server is missing.
        found += [
            _job(name, pythons[-1], {}, system=system)
            for system in ("macos-latest", "windows-latest")
        ]
        found.append(_job(name, pythons[0], images, session="tests_min"))
        if nightly:
            found.append(_job(name, pythons[-1], images, session="tests_pre"))
            found += [
                _job(name, pythons[-1], {**images, kind: image})
                for kind in wanted
                for image in _other_images(matrix, kind)
            ]
    return found


def _image(matrix: dict[str, t.Any], kind: str) -> str:
    return f"{matrix['images'][kind]}:{matrix['services'][kind][0]}"


def _other_images(matrix: dict[str, t.Any], kind: str) -> list[str]:
    name, versions = matrix["images"][kind], matrix["services"][kind][1:]
    instead: list[str] = matrix["instead"].get(kind, [])
    return [*(f"{name}:{version}" for version in versions), *instead]


def _job(
    name: str,
    python: str,
    images: dict[str, str],
    *,
    system: str = LINUX,
    session: str = "tests",
) -> Job:
    return {
        "name": name,
        "session": session,
        "python": python,
        "os": system,
        "services": ", ".join(images.values()) or "no services",
        "arguments": "--require-services" if system == LINUX else "",
        # GitHub starts no service whose image is an empty string.
        "postgresql": images.get("postgresql", ""),
        "mariadb": images.get("mariadb", ""),
        "redis": images.get("redis", ""),
        "memcached": images.get("memcached", ""),
    }


def main(arguments: list[str], checks: cabc.Sequence[str] = ()) -> None:
    """Print the test jobs, and write them and the checks to a workflow's output."""
    parser = argparse.ArgumentParser(prog="nox -s plan --")
    parser.add_argument("names", nargs="*", help="only these projects")
    parser.add_argument("--base", help="only what changed since this revision")
    parser.add_argument(
        "--nightly",
        action="store_true",
        help="also pre-releases and all versions of services",
    )
    parser.add_argument("--output", type=Path, help="append both to this file")
    options = parser.parse_args(arguments)
    names = changed(options.base) if options.base else list(packages())
    chosen = options.names or [*names, *OTHERS]
    text = json.dumps({"include": jobs(chosen, nightly=options.nightly)})
    if options.output:
        with options.output.open("a") as file:
            file.write(f"matrix={text}\nchecks={json.dumps(checks)}\n")
    print(text)
