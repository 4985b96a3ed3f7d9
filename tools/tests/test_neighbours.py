from __future__ import annotations

import contextlib
import textwrap

import pytest

from flaskware_tools import neighbours

TESTS = """
import json
import pytest

def test_a_fact():
    assert json.loads("1") == 1

@pytest.mark.parametrize("kind", ["one", "two"])
def test_a_fact_of(kind):
    assert kind

@pytest.mark.xfail(strict=True, reason="It has no hook.")
def test_what_it_cannot_do():
    assert False
"""


@pytest.fixture
def root(tmp_path):
    """A repository with one neighbour."""
    folder = tmp_path / neighbours.FOLDER
    folder.mkdir(parents=True)
    (folder / "results.json").write_text("{}")
    (folder / "pytest-peer.toml").write_text(
        textwrap.dedent(
            """
            title = "Pytest-Peer"
            kind = "Extensions"
            install = ["pytest>=8"]
            write = "`peer = True`"
            """
        )
    )
    (folder / "test_pytest_peer.py").write_text(TESTS)
    return tmp_path


def test_a_neighbour_is_run_and_its_page_lists_what_was_tried(root):
    neighbours.main(["pytest-peer"], root)
    assert neighbours.results(root) == {}
    neighbours.main(["pytest-peer", "--write"], root)
    kept = neighbours.results(root)["pytest-peer"]
    assert kept["passed"] == ["a fact", "a fact of (one)", "a fact of (two)"]
    assert kept["limits"] == {"what it cannot do": "It has no hook."}
    text = neighbours.page(root)
    name, tried = (
        f"Pytest-Peer {pytest.__version__}",
        f"3 of 4 on Python {kept['python']}",
    )
    assert f"| {name} | {tried} | `peer = True` |" in text
    assert "- a fact of (two)\n- not: what it cannot do. It has no hook." in text


@pytest.mark.parametrize(
    ("tests", "kept"),
    [
        ("def test_it(): assert False", False),
        ("import pytest\ndef test_it(): pytest.skip('no Redis')", False),
        ("import pytest\ndef test_it(): pass\ndef test_b(): pytest.skip('x')", False),
        ("import missing", False),
        ("def test_it(): pass", True),
    ],
)
def test_only_a_whole_run_is_kept(root, tests, kept):
    path = root / neighbours.FOLDER / "test_pytest_peer.py"
    path.write_text(tests)
    with contextlib.suppress(SystemExit):
        neighbours.main(["pytest-peer", "--write"], root)
    assert bool(neighbours.results(root)) is kept


@pytest.mark.parametrize("one", neighbours.neighbours().values(), ids=lambda n: n.name)
def test_each_neighbour_has_tests_and_a_result(one):
    assert one.module.is_file()
    assert one.install
    result = neighbours.results()[one.name]
    assert result["passed"]
    assert not result["failed"]
    assert set(result["versions"]) == set(one.packages)
