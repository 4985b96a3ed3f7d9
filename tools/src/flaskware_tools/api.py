"""Compare the public API of packages with that of their last release."""

from __future__ import annotations

import argparse
import sys

import griffe

from .matrix import Package
from .matrix import packages
from .release import fragments
from .release import last_tag


def public_names(package: Package) -> list[str]:
    """Return the names in ``__all__`` of a package."""
    module = griffe.load(package.module, search_paths=[package.source.parent])
    return sorted(str(name) for name in module.exports or ())


def breaking_changes(package: Package, tag: str) -> list[str]:
    """Each change since a tag that can break a user's code, explained."""
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


def main() -> None:
    parser = argparse.ArgumentParser(prog="nox -s api --")
    parser.add_argument("names", nargs="+", choices=list(packages()))
    failed = False
    for name in parser.parse_args().names:
        package = packages()[name]
        names = public_names(package)
        tag = last_tag(package)
        print(f"{package.distribution}: {len(names)} public names; ", end="")
        if tag is None:
            print("no release to compare with")
            continue
        found = breaking_changes(package, tag)
        print(f"{len(found)} breaking changes since {tag}")
        for line in found:
            print(f"    {line}")
        if problem := undeclared(package, found):
            failed = True
            print(f"    {problem}")
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
