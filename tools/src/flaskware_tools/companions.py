"""Companions: test suites of other projects, run against our packages.

A folder in ``companions/`` names a source distribution and has an ``alias``: a package
of the other project's name that offers ours. The suite runs as it was published, and
the result is compared with the failures that ``expected.toml`` explains. A failure
without a reason is an error, and so is a reason without a failure.

A folder with ``tests`` of its own runs these instead, over the source distributions
that it names: they find them, unpacked, in the folder that ``COMPANION_SOURCES`` names.
"""

from __future__ import annotations

import argparse
import collections
import collections.abc as cabc
import dataclasses as dc
import fnmatch
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import typing as t
from pathlib import Path
from xml.etree import ElementTree

from .matrix import ROOT

FOLDER = ROOT / "companions"


@dc.dataclass(frozen=True)
class Expected:
    """Tests that fail for one reason.

    :param tests: Patterns of test names, ``file::test``, as :mod:`fnmatch` reads them;
        a name without parameters stands for every parameter.
    :param reason: A sentence.
    :param runs: The runs in which they fail.
    """

    tests: tuple[str, ...]
    reason: str
    runs: tuple[str, ...]

    def matches(self, name: str) -> bool:
        """Return True if a test is one of these."""
        return any(map(self.pattern_of(name), self.tests))

    @staticmethod
    def pattern_of(name: str) -> cabc.Callable[[str], bool]:
        """Return a function that is true of a pattern that stands for a test."""
        bare = name.partition("[")[0]

        def stands(pattern: str) -> bool:
            # The brackets of parameters are no set of characters.
            escaped = pattern.replace("[", "[[]")
            return fnmatch.fnmatchcase(bare, pattern) or fnmatch.fnmatchcase(
                name, escaped
            )

        return stands


@dc.dataclass(frozen=True)
class Companion:
    """The declaration of a suite, ``companion.toml``.

    :param package: Our package.
    :param sources: The requirement of each source distribution, with ``==``, and its
        hash. The first has the suite, unless the companion has ``tests`` of its own.
    :param install: The requirements of the suite, besides our package.
    :param alias: The companion that has the alias; its own by default.
    :param config: The configuration file of pytest in the distribution, if any.
    :param warnings: The filters of warnings, in place of those of the suite, if any.
    :param arguments: Of pytest.
    :param least: The number of tests that must pass in each run.
    :param runs: By name, the further requirements of each run.
    """

    folder: Path
    package: str
    sources: dict[str, str]
    least: int
    runs: dict[str, list[str]]
    install: list[str] = dc.field(default_factory=list[str])
    alias: str = ""
    config: str = ""
    warnings: list[str] = dc.field(default_factory=list[str])
    arguments: list[str] = dc.field(default_factory=list[str])

    @property
    def alias_path(self) -> Path:
        """The folder that goes first in the search path of the suite."""
        return self.folder.parent / (self.alias or self.folder.name) / "alias"

    @property
    def own_tests(self) -> Path | None:
        """The folder of the suite, where it is no part of a source distribution."""
        path = self.folder / "tests"
        return path if path.is_dir() else None

    def expected(self) -> list[Expected]:
        """Return the failures that are explained."""
        found = tomllib.loads((self.folder / "expected.toml").read_text("utf-8"))
        return [
            Expected(
                tuple(item["tests"]), item["reason"], tuple(item.get("runs", self.runs))
            )
            for item in found.get("failure", [])
        ]


def companions(folder: Path = FOLDER) -> list[Companion]:
    """Return every companion, by name."""
    return [
        Companion(folder=path.parent, **tomllib.loads(path.read_text("utf-8")))
        for path in sorted(folder.glob("*/companion.toml"))
    ]


def outcomes(report: Path) -> dict[str, bool]:
    """Return by test if it passed, from a report in JUnit's format; none if skipped."""
    found: dict[str, bool] = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):  # noqa: S314 pytest's own
        if case.find("skipped") is not None:
            continue
        # A test in a class has the name of the class after that of the file.
        places = case.attrib["classname"].split(".")
        file = next(name for name in reversed(places) if not name[:1].isupper())
        name = f"{file}.py::{case.attrib['name']}"
        failed = case.find("failure") is not None or case.find("error") is not None
        found[name] = found.get(name, True) and not failed
    return found


def compare(
    found: cabc.Mapping[str, bool], expected: list[Expected], run: str, least: int
) -> list[str]:
    """Return what differs from the expectation, a line each.

    :param found: By test, if it passed.
    :param least: The number of tests that must pass.
    """
    now = [item for item in expected if run in item.runs]
    problems = [
        f"unexplained failure: {name}"
        for name, passed in found.items()
        if not passed and not any(item.matches(name) for item in now)
    ]
    for item in now:
        for pattern in item.tests:
            one = dc.replace(item, tests=(pattern,))
            matching = [name for name in found if one.matches(name)]
            if not matching:
                problems.append(f"expected failure of no known test: {pattern}")
            problems += [
                f"unexpected pass: {name} ({item.reason})"
                for name in matching
                if found[name]
            ]
    passed = sum(found.values())
    if passed < least:
        problems.append(f"{passed} tests pass, and {least} must")
    return problems


def unpack(archives: Path, companion: Companion, folder: Path) -> None:
    """Unpack the tests of a source distribution, without the package that they test.

    :param archives: The folder of the source distributions.
    :raises ValueError: if one is another file than the declaration names.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for source, wanted in companion.sources.items():
        name, _, version = source.partition("==")
        (archive,) = archives.glob(f"{name.replace('-', '_')}-{version}.tar.gz")
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != wanted:
            raise ValueError(f"{archive.name} has the hash {found}, not that declared")
        with tarfile.open(archive) as file:
            file.extractall(folder / "sources" / name, filter="data")
        (inner,) = (folder / "sources" / name).iterdir()
        if not (folder / "tests").exists():
            shutil.copytree(companion.own_tests or inner / "tests", folder / "tests")
            if companion.config:
                shutil.copy(inner / companion.config, folder / "pytest.ini")
            else:
                (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")


def run(companion: Companion, name: str, folder: Path) -> list[str]:
    """Run a suite once, and return what differs from the expectation."""
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    filters = ["-o", "filterwarnings=" + "\n".join(companion.warnings)]
    if not companion.warnings:
        filters = []
    subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "--tb=line", "--show-capture=no",
            "-c", "pytest.ini", f"--rootdir={folder}", f"--junitxml={report}",
            *filters,
            *companion.arguments, "tests",
        ],
        cwd=folder, check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(companion.alias_path),
            "COMPANION_SOURCES": str(folder / "sources"),
            "COMPANION_REPOSITORY": str(FOLDER.parent),
        },
    )  # fmt: skip
    found = outcomes(report)
    counts = collections.Counter(found.values())
    print(f"{companion.folder.name}, {name}: {counts[True]} of {len(found)} pass")
    return compare(found, companion.expected(), name, companion.least)


def main(arguments: list[str] | None = None) -> None:
    """Unpack and run a suite; exit with 1 if the result is not as expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("companion")
    parser.add_argument("run")
    parser.add_argument("--archives", type=Path, required=True)
    options: t.Any = parser.parse_args(arguments)
    (companion,) = (one for one in companions() if one.folder.name == options.companion)
    folder = options.archives / companion.folder.name
    unpack(options.archives, companion, folder)
    if problems := run(companion, options.run, folder):
        print(*problems, sep="\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
