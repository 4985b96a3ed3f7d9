"""Neighbours: extensions and servers that run beside the family, each in a real app.

A neighbour is a file ``companions/neighbours/NAME.toml`` with its requirements, and a
module ``test_NAME.py`` whose tests run an app with the whole family and the neighbour.
``--write`` keeps what ran, for the page "Works with".
"""

from __future__ import annotations

import argparse
import dataclasses as dc
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
import typing as t
from pathlib import Path
from xml.etree import ElementTree

from .matrix import ROOT

FOLDER = Path("companions/neighbours")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


class Result(t.TypedDict):
    """The last run of a neighbour.

    :param versions: Of its packages.
    :param passed: A sentence for each test that passed.
    :param limits: The reason of each test that is expected to fail.
    :param skipped: The reason of each test that did not run.
    :param failed: A sentence for each other test.
    """

    versions: dict[str, str]
    python: str
    passed: list[str]
    limits: dict[str, str]
    skipped: dict[str, str]
    failed: list[str]


@dc.dataclass(frozen=True)
class Neighbour:
    """The declaration of a neighbour.

    :param title: Its name in prose.
    :param kind: The heading under which the page lists it.
    :param install: Its requirements; those of the family are in ``family.txt``.
    :param shown: The packages whose versions the page names; the first requirement
        by default.
    :param write: The line that an app needs for it, in Markdown; empty if none.
    """

    path: Path
    title: str
    kind: str
    install: list[str]
    shown: list[str] = dc.field(default_factory=list[str])
    write: str = ""

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def module(self) -> Path:
        """The tests."""
        return self.path.with_name(f"test_{self.name.replace('-', '_')}.py")

    @property
    def packages(self) -> list[str]:
        """The packages whose versions the page names."""
        first = _NAME.match(self.install[0]) if self.install else None
        return self.shown or ([first[0]] if first else [])


def neighbours(root: Path = ROOT) -> dict[str, Neighbour]:
    """Return every neighbour, by name."""
    paths = sorted((root / FOLDER).glob("*.toml"))
    found = (
        Neighbour(path, **tomllib.loads(path.read_text("utf-8"))) for path in paths
    )
    return {one.name: one for one in found}


def results(root: Path = ROOT) -> dict[str, Result]:
    """Return the last result of each neighbour, as the page shows it."""
    path = root / FOLDER / "results.json"
    found: dict[str, Result] = json.loads(path.read_text("utf-8"))
    return found


def sentence(name: str) -> str:
    """Return the name of a test as a sentence, with its parameters in brackets."""
    bare, bracket, rest = name.partition("[")
    text = bare.removeprefix("test_").replace("_", " ")
    return f"{text} ({rest.removesuffix(']')})" if bracket else text


def read(report: Path, versions: dict[str, str]) -> Result:
    """Return the result that a report in JUnit's format has."""
    found = Result(
        versions=versions,
        python=".".join(platform.python_version_tuple()[:2]),
        passed=[],
        limits={},
        skipped={},
        failed=[],
    )
    for case in ElementTree.parse(report).getroot().iter("testcase"):  # noqa: S314 pytest's own
        text = sentence(case.attrib["name"])
        if (skipped := case.find("skipped")) is not None:
            expected = skipped.attrib.get("type") == "pytest.xfail"
            reasons = found["limits"] if expected else found["skipped"]
            reasons[text] = skipped.attrib.get("message", "")
        elif case.find("failure") is not None or case.find("error") is not None:
            found["failed"].append(text)
        else:
            found["passed"].append(text)
    return found


def run(neighbour: Neighbour, *options: str) -> Result:
    """Run the tests of a neighbour in this environment."""
    folder = neighbour.path.parent
    with tempfile.TemporaryDirectory() as temporary:
        report = Path(temporary) / "report.xml"
        subprocess.run(
            [
                sys.executable, "-m", "pytest", "-q", f"--rootdir={folder}",
                "-c", ROOT / "shared-config/pytest.ini",
                # Warnings of other packages are for them to end.
                "-W", "default", f"--junitxml={report}", *options, neighbour.module,
            ],
            check=False, env={**os.environ, "PYTHONPATH": str(folder)},
        )  # fmt: skip
        versions = {
            name: importlib.metadata.version(name) for name in neighbour.packages
        }
        return read(report, versions)


def write(name: str, result: Result, root: Path = ROOT) -> None:
    """Keep the result of a neighbour."""
    found = results(root)
    found[name] = result
    text = json.dumps(dict(sorted(found.items())), indent=2, ensure_ascii=False)
    (root / FOLDER / "results.json").write_text(f"{text}\n", "utf-8")


def page(root: Path = ROOT) -> str:
    """Return the generated part of the page "Works with"."""
    known, last = neighbours(root), results(root)
    lines: list[str] = []
    for kind in dict.fromkeys(one.kind for one in known.values()):
        heads = ["| with | tried | what you write |", "|---|---|---|"]
        lines += [f"## {kind}", "", *heads]
        those = [one for one in known.values() if one.kind == kind]
        lines += [_row(one, last[one.name]) for one in those if one.name in last]
        lines.append("")
    lines += ["## The tests of each neighbour", ""]
    for one in known.values():
        if one.name in last:
            lines += [f"**{one.title}**", "", *_facts(last[one.name]), ""]
    return "\n".join(lines).rstrip()


def _row(neighbour: Neighbour, result: Result) -> str:
    versions = ", ".join(
        version if len(result["versions"]) == 1 else f"{name} {version}"
        for name, version in result["versions"].items()
    )
    tests = len(result["passed"]) + len(result["limits"])
    passed = f"{len(result['passed'])} of {tests} on Python {result['python']}"
    return (
        f"| {neighbour.title} {versions} | {passed} | {neighbour.write or 'nothing'} |"
    )


def _facts(result: Result) -> list[str]:
    passed = [f"- {text}" for text in result["passed"]]
    return [
        *passed,
        *(f"- not: {text}. {why}" for text, why in result["limits"].items()),
    ]


def main(arguments: list[str] | None = None, root: Path = ROOT) -> None:
    """Run a neighbour; exit with 1 if a test failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("neighbour")
    parser.add_argument("--write", action="store_true", help="keep the result")
    options, rest = parser.parse_known_args(arguments)
    neighbour = neighbours(root)[options.neighbour]
    result = run(neighbour, *rest)
    if result["failed"] or not result["passed"]:
        sys.exit(1)
    if result["skipped"]:
        print(*(f"not run: {one}" for one in result["skipped"].items()), sep="\n")
    elif options.write:
        write(neighbour.name, result, root)


if __name__ == "__main__":
    main()
