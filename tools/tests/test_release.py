from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tarfile
import time
import tomllib
import urllib.request

import pytest

from flaskware_tools import build
from flaskware_tools import release
from flaskware_tools.matrix import git
from flaskware_tools.matrix import packages
from flaskware_tools.release import next_version


def commit(root, message):
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)


@pytest.mark.parametrize(
    ("last", "types", "expected"),
    [
        (None, ["feature"], "0.1.0"),
        ("0.1.0", ["fix"], "0.1.1"),
        ("0.1.0", ["fix", "feature"], "0.2.0"),
        ("0.1.3", ["breaking"], "0.2.0"),
        ("1.2.3", ["fix"], "1.2.4"),
        ("1.2.3", ["deprecation"], "1.3.0"),
        ("1.2.3", ["breaking", "fix"], "2.0.0"),
    ],
)
def test_fragments_decide_the_version(last, types, expected):
    assert next_version(last, "0.1.0", types) == expected


def test_a_release_needs_a_fragment_of_a_known_type():
    with pytest.raises(release.ReleaseError, match="nothing to release"):
        next_version("1.0.0", "1.0.0", [])
    with pytest.raises(release.ReleaseError, match="type misc"):
        next_version("1.0.0", "1.0.0", ["misc"])


def test_the_next_release_is_worked_out_in_a_copy(repository, tmp_path_factory):
    package = packages(repository)["core"]
    before = (package.folder / "CHANGES.md").read_text()
    planned = release.plan(package, tmp_path_factory.mktemp("copy"))
    assert (planned.version, planned.last) == (package.version, None)
    assert planned.notes.startswith(f"## {package.version} (")
    assert "### Features" in planned.notes
    assert (package.folder / "CHANGES.md").read_text() == before
    assert release.fragments(package)
    assert not release.fragments(planned.package)


def released(repository, name, version="1.0.0"):
    """Make what is there the release 1.0.0 of a package."""
    package = packages(repository)[name]
    release.write_version(package, version)
    release.write_changelog(package, version)
    commit(repository, "release")
    git(repository, "tag", f"flaskware-{name}/{version}")
    return packages(repository)[name]


def break_api(package):
    (path,) = package.source.rglob("*origin.py")
    text = path.read_text()
    assert "def request_origin(" in text
    path.write_text(text.replace("def request_origin(", "def request_origin(new, "))


def add_fragment(package, kind):
    (package.folder / "changes" / f"+x.{kind}.md").write_text("Something.\n")


def test_a_breaking_change_without_its_fragment_is_refused(
    repository, tmp_path_factory
):
    package = released(repository, "core")
    break_api(package)
    add_fragment(package, "fix")
    with pytest.raises(release.ReleaseError, match="request_origin") as refused:
        release.plan(package, tmp_path_factory.mktemp("copy"))
    assert "no fragment of the type breaking" in str(refused.value)


def test_a_breaking_change_that_is_declared_raises_the_first_number(
    repository, tmp_path_factory
):
    package = released(repository, "core")
    break_api(package)
    add_fragment(package, "breaking")
    planned = release.plan(package, tmp_path_factory.mktemp("copy"))
    assert planned.version == "2.0.0"
    assert "Something." in planned.notes


def test_a_change_that_breaks_nothing_needs_no_such_fragment(
    repository, tmp_path_factory
):
    package = released(repository, "core")
    add_fragment(package, "fix")
    planned = release.plan(package, tmp_path_factory.mktemp("copy"))
    assert (planned.last, planned.version) == ("1.0.0", "1.0.1")


def test_a_package_waits_for_the_sibling_that_it_requires(repository):
    session = packages(repository)["session"]
    assert "flaskware-core>=0.1.0" in release.missing_siblings(session)
    git(repository, "tag", "flaskware-core/0.0.9")
    assert "flaskware-core>=0.1.0" in release.missing_siblings(session)
    git(repository, "tag", "flaskware-core/0.1.0")
    assert "flaskware-core>=0.1.0" not in release.missing_siblings(session)


def test_a_tag_has_to_say_what_the_tree_is(repository):
    with pytest.raises(release.ReleaseError, match="names no package"):
        release.tagged("flaskware-mail/1.0.0", repository)
    with pytest.raises(release.ReleaseError, match="is not the version"):
        release.tagged("flaskware-core/9.0.0", repository)
    version = packages(repository)["core"].version
    with pytest.raises(release.ReleaseError, match="fragments wait"):
        release.tagged(f"flaskware-core/{version}", repository)
    released(repository, "core")
    planned = release.tagged("flaskware-core/1.0.0", repository)
    assert planned.notes.startswith("## 1.0.0 (")


def test_a_changelog_without_the_version_is_refused():
    changes = "## 1.1.0 (2026-01-02)\n\n- two\n\n## 1.0.0 (2026-01-01)\n\n- one\n"
    assert release.section(changes, "1.1.0") == "## 1.1.0 (2026-01-02)\n\n- two"
    with pytest.raises(release.ReleaseError, match=r"no section of 1\.2\.0"):
        release.section(changes, "1.2.0")


def test_the_newest_release_is_found_by_its_version_not_its_name(repository):
    for version in ("0.9.0", "0.10.0", "0.2.0"):
        git(repository, "tag", f"flaskware-core/{version}")
    assert release.last_tag(packages(repository)["core"]) == "flaskware-core/0.10.0"


def test_two_builds_that_differ_are_refused(repository, tmp_path, monkeypatch):
    package = packages(repository)["core"]
    true_build = build._build_once

    def differ(package, out):
        built = true_build(package, out)
        if out.name == "two":
            built[0].write_bytes(b"other")
        return built

    monkeypatch.setattr(build, "_build_once", differ)
    with pytest.raises(build.BuildError, match="two builds of one tree differ"):
        build.build(package, tmp_path / "out")


def test_metadata_that_an_index_refuses_are_refused(repository, tmp_path):
    package = packages(repository)["core"]
    path = package.folder / "pyproject.toml"
    path.write_text(path.read_text().replace("README.md", "README.rst"))
    (package.folder / "README.rst").write_text("`not closed\n\n.. nothing::\n")
    with pytest.raises(build.BuildError):
        build.check_metadata(build.build(package, tmp_path / "out"))


def test_an_sdist_without_tests_is_refused(tmp_path):
    (tmp_path / "flaskware_core-1/src").mkdir(parents=True)
    sdist = tmp_path / "flaskware_core-1.tar.gz"
    with tarfile.open(sdist, "w:gz") as tar:
        tar.add(tmp_path / "flaskware_core-1", "flaskware_core-1")
    with pytest.raises(build.BuildError, match="has no tests"):
        build.run_sdist_tests(packages()["core"], sdist, tmp_path, tmp_path)


def test_a_command_that_fails_is_told_with_its_output():
    with pytest.raises(build.BuildError, match=r"import nowhere(.|\n)*No module named"):
        build.run(sys.executable, "-c", "import nowhere")


@pytest.fixture
def index(tmp_path_factory):
    """A package index that holds nothing but what is uploaded, and its folder."""
    folder = tmp_path_factory.mktemp("index")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ("run", "-i", "127.0.0.1", "-p", str(port), "-a", ".", "-P", ".")
    process = subprocess.Popen(
        [sys.executable, "-m", "pypiserver", *command, "--disable-fallback", folder],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(url).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url, folder
    finally:
        process.terminate()
        process.wait(10)


def in_copy(root, *command, fails=False):
    """Run a command in a copy of the repository; what it printed."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in {"PYTHONPATH", "VIRTUAL_ENV"} and not key.startswith("COV")
    }
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def publish(root, name, index):
    """Release a package as its maintainers and CI do, up to the upload."""
    few = ("--tests", "init_app or settings")
    in_copy(root, "nox", "-R", "-s", "release", "--", name, "--write", *few)
    commit(root, f"{name}: release")
    tag = f"flaskware-{name}/{packages(root)[name].version}"
    git(root, "tag", tag)
    printed = in_copy(root, "nox", "-R", "-s", "release", "--", "--tag", tag, *few)
    assert "built twice, byte for byte: " in printed
    assert re.search(r"tests of the sdist: \d+ passed", printed)
    files = sorted((root / "dist/release/packages").iterdir())
    options = ("--repository-url", index, "-u", "any", "-p", "any")
    in_copy(root, "twine", "upload", "--non-interactive", *options, *map(str, files))


@pytest.mark.slow
def test_two_packages_are_released_and_installed_from_an_index_alone(
    repository, index, tmp_path_factory
):
    url, folder = index
    refused = in_copy(
        repository, "nox", "-s", "release", "--", "session", "--write", fails=True
    )
    assert "release flaskware-core>=0.1.0" in refused
    publish(repository, "core", url)
    publish(repository, "session", url)
    papers = repository / "dist/release/papers"
    version = packages(repository)["session"].version
    bill = json.loads((papers / f"flaskware-session-{version}.cdx.json").read_text())
    assert bill["metadata"]["component"]["name"] == "flaskware-session"
    parts = {part["name"].lower(): part["version"] for part in bill["components"]}
    assert parts.keys() >= {"flaskware-core", "flask", "pydantic"}
    notes = (papers / "notes.md").read_text()
    assert notes.startswith(f"# flaskware-session {version} (")
    for path in (repository / "dist/release/packages").iterdir():
        assert f"  {path.name}" in notes
    others = [
        f"{name}=={number}"
        for name, number in parts.items()
        if not name.startswith("flaskware-")
    ]
    download = ("download", "-q", "--no-deps", "-d", str(folder), *others)
    in_copy(repository, "pip", *download)

    python = build.empty_environment(tmp_path_factory.mktemp("user") / "env")
    alone = ("--no-config", "--no-cache", "--default-index", f"{url}simple/")
    install = (build.UV, "pip", "install", "--quiet", "--python", python, *alone)
    with pytest.raises(build.BuildError, match="pytest was not found"):
        build.run(*install, "pytest")
    build.run(*install, "flaskware-session")
    show = "import importlib.metadata as m; print(m.version('flaskware-session'))"
    assert build.run(python, "-c", show).strip() == version
    session = packages(repository)["session"]
    build.run_readme(session, python, tmp_path_factory.mktemp("readme"))
    config = tomllib.loads((session.folder / "pyproject.toml").read_text())
    assert config["project"]["version"] == version
    assert release.fragments(session) == []
