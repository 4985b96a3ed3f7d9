"""Prepare the release of one package: version, changelog, checks, artifacts."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from packaging.version import Version

from .matrix import Package
from .matrix import packages
from .matrix import ROOT

FRAGMENT_TYPES = ("breaking", "deprecation", "feature", "fix")


def fragments(package: Package) -> list[str]:
    """The type of each changelog fragment that waits for a release."""
    names = (path.name for path in (package.folder / "changes").glob("*.md"))
    return [name.removesuffix(".md").rpartition(".")[2] for name in sorted(names)]


def last_tag(package: Package) -> str | None:
    """The tag of the package's newest release."""
    listed = subprocess.run(
        ["git", "tag", "--list", f"{package.distribution}/*"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    return max(listed, key=lambda tag: Version(tag.partition("/")[2]), default=None)


def next_version(last: str | None, declared: str, types: list[str]) -> str:
    """The version that the waiting fragments ask for.

    The first release is what ``pyproject.toml`` declares. Before 1.0.0 a breaking
    change raises the second number, as Semantic Versioning 2.0.0 section 4 lets it.

    :raises ValueError: if there is nothing to release, or of an unknown type.
    """
    if not types:
        raise ValueError("no changelog fragment waits in changes/: nothing to release")
    if unknown := sorted(set(types) - set(FRAGMENT_TYPES)):
        raise ValueError(
            f"fragments of the type {', '.join(unknown)}; it is one of"
            f" {', '.join(FRAGMENT_TYPES)}"
        )
    if last is None:
        return declared
    major, minor, micro = Version(last).release
    if "breaking" in types and major:
        return f"{major + 1}.0.0"
    if {"breaking", "deprecation", "feature"} & set(types):
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{micro + 1}"


def changelog(package: Package, version: str, *, draft: bool) -> str:
    """What towncrier makes of the fragments."""
    command = [sys.executable, "-m", "towncrier", "build", "--version", version]
    command += ["--config", str(ROOT / "shared-config" / "towncrier.toml")]
    command += ["--dir", str(package.folder), "--name", package.distribution]
    command.append("--draft" if draft else "--yes")
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ValueError(f"towncrier: {done.stderr.strip()}")
    return done.stdout


def write_version(package: Package, version: str) -> None:
    """Set the version in ``pyproject.toml``."""
    path: Path = package.folder / "pyproject.toml"
    text = re.sub(
        r'^version = ".*"$', f'version = "{version}"', path.read_text("utf-8"),
        count=1, flags=re.MULTILINE,
    )  # fmt: skip
    path.write_text(text, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="nox -s release --")
    parser.add_argument("name", choices=list(packages()))
    parser.add_argument(
        "--write", action="store_true", help="write version and changelog"
    )
    arguments = parser.parse_args()
    package = packages()[arguments.name]
    tag = last_tag(package)
    last = tag.partition("/")[2] if tag else None
    try:
        version = next_version(last, package.version, fragments(package))
        text = changelog(package, version, draft=not arguments.write)
    except ValueError as error:
        sys.exit(f"release: {package.distribution}: {error}")
    print(f"{package.distribution}: {last or 'no release yet'} -> {version}\n")
    print(text.strip())
    if arguments.write:
        write_version(package, version)
        print(f"\nwritten; commit it, then tag it {package.distribution}/{version}")
    else:
        print("\nA dry run: nothing was written. Repeat with --write.")


if __name__ == "__main__":
    main()
