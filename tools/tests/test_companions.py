from __future__ import annotations

import hashlib
import tarfile
import textwrap

import pytest

from flaskware_tools import companions
from flaskware_tools.companions import compare
from flaskware_tools.companions import Expected

FOUND = {"test_a.py::test_x[1]": False, "test_a.py::test_x[2]": True}
RUN = "new"


def expect(*tests, runs=(RUN,)):
    return [Expected(tests, "it is another thing here", runs)]


@pytest.mark.parametrize(
    ("expected", "problems"),
    [
        (expect("test_a.py::test_x[1]"), []),
        (expect("test_a.py::test_x[*1]"), []),
        ([], ["unexplained failure: test_a.py::test_x[1]"]),
        (
            expect("test_a.py::test_x[1]", runs=("old",)),
            ["unexplained failure: test_a.py::test_x[1]"],
        ),
        (
            expect("test_a.py::test_x"),
            ["unexpected pass: test_a.py::test_x[2] (it is another thing here)"],
        ),
        (
            expect("test_a.py::test_x[1]", "test_a.py::test_gone"),
            ["expected failure of no known test: test_a.py::test_gone"],
        ),
    ],
)
def test_each_difference_from_the_expectation_is_named(expected, problems):
    assert compare(FOUND, expected, RUN, 1) == problems


def test_a_suite_that_hardly_ran_is_a_problem():
    assert compare(FOUND, expect("test_a.py::test_x[1]"), RUN, 2) == [
        "1 tests pass, and 2 must"
    ]


@pytest.fixture
def archive(tmp_path):
    """A source distribution with a package, tests of it, and a configuration."""
    files = {
        "peer/__init__.py": "answer = 'theirs'",
        "tests/test_peer.py": """
            import warnings
            import peer
            import pytest

            class TestPeer:
                def test_answer(self):
                    assert peer.answer == "ours"

            def test_theirs():
                assert peer.answer == "theirs"

            @pytest.mark.own
            def test_filter():
                warnings.warn("loud", UserWarning)

            def test_skipped():
                pytest.skip("not here")

            @pytest.fixture
            def broken():
                yield
                raise ValueError

            def test_teardown(broken):
                pass
        """,
        "setup.ini": "[pytest]\naddopts = --strict-markers\nmarkers = own",
    }
    for name, text in files.items():
        path = tmp_path / "peer-1.0" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    made = tmp_path / "peer-1.0.tar.gz"
    with tarfile.open(made, "w:gz") as file:
        file.add(tmp_path / "peer-1.0", "peer-1.0")
    return made


@pytest.fixture
def companion(tmp_path, archive):
    folder = tmp_path / "companions" / "peer"
    alias = folder / "alias" / "peer" / "__init__.py"
    alias.parent.mkdir(parents=True)
    alias.write_text("answer = 'ours'")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (folder / "companion.toml").write_text(
        f"""
        package = "core"
        least = 2
        config = "setup.ini"
        warnings = ["ignore:loud"]
        [sources]
        "peer==1.0" = "{digest}"
        [runs]
        new = []
        """
    )
    (folder / "expected.toml").write_text(
        """
        [[failure]]
        tests = ["test_peer.py::test_theirs", "test_peer.py::test_teardown"]
        reason = "it asks for theirs"
        """
    )
    (found,) = companions.companions(folder.parent)
    return found


def test_a_suite_runs_on_the_alias_without_the_package_that_it_tests(
    companion, archive, tmp_path
):
    folder = tmp_path / "work"
    companions.unpack(archive.parent, companion, folder)
    assert companions.run(companion, "new", folder) == []
    assert companions.outcomes(folder / "report.xml") == {
        "test_peer.py::test_answer": True,
        "test_peer.py::test_theirs": False,
        "test_peer.py::test_filter": True,
        "test_peer.py::test_teardown": False,
    }


def test_tests_of_our_own_run_over_the_source_distributions(
    companion, archive, tmp_path
):
    own = companion.folder / "tests" / "test_own.py"
    own.parent.mkdir()
    own.write_text(
        textwrap.dedent("""
            import os
            from pathlib import Path

            def test_source():
                [found] = Path(os.environ["COMPANION_SOURCES"]).glob("peer/*/peer")
                assert "theirs" in (found / "__init__.py").read_text()
        """)
    )
    folder = tmp_path / "work"
    companions.unpack(archive.parent, companion, folder)
    companions.run(companion, "new", folder)
    assert companions.outcomes(folder / "report.xml") == {
        "test_own.py::test_source": True
    }


def test_the_command_fails_where_the_result_is_not_as_expected(
    companion, archive, monkeypatch, capsys
):
    monkeypatch.setattr(companions, "companions", lambda: [companion])
    arguments = ["peer", "new", f"--archives={archive.parent}"]
    companions.main(arguments)
    (companion.folder / "expected.toml").write_text("")
    with pytest.raises(SystemExit):
        companions.main(arguments)
    assert "unexplained failure: test_peer.py::test_theirs" in capsys.readouterr().out


def test_another_archive_than_the_declared_is_not_run(companion, archive, tmp_path):
    archive.write_bytes(archive.read_bytes() + b"0")
    with pytest.raises(ValueError, match="not that declared"):
        companions.unpack(archive.parent, companion, tmp_path / "work")


@pytest.mark.parametrize("one", companions.companions(), ids=lambda c: c.folder.name)
def test_each_companion_has_an_alias_and_a_reason_for_each_failure(one):
    assert one.own_tests or any(one.alias_path.iterdir())
    assert all("==" in source for source in one.sources)
    for item in one.expected():
        assert len(item.reason) > 30
        assert set(item.runs) <= set(one.runs)
