"""Compare the public API of packages with that of their last release."""

from __future__ import annotations

import argparse
import difflib
import sys
import tempfile
from pathlib import Path

import griffe

from .matrix import Package
from .matrix import packages
from .matrix import RevisionError
from .release import fragments
from .release import last_tag
from .surface import surface
from .surface import surface_at


def public_names(package: Package) -> list[str]:
    """Return the names in ``__all__`` of a package."""
    module = griffe.load(package.module, search_paths=[package.source.parent])
    return sorted(str(name) for name in module.exports or ())


def breaking_changes(package: Package, tag: str) -> list[str]:
    """Return an explanation of each change since a tag that can break users' code."""
    relative = package.source.parent.relative_to(package.root)
    old = griffe.load_git(
        package.module, ref=tag, repo=package.root, search_paths=[relative]
    )
    new = griffe.load(package.module, search_paths=[package.source.parent])
    return [
        breakage.explain(griffe.ExplanationStyle.ONE_LINE)
        for breakage in griffe.find_breaking_changes(old, new)
    ]


def undeclared(package: Package, breakages: list[str]) -> str | None:
    """Return an error if the API breaks and no changelog fragment says so."""
    if not breakages or "breaking" in fragments(package):
        return None
    return (
        f"packages/{package.name}/changes/ has no fragment of the type breaking: add"
        " it and say what users have to change, or keep the API as it was"
    )


def differences(package: Package, revision: str) -> list[str]:
    """Return the lines of the public surface that differ from those at a revision."""
    with tempfile.TemporaryDirectory() as folder:
        old = surface_at(package.name, revision, package.root, Path(folder))
    new = surface(package.name, package.root)
    found = difflib.unified_diff(old, new, lineterm="", n=0)
    return [line for line in found if not line.startswith(("---", "+++", "@@"))]


def _compare_with_release(package: Package) -> bool:
    """Print what changed since the last release; return whether it may be."""
    names = public_names(package)
    tag = last_tag(package)
    print(f"{package.distribution}: {len(names)} public names; ", end="")
    if tag is None:
        print("no release to compare with")
        return True
    found = breaking_changes(package, tag)
    print(f"{len(found)} breaking changes since {tag}")
    for line in found:
        print(f"    {line}")
    if problem := undeclared(package, found):
        print(f"    {problem}")
        return False
    return True


def _compare_with(package: Package, revision: str) -> None:
    found = differences(package, revision)
    print(f"{package.distribution}: {len(found)} lines differ from {revision}")
    for line in found:
        print(f"    {line}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="nox -s api --")
    parser.add_argument("names", nargs="+", choices=list(packages()))
    parser.add_argument("--dump", action="store_true", help="print it, a name a line")
    parser.add_argument(
        "--against", metavar="REV", help="compare it with this revision"
    )
    options = parser.parse_args()
    failed = False
    for package in map(packages().__getitem__, options.names):
        if options.dump:
            print(*surface(package.name), sep="\n")
        elif options.against:
            try:
                _compare_with(package, options.against)
            except RevisionError as error:
                sys.exit(f"api: {error}")
        elif not _compare_with_release(package):
            failed = True
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
