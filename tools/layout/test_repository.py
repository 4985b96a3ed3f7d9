"""What holds for the repository as a whole."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess

import pytest

from flaskware_tools.matrix import distributions
from flaskware_tools.matrix import read_matrix
from flaskware_tools.matrix import ROOT
from flaskware_tools.tables import FILES
from flaskware_tools.tables import stale

REQUIREMENTS = sorted((ROOT / "shared-config" / "requirements").glob("*.txt"))


def tracked():
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip("\0").split("\0")


def test_generated_tables_are_up_to_date():
    assert not stale(), "run `nox -s layout -- --fix`"


@pytest.mark.parametrize("name", FILES)
def test_files_with_tables_still_have_them(name):
    assert "<!-- generated: " in (ROOT / name).read_text("utf-8"), (
        f"{name} lost the marks of its table: write `<!-- generated: … -->` and"
        " `<!-- end: … -->` around it"
    )


def test_lock_files_that_name_registries_are_not_tracked():
    named = {"uv.lock", "poetry.lock", "Pipfile.lock", "yarn.lock", "pylock.toml"}
    found = [path for path in tracked() if path.rpartition("/")[2] in named]
    assert not found, f"{found} name registries: `git rm --cached` them"


def test_tools_have_no_settings_outside_of_shared_config():
    names = {
        "ruff.toml", ".ruff.toml", "mypy.ini", ".mypy.ini", "pytest.ini", ".pytest.ini",
        "pytest.toml", "tox.ini", "setup.cfg", ".flake8", ".pylintrc", ".coveragerc",
        ".isort.cfg", "pyrightconfig.json", "towncrier.toml", "tox.toml",
    }  # fmt: skip
    found = [
        path
        for path in tracked()
        if path.rpartition("/")[2] in names and not path.startswith("shared-config/")
    ]
    assert not found, f"{found}: move these settings to shared-config/"


def test_nothing_that_was_built_is_tracked():
    found = [path for path in tracked() if path.endswith((".whl", ".gz", ".pyc"))]
    assert not found, f"{found} are built: `git rm --cached` them"


def test_the_devcontainer_has_the_services_of_the_matrix():
    text = (ROOT / ".devcontainer" / "compose.yml").read_text("utf-8")
    matrix = read_matrix()
    for name, versions in matrix["services"].items():
        image = f"image: {matrix['images'][name]}:{versions[0]}"
        assert f"  {name}:\n    {image}\n" in text, (
            f".devcontainer/compose.yml: the service {name} is `{image}` in matrix.toml"
        )


def test_actions_are_pinned_by_commit():
    for path in tracked():
        if path.startswith(".github/workflows/"):
            text = (ROOT / path).read_text("utf-8")
            for action in re.findall(r"uses: (\S+(?: # \S+)?)", text):
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", action), (
                    f"{path} uses {action}: write the commit, and its version behind it"
                )


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_locked_requirements_have_hashes_and_no_addresses(path):
    text = path.read_text("utf-8")
    assert "://" not in text, f"{path.name} names an address: run `nox -s lock`"
    pinned = re.split(r"^(?=[\w.-]+(?:\[[\w,-]+\])?==)", text, flags=re.MULTILINE)[1:]
    assert pinned, f"{path.name} locks nothing: run `nox -s lock`"
    bare = [part.split()[0] for part in pinned if "--hash=sha256:" not in part]
    assert not bare, f"{path.name} has no hash of {bare}: run `nox -s lock`"


def test_one_version_of_everything_is_locked():
    locked: dict[tuple[str, str], str] = {}
    for path in REQUIREMENTS:
        for line in path.read_text("utf-8").splitlines():
            if match := re.match(r"([\w.-]+)(?:\[[^]]*\])?==(\S+)(.*?)\\?$", line):
                name, version, marker = match[1], match[2], match[3].strip()
                first = locked.setdefault((name, marker), version)
                assert first == version, f"{name}: {first} and {version}: `nox -s lock`"


def test_every_project_has_locked_requirements():
    stems = {path.stem for path in REQUIREMENTS}
    wanted = {*distributions(), "tools", "noticeboard", "lint", "typing", "docs", "dev"}
    assert wanted <= stems, f"no lock for {sorted(wanted - stems)}: run `nox -s lock`"


def test_no_file_names_the_folder_beside_the_checkout():
    outside = "../" + "shared"
    for path in tracked():
        if path.endswith((".py", ".md", ".toml", ".yml", ".html", "run")):
            text = (ROOT / path).read_text("utf-8").replace("../shared-config", "")
            assert outside not in text, (
                f"{path} names a folder beside the checkout, which no one else has:"
                " say what it says instead"
            )


def test_no_registry_is_named():
    hosts = re.compile(rb"pypi[.]org|pythonhosted[.]org|npmjs[.](?:org|com)")
    for path in tracked():
        # As bytes: a picture or a compiled catalogue is no text.
        found = hosts.search((ROOT / path).read_bytes())
        assert not found, (
            f"{path} names {found[0].decode() if found else ''}: registries are for"
            " each machine's own settings to name"
        )


def test_workflows_call_nothing_but_nox():
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        for line in re.findall(
            r"^\s+(?:- )?run: (.+)$", path.read_text(), re.MULTILINE
        ):
            assert re.match(
                r"(python -m (pip install|nox)|gh release create|exit 1$)", line
            ), f"{path.name} runs {line!r}: make it a nox session"


def test_the_tag_of_every_distribution_publishes_it():
    workflow = (ROOT / ".github" / "workflows" / "publish.yml").read_text("utf-8")
    listed = re.search(r"tags: (\[.+\])", workflow)
    assert listed
    patterns = json.loads(listed[1])
    for item in distributions().values():
        tag = f"{item.distribution}/{item.version}"
        assert any(fnmatch.fnmatch(tag, pattern) for pattern in patterns), (
            f"publish.yml publishes no tag {tag}: add a pattern for it"
        )
