"""Time the cases of each benchmark against each other, one process per package.

A benchmark is a file ``bench_*.py`` with ``cases()``, which returns functions by name,
and ``BASELINE``, the name of the case that the others are compared with: bare Flask. It
may define ``timed(case, count)`` to measure something else than ``count`` calls.
"""

from __future__ import annotations

import argparse
import collections.abc as cabc
import gc
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import types
import typing as t
from pathlib import Path

from . import chart
from .matrix import packages
from .matrix import RevisionError
from .matrix import ROOT
from .matrix import unpack

Case: t.TypeAlias = cabc.Callable[[], object]
Timed: t.TypeAlias = cabc.Callable[[Case, int], float]
# By case: the ratio to the baseline, its spread, and microseconds.
Figures: t.TypeAlias = dict[str, dict[str, float]]
# By benchmark, such as "session: one request": the figures of its cases.
Results: t.TypeAlias = dict[str, Figures]

# Benchmarks of the family as a whole, beside those of the packages.
FAMILY = "family"


class BenchError(Exception):
    """A benchmark failed; the message has what it printed."""


def measure(
    cases: cabc.Mapping[str, Case],
    baseline: str,
    *,
    rounds: int,
    seconds: float,
    timed: Timed | None = None,
) -> Figures:
    """Return the time of each case as a ratio to the baseline of the same round.

    Each round runs every case for about ``seconds``, one after the other, so that other
    load on the machine affects all of them. The median of the rounds counts.

    :param timed: Runs a case so many times and returns the seconds of one operation.
    :return: By case: ``ratio``, its ``spread`` (half the range between quartiles), and
        ``microseconds`` of one operation.
    """
    timed = timed or _time
    counts = {name: _calibrate(case, seconds, timed) for name, case in cases.items()}
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            times[name].append(timed(case, counts[name]))
    result: Figures = {}
    for name, measured in times.items():
        ratios = [a / b for a, b in zip(measured, times[baseline], strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        result[name] = {
            "ratio": statistics.median(ratios),
            "spread": (high - low) / 2,
            "microseconds": statistics.median(measured) * 1e6,
        }
    return result


def _calibrate(case: Case, seconds: float, timed: Timed) -> int:
    count = 1
    while (elapsed := timed(case, count) * count) < seconds / 4:
        count *= 2
    return max(1, round(count * seconds / elapsed))


def _time(case: Case, count: int) -> float:
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        for _ in range(count):
            case()
        return (time.perf_counter() - start) / count
    finally:
        gc.enable()


def table(results: Results) -> str:
    """Return the figures as one Markdown table."""
    rows = ["| | ratio | spread | µs |", "|---|---:|---:|---:|"]
    for title, figures in results.items():
        rows.append(f"| **{title}** | | | |")
        rows += [
            f"| {name} | {row['ratio']:.2f} | ±{row['spread']:.2f}"
            f" | {row['microseconds']:.0f} |"
            for name, row in figures.items()
        ]
    return "\n".join(rows)


def comparison(before: Results, after: Results, revision: str) -> str:
    """Return what changed since a revision, as a Markdown table.

    A change counts if it is larger than the spread of both measurements together.
    """
    rows = [f"| | {revision} | now | |", "|---|---:|---:|---|"]
    for title, figures in after.items():
        rows.append(f"| **{title}** | | | |")
        for name, row in figures.items():
            old = before.get(title, {}).get(name)
            if old is None:
                rows.append(f"| {name} | | {row['ratio']:.2f} | new |")
                continue
            change = row["ratio"] / old["ratio"] - 1
            moved = abs(row["ratio"] - old["ratio"]) > row["spread"] + old["spread"]
            word = ("slower" if change > 0 else "faster") if moved else "the same"
            rows.append(
                f"| {name} | {old['ratio']:.2f} | {row['ratio']:.2f}"
                f" | {change:+.0%} {word} |"
            )
    return "\n".join(rows)


def folder_of(name: str, root: Path) -> Path:
    """Return the folder with the benchmarks of a package or of the family."""
    top = root / "tools" if name == FAMILY else packages(root)[name].folder
    return top / "benchmarks"


def run_here(name: str, root: Path, *, rounds: int, seconds: float) -> Results:
    """Run the benchmarks of one package in this process."""
    results: Results = {}
    with tempfile.TemporaryDirectory(prefix="flaskware-bench-") as folder:
        tempfile.tempdir = folder  # benchmarks leave nothing behind
        for path in sorted(folder_of(name, root).glob("bench_*.py")):
            module = _load(path)
            title = (module.__doc__ or path.stem).splitlines()[0].rstrip(".")
            results[f"{name}: {title}"] = measure(
                module.cases(), module.BASELINE, rounds=rounds, seconds=seconds,
                timed=getattr(module, "timed", None),
            )  # fmt: skip
        tempfile.tempdir = None
    return results


def run_apart(name: str, root: Path, options: cabc.Sequence[str]) -> Results:
    """Run the benchmarks of one package in a process of its own.

    :param root: The tree with the benchmarks and, unless it is this repository, the
        packages.
    :raises BenchError: if they fail.
    """
    sources = [] if root == ROOT else sorted(root.glob("packages/*/src"))
    search = os.pathsep.join(map(str, [*sources, Path(__file__).parents[1]]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        command = [sys.executable, "-m", "flaskware_tools.bench", "--one", name]
        command += ["--root", str(root), "--json", str(file), *options]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": search}, cwd=folder,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise BenchError(f"{name}: {done.stdout.strip()}")
        found: Results = json.loads(file.read_text("utf-8"))
    return found


def run_all(
    names: cabc.Sequence[str], options: cabc.Sequence[str], revision: str | None = None
) -> tuple[Results, Results]:
    """Run the benchmarks of packages, each right after its benchmarks at the revision.

    :return: The figures of the revision, and of the working tree.
    """
    before: Results = {}
    after: Results = {}
    with tempfile.TemporaryDirectory(prefix="flaskware-bench-") as temporary:
        tree = Path(temporary)
        if revision:
            unpack(revision, tree, ROOT)
        for name in names:
            if revision:
                try:
                    before |= run_apart(name, tree, options)
                except BenchError as error:
                    print(f"at {revision}, {str(error).splitlines()[-1]}", flush=True)
            found = run_apart(name, ROOT, options)
            print(f"\n{table(found)}", flush=True)
            after |= found
    return before, after


def main() -> None:
    known = [name for name in packages(ROOT) if folder_of(name, ROOT).exists()]
    parser = argparse.ArgumentParser(prog="nox -s bench --")
    parser.add_argument("names", nargs="*", default=[*known, FAMILY])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--compare", metavar="REV", help="also show what changed since")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "dist" / "bench",
        help="the folder for figures.json and benchmarks.svg",
    )  # fmt: skip
    parser.add_argument(
        "--write", action="store_true", help="put the chart into docs/images, too"
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    speed = {"rounds": chosen.rounds, "seconds": chosen.seconds}
    if chosen.one:
        results = run_here(chosen.one, chosen.root, **speed)
        chosen.json.write_text(json.dumps(results), "utf-8")
        return
    if unknown := set(chosen.names) - {*known, FAMILY}:
        parser.error(f"no benchmarks of {', '.join(sorted(unknown))}")
    options = [
        part for key, value in speed.items() for part in (f"--{key}", str(value))
    ]
    try:
        before, after = run_all(chosen.names, options, chosen.compare)
    except (BenchError, RevisionError) as error:
        sys.exit(f"bench: {error}")
    if chosen.compare:
        print(f"\n{comparison(before, after, chosen.compare)}")
    _write(after, chosen.out, to_docs=chosen.write)


def _write(results: Results, out: Path, *, to_docs: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "figures.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    drawn = chart.draw({title: _ratios(part) for title, part in results.items()})
    folders = [out, *([ROOT / "docs" / "images"] if to_docs else [])]
    for folder in folders:
        (folder / "benchmarks.svg").write_text(drawn, "utf-8")
    print(f"\nwrote figures.json and benchmarks.svg to {out}")


def _ratios(figures: Figures) -> dict[str, float]:
    return {name: row["ratio"] for name, row in figures.items()}


def _load(path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
