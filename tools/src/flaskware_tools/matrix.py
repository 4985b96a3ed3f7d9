"""The packages of the family and what they support; standard library only."""

from __future__ import annotations

import dataclasses as dc
import functools
import io
import re
import subprocess
import tarfile
import tomllib
import typing as t
from pathlib import Path

ROOT = Path(__file__).parents[3]
# The name of the distribution that starts an app and requires the whole family.
STARTER = "flaskware"
_OWN = re.compile(r"^(?:[a-z]+\[)?flaskware-(\w+)")


@dc.dataclass(frozen=True)
class Package:
    """One distribution of the family."""

    name: str
    summary: str
    wraps: str
    always: tuple[str, ...]
    extra: tuple[str, ...]
    root: Path

    @property
    def folder(self) -> Path:
        if self.name == STARTER:
            return self.root / "starter"
        return self.root / "packages" / self.name

    @property
    def distribution(self) -> str:
        return STARTER if self.name == STARTER else f"flaskware-{self.name}"

    @property
    def module(self) -> str:
        return STARTER if self.name == STARTER else f"flaskware_{self.name}"

    @property
    def source(self) -> Path:
        return self.folder / "src" / self.module

    @functools.cached_property
    def project(self) -> dict[str, t.Any]:
        """The whole ``pyproject.toml``."""
        return read_toml(self.folder / "pyproject.toml")

    @property
    def version(self) -> str:
        return str(self.project["project"]["version"])

    @property
    def requirements(self) -> tuple[str, ...]:
        """Everything the distribution requires, its extras included."""
        project = self.project["project"]
        extras = project.get("optional-dependencies", {})
        return (
            *project["dependencies"],
            *(item for items in extras.values() for item in items),
        )

    @property
    def siblings(self) -> tuple[str, ...]:
        """The family members that it requires, directly, by any extra."""
        names = (_OWN.match(requirement) for requirement in self.requirements)
        found = dict.fromkeys(match[1] for match in names if match)
        return tuple(name for name in found if name != self.name)


def git(root: Path, *arguments: str) -> str:
    """Run git in a repository and return its output."""
    return subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
    ).stdout


class RevisionError(Exception):
    """Git does not know a revision."""


def unpack(revision: str, folder: Path, root: Path = ROOT) -> None:
    """Write the tree of a revision into a folder.

    :raises RevisionError: if there is no such revision.
    """
    command = ["git", "archive", "--format=tar", revision]
    done = subprocess.run(command, cwd=root, capture_output=True, check=False)
    if done.returncode:
        raise RevisionError(done.stderr.decode().strip())
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tar.extractall(folder, filter="data")


def known_files(root: Path = ROOT) -> list[str]:
    """Return the files of a working tree that git tracks or would add."""
    listed = git(
        root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"
    ).strip("\0").split("\0")  # fmt: skip
    # Git still lists files that were deleted.
    return [name for name in listed if (root / name).is_file()]


def read_toml(path: Path) -> dict[str, t.Any]:
    with path.open("rb") as file:
        return tomllib.load(file)


def read_matrix(root: Path = ROOT) -> dict[str, t.Any]:
    return read_toml(root / "shared-config" / "matrix.toml")


def packages(root: Path = ROOT) -> dict[str, Package]:
    """Return every extension by name; each comes after those that it needs."""
    listed: dict[str, dict[str, t.Any]] = read_matrix(root)["packages"]
    return {
        name: Package(
            name,
            item["summary"],
            item["wraps"],
            tuple(item.get("always", ())),
            tuple(item.get("extra", ())),
            root,
        )
        for name, item in listed.items()
    }


def distributions(root: Path = ROOT) -> dict[str, Package]:
    """Return the extensions, and last the distribution that starts an app."""
    found = packages(root)
    # An older revision, whose API is compared, has none.
    if starter := read_matrix(root).get("starter"):
        found[STARTER] = Package(
            STARTER, starter["summary"], starter["wraps"], tuple(found), (), root
        )
    return found


def closure(name: str, root: Path = ROOT) -> list[str]:
    """Return a package and the siblings that it needs; it comes last."""
    family = distributions(root)
    ordered: list[str] = []

    def visit(member: str) -> None:
        for sibling in family[member].siblings:
            visit(sibling)
        if member not in ordered:
            ordered.append(member)

    visit(name)
    return ordered


def changed(base: str, root: Path = ROOT) -> list[str]:
    """Return the extensions that changes since ``base`` affect, with their dependents.

    A change outside ``packages/`` can affect all of them, unless it is in ``docs/`` or
    in a Markdown file.
    """
    family = packages(root)
    touched: set[str] = set()
    for line in git(root, "diff", "--name-only", f"{base}...HEAD").splitlines():
        top, _, rest = line.partition("/")
        if top == "packages":
            touched.add(rest.partition("/")[0])
        elif top != "docs" and not line.endswith(".md"):
            return list(family)
    return [name for name in family if touched & set(closure(name, root))]
