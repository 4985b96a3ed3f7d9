from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET

import pytest

from flaskware_tools import bench
from flaskware_tools import chart
from flaskware_tools import matrix
from flaskware_tools.matrix import git

FAST = ("--rounds", "2", "--seconds", "0.001")
BENCHMARK = """\
'''How long it takes.'''
import demo

BASELINE = "bare Flask"


def cases():
    return {"bare Flask": lambda: sum(range(400)), demo.NAME: lambda: sum(range(900))}
"""


def test_a_benchmark_tells_twice_the_work_from_once(monkeypatch):
    clock = [0.0]

    def once() -> None:
        clock[0] += 0.25

    def twice() -> None:
        clock[0] += 0.5

    monkeypatch.setattr(bench.time, "perf_counter", lambda: clock[0])
    result = bench.measure({"once": once, "twice": twice}, "once", rounds=5, seconds=4)
    assert result["once"]["ratio"] == 1
    assert result["twice"] == {"ratio": 2, "spread": 0, "microseconds": 500_000}
    assert "| twice | 2.00 |" in bench.table({"work": result})


def figures(ratio, spread=0.1):
    return {"ratio": ratio, "spread": spread, "microseconds": 100.0}


def test_a_change_counts_where_it_is_larger_than_both_spreads():
    before = {"a": {"one": figures(2.0), "two": figures(2.0), "three": figures(2.0)}}
    after = {
        "a": {
            "one": figures(3.0),
            "two": figures(1.0),
            "three": figures(2.15),
            "four": figures(1.0),
        }
    }
    shown = bench.comparison(before, after, "v1").splitlines()
    assert shown[0] == "| | v1 | now | |"
    assert "| one | 2.00 | 3.00 | +50% slower |" in shown
    assert "| two | 2.00 | 1.00 | -50% faster |" in shown
    assert "| three | 2.00 | 2.15 | +7% the same |" in shown
    assert "| four | | 1.00 | new |" in shown


@pytest.fixture
def family(tmp_path, monkeypatch):
    """A repository of one package, with one revision."""
    root = tmp_path / "family"
    package = root / "packages" / "demo"
    for path, text in {
        root / "shared-config/matrix.toml": '[packages.demo]\nsummary=""\nwraps=""\n',
        package / "benchmarks/bench_it.py": BENCHMARK,
        package / "src/demo.py": 'NAME = "old"\n',
    }.items():
        path.parent.mkdir(parents=True)
        path.write_text(text)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "first")
    (package / "src/demo.py").write_text('NAME = "flaskware"\n')
    monkeypatch.setattr(bench, "ROOT", root)
    monkeypatch.syspath_prepend(package / "src")
    return root


def test_a_revision_is_measured_with_its_own_sources(family, monkeypatch):
    tree = family.parent / "tree"
    tree.mkdir()
    matrix.unpack("HEAD", tree, bench.ROOT)
    assert set(bench.run_apart("demo", tree, FAST)["demo: How long it takes"]) == {
        "bare Flask",
        "old",
    }


def test_a_benchmark_leaves_nothing_behind(family):
    found = bench.run_here("demo", family, rounds=2, seconds=0.001)
    assert found["demo: How long it takes"]["bare Flask"]["ratio"] == 1
    assert bench.tempfile.tempdir is None


def test_a_revision_that_does_not_exist_is_told(family, tmp_path):
    with pytest.raises(matrix.RevisionError, match="nowhere"):
        matrix.unpack("nowhere", tmp_path, bench.ROOT)


def test_a_benchmark_that_fails_is_told_with_what_it_printed(family):
    path = family / "packages/demo/benchmarks/bench_it.py"
    path.write_text("raise RuntimeError('no server')")
    with pytest.raises(bench.BenchError, match=r"demo: (.|\n)*no server"):
        bench.run_apart("demo", family, FAST)


def test_the_command_writes_figures_and_a_chart(family, monkeypatch, capsys):
    def apart(name, root, options):
        known = "old" if root != family else "flaskware"
        return {"demo: it": {"bare Flask": figures(1.0), known: figures(2.0)}}

    monkeypatch.setattr(bench, "run_apart", apart)
    out = family / "out"
    monkeypatch.setattr(
        sys, "argv", ["bench", "demo", "--compare", "HEAD", "--out", str(out)]
    )
    bench.main()
    printed = capsys.readouterr().out
    assert "| flaskware | 2.00 | ±0.10 | 100 |" in printed
    assert "| bare Flask | 1.00 | 1.00 | +0% the same |" in printed
    assert json.loads((out / "figures.json").read_text())["demo: it"]["flaskware"]
    ET.fromstring((out / "benchmarks.svg").read_text())


def test_a_package_without_benchmarks_is_refused(family, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "mail"])
    with pytest.raises(SystemExit):
        bench.main()
    assert "no benchmarks of mail" in capsys.readouterr().err


def test_what_takes_less_than_the_baseline_goes_to_the_left():
    drawn = ET.fromstring(chart.draw({"A": {"base": 1.0, "half": 0.5, "twice": 2.0}}))
    base, half, twice = drawn.iter("{http://www.w3.org/2000/svg}rect")
    assert base.get("x") == twice.get("x")
    assert float(half.get("x")) < float(base.get("x"))
    assert half.get("width") == twice.get("width")


def test_a_bar_is_as_long_as_the_logarithm_of_its_ratio():
    drawn = ET.fromstring(
        chart.draw({"A & B": {"bare Flask": 1.0, "flaskware": 2.0, "<peer>": 4.0}})
    )
    name = "{http://www.w3.org/2000/svg}"
    _, own, peer = drawn.iter(f"{name}rect")
    assert float(peer.get("width")) == pytest.approx(2 * float(own.get("width")))
    assert (own.get("class"), peer.get("class")) == ("own", "other")
    assert own.get("x") == peer.get("x")
    texts = [item.text for item in drawn.iter(f"{name}text")]
    assert {"A & B", "<peer>", "4.00 \N{MULTIPLICATION SIGN}"} <= set(texts)
