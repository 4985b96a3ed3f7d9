"""Time the cases of a benchmark against each other, in one process and one run."""

from __future__ import annotations

import argparse
import collections.abc as cabc
import gc
import importlib.util
import json
import statistics
import sys
import tempfile
import time
import types
from pathlib import Path

from .matrix import packages

Case = cabc.Callable[[], object]


def measure(
    cases: cabc.Mapping[str, Case], baseline: str, *, rounds: int, seconds: float
) -> dict[str, dict[str, float]]:
    """The time of each case as a ratio to the baseline of the same round.

    Each round runs every case for about ``seconds``, one after the other, so that
    what else the machine does meets all of them; the median of the rounds counts.

    :return: By case: ``ratio``, its ``spread`` (half the range between quartiles), and
        ``microseconds`` of one operation.
    """
    counts = {name: _calibrate(case, seconds) for name, case in cases.items()}
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            times[name].append(_time(case, counts[name]))
    result: dict[str, dict[str, float]] = {}
    for name, measured in times.items():
        ratios = [a / b for a, b in zip(measured, times[baseline], strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        result[name] = {
            "ratio": statistics.median(ratios),
            "spread": (high - low) / 2,
            "microseconds": statistics.median(measured) * 1e6,
        }
    return result


def _calibrate(case: Case, seconds: float) -> int:
    count = 1
    while (elapsed := _time(case, count) * count) < seconds / 4:
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


def table(result: cabc.Mapping[str, cabc.Mapping[str, float]]) -> str:
    """The figures as a Markdown table."""
    width = max(map(len, result))
    rows = [
        f"| {'':<{width}} | ratio | spread | µs |",
        f"|{'-' * (width + 2)}|---:|---:|---:|",
    ]
    rows += [
        f"| {name:<{width}} | {row['ratio']:.2f} | ±{row['spread']:.2f}"
        f" | {row['microseconds']:.0f} |"
        for name, row in result.items()
    ]
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flaskware_tools.bench")
    parser.add_argument("names", nargs="+", choices=list(packages()))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="flaskware-bench-") as folder:
        tempfile.tempdir = folder  # so that nothing of a benchmark is left behind
        for name in arguments.names:
            benchmarks = packages()[name].folder / "benchmarks"
            for path in sorted(benchmarks.glob("bench_*.py")):
                module = _load(path)
                result = measure(
                    module.cases(),
                    module.BASELINE,
                    rounds=arguments.rounds,
                    seconds=arguments.seconds,
                )
                figures[f"{name}/{path.stem}"] = result
                title = (module.__doc__ or path.stem).splitlines()[0]
                print(f"\n{name}: {title}\n\n{table(result)}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


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
