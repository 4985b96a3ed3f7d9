"""Prepare the release of one package: version, changelog, checks, artifacts.

The working tree is copied. The copy gets the new version and changelog, and is built
and tested; the working tree stays as it is.
"""

from __future__ import annotations

import argparse
import dataclasses as dc
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from . import build
from .matrix import closure
from .matrix import distributions
from .matrix import git
from .matrix import known_files
from .matrix import Package
from .matrix import ROOT

FRAGMENT_TYPES = ("breaking", "deprecation", "feature", "fix")


class ReleaseError(Exception):
    """A package cannot be released as it stands; the message says why."""


def fragments(package: Package) -> list[str]:
    """Return the type of each changelog fragment that waits for a release."""
    names = (path.name for path in (package.folder / "changes").glob("*.md"))
    return [name.removesuffix(".md").rpartition(".")[2] for name in sorted(names)]


def tags(package: Package) -> list[str]:
    """Return the tags of the package's releases, the newest last."""
    listed = git(package.root, "tag", "--list", f"{package.distribution}/*").split()
    return sorted(listed, key=lambda tag: Version(tag.partition("/")[2]))


def last_tag(package: Package) -> str | None:
    """Return the tag of the package's newest release."""
    return next(reversed(tags(package)), None)


def next_version(last: str | None, declared: str, types: list[str]) -> str:
    """Return the version that the waiting fragments call for.

    The first release has the version in ``pyproject.toml``. Before 1.0.0 a breaking
    change raises the second number, as Semantic Versioning 2.0.0, section 4 allows.

    :raises ReleaseError: if there is no fragment, or a fragment of an unknown type.
    """
    if not types:
        raise ReleaseError(
            "no changelog fragment waits in changes/: nothing to release"
        )
    if unknown := sorted(set(types) - set(FRAGMENT_TYPES)):
        raise ReleaseError(
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


def missing_siblings(package: Package) -> tuple[str, ...]:
    """Return the requirements on siblings that none of their releases meets."""
    family = distributions(package.root)
    missing: list[str] = []
    for text in package.requirements:
        requirement = Requirement(text)
        name = requirement.name.removeprefix("flaskware-")
        if name not in package.siblings:
            continue
        released = (tag.partition("/")[2] for tag in tags(family[name]))
        if not any(requirement.specifier.contains(version) for version in released):
            missing.append(str(requirement))
    return tuple(missing)


def write_changelog(package: Package, version: str) -> None:
    """Move the fragments into ``CHANGES.md`` with towncrier."""
    command = [sys.executable, "-m", "towncrier", "build", "--version", version]
    command += ["--config", str(package.root / "shared-config" / "towncrier.toml")]
    command += ["--dir", str(package.folder), "--name", package.distribution, "--yes"]
    done = subprocess.run(
        command, cwd=package.root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ReleaseError(f"towncrier: {done.stderr.strip()}")
    # Git keeps no empty folders, and the next fragment needs it.
    (package.folder / "changes").mkdir(exist_ok=True)
    (package.folder / "changes" / ".gitkeep").touch()


def section(changes: str, version: str) -> str:
    """Return the section of a changelog about a version.

    :raises ReleaseError: if there is none.
    """
    pattern = rf"^## {re.escape(version)} .*?(?=^## |\Z)"
    match = re.search(pattern, changes, re.MULTILINE | re.DOTALL)
    if match is None:
        raise ReleaseError(f"CHANGES.md has no section of {version}")
    return match[0].strip()


def write_version(package: Package, version: str) -> None:
    """Set the version in ``pyproject.toml``."""
    path: Path = package.folder / "pyproject.toml"
    text = re.sub(
        r'^version = ".*"$', f'version = "{version}"', path.read_text("utf-8"),
        count=1, flags=re.MULTILINE,
    )  # fmt: skip
    path.write_text(text, "utf-8")


def copy_tree(root: Path, target: Path) -> None:
    """Copy the files of a working tree that git tracks or would add."""
    for name in known_files(root):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, target / name)


@dc.dataclass(frozen=True)
class Plan:
    """A package to release, its next version and the tree to build it from."""

    package: Package
    version: str
    last: str | None
    notes: str
    unreleased: tuple[str, ...]


def plan(package: Package, folder: Path) -> Plan:
    """Work out the next release of a package in a copy of its repository.

    :param folder: An empty folder, for the copy.
    :raises ReleaseError: if there is nothing to release, or the public API breaks and
        no fragment says so.
    """
    from .api import breaking_changes
    from .api import undeclared

    tag = last_tag(package)
    last = tag.partition("/")[2] if tag else None
    version = next_version(last, package.version, fragments(package))
    if tag:
        breakages = breaking_changes(package, tag)
        if problem := undeclared(package, breakages):
            raise ReleaseError("\n    ".join([*breakages, problem]))
    copy_tree(package.root, folder)
    copied = distributions(folder)[package.name]
    write_version(copied, version)
    write_changelog(copied, version)
    notes = section((copied.folder / "CHANGES.md").read_text("utf-8"), version)
    return Plan(
        distributions(folder)[package.name],
        version,
        last,
        notes,
        missing_siblings(package),
    )


def tagged(tag: str, root: Path = ROOT) -> Plan:
    """Return the release that a tag stands for, from the working tree.

    :raises ReleaseError: if the tree does not match the tag.
    """
    distribution, _, version = tag.partition("/")
    package = distributions(root).get(distribution.removeprefix("flaskware-"))
    if package is None or package.distribution != distribution:
        raise ReleaseError(f"the tag {tag} names no package")
    if package.version != version:
        raise ReleaseError(f"the tag {tag} is not the version {package.version}")
    if waiting := fragments(package):
        raise ReleaseError(f"{len(waiting)} changelog fragments wait beside {tag}")
    notes = section((package.folder / "CHANGES.md").read_text("utf-8"), version)
    return Plan(package, version, None, notes, missing_siblings(package))


def make(planned: Plan, out: Path, temporary: Path, only: str = "") -> None:
    """Build, try and describe a release.

    :param out: Gets ``packages/`` with the files for an index, and ``papers/`` with
        notes, hashes and the bill of materials, as CycloneDX.
    :param only: The sdist's tests to run, as for ``pytest -k``.
    :raises BuildError: if a step fails.
    """
    package = planned.package
    family = distributions(package.root)
    wheels = temporary / "wheels"
    wheels.mkdir()
    for sibling in closure(package.name, package.root)[:-1]:
        for path in build.build(family[sibling], temporary / sibling):
            shutil.copy(path, wheels)
    artifacts = build.build(package, temporary / package.name)
    _say(f"built twice, byte for byte: {', '.join(p.name for p in artifacts)}")
    build.check_metadata(artifacts)
    _say("checked the metadata")
    sdist, wheel = sorted(artifacts, key=lambda path: path.suffix)
    shutil.copy(wheel, wheels)
    python, done = build.try_out(package, wheels, temporary)
    _say(done.partition("\n")[0])
    options = ("-m", "not slow and not browser", *(("-k", only) if only else ()))
    passed = build.run_sdist_tests(package, sdist, wheels, temporary, *options)
    _say(f"tests of the sdist: {passed}")
    shutil.rmtree(out, ignore_errors=True)
    papers = out / "papers"
    papers.mkdir(parents=True)
    (out / "packages").mkdir()
    for path in artifacts:
        shutil.copy(path, out / "packages")
    name = f"{package.distribution}-{planned.version}"
    build.write_sbom(package, python, papers / f"{name}.cdx.json")
    (papers / "notes.md").write_text(release_notes(planned, artifacts), "utf-8")
    _say(f"wrote {out}")


def release_notes(planned: Plan, artifacts: list[Path]) -> str:
    """Return the notes of a release: its changes, and the hash of each file."""
    hashes = "\n".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"
        for path in artifacts
    )
    title, _, changes = planned.notes.partition("\n")
    heading = f"# {planned.package.distribution} {title.removeprefix('## ')}"
    return f"{heading}\n\n{changes.strip()}\n\n## SHA-256\n\n```\n{hashes}\n```\n"


def _say(text: str) -> None:
    print(f"- {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="nox -s release --")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("name", nargs="?", choices=list(distributions()))
    what.add_argument("--tag", help="make the release of this tag")
    parser.add_argument(
        "--write", action="store_true", help="write version and changelog"
    )
    parser.add_argument(
        "--tests", default="", help="the sdist's tests to run, as for pytest -k"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "release")
    parser.add_argument("--output", type=Path, help="append `distribution=…` to this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flaskware-release-") as temporary:
        folder = Path(temporary)
        try:
            _release(options, folder)
        except (ReleaseError, build.BuildError) as error:
            sys.exit(f"release: {options.name or options.tag}: {error}")


def _release(options: argparse.Namespace, folder: Path) -> None:
    if options.tag:
        planned = tagged(options.tag)
    else:
        planned = plan(distributions()[options.name], folder / "tree")
    package = planned.package
    print(f"{package.distribution}: {planned.last or 'new'} -> {planned.version}\n")
    print(planned.notes, end="\n\n")
    if planned.unreleased and (options.write or options.tag):
        raise ReleaseError(f"release {', '.join(planned.unreleased)} first")
    make(planned, options.out, folder, options.tests)
    if planned.unreleased:
        _say(f"to be released first: {', '.join(planned.unreleased)}")
    if options.output:
        with options.output.open("a") as file:
            file.write(f"distribution={package.distribution}\n")
    if options.write:
        own = distributions()[options.name]
        write_version(own, planned.version)
        write_changelog(own, planned.version)
        print(f"\nwritten; commit, then tag it {own.distribution}/{planned.version}")
    elif not options.tag:
        print("\nA dry run: nothing was written. Repeat with --write.")


if __name__ == "__main__":
    main()
