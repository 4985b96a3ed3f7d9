from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from flaskware_tools import new
from flaskware_tools import tables
from flaskware_tools.matrix import git
from flaskware_tools.matrix import packages


def nox(root, *arguments):
    """Run nox in a copy of the repository, as a contributor does; what it printed."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in {"PYTHONPATH", "VIRTUAL_ENV"} and not key.startswith("COV")
    }
    done = subprocess.run(
        [sys.executable, "-m", "nox", *arguments],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_new_extension_is_listed_wherever_packages_are(repository):
    target = new.make("mail", "sending mail", repository)
    assert "mail" in packages(repository)
    assert (target / "src/flaskware_mail/_extension.py").exists()
    workspace = (repository / "pyproject.toml").read_text()
    assert "flaskware-mail = { workspace = true }" in workspace
    assert "| [`flaskware-mail`]" in tables.generate(
        (repository / "README.md").read_text(), repository
    )
    left = [
        path
        for path in target.rglob("*")
        if path.is_file() and "@name@" in path.read_text()
    ]
    assert left == []


@pytest.mark.parametrize("name", ["core", "Mail", "my-mail", "../x", "", "1mail"])
def test_a_name_that_cannot_be_used_is_refused(repository, name):
    before = git(repository, "status", "--porcelain")
    with pytest.raises(ValueError, match="name"):
        new.make(name, "x", repository)
    assert git(repository, "status", "--porcelain") == before


def test_a_list_that_lost_its_mark_is_named(repository):
    path = repository / "shared-config/matrix.toml"
    path.write_text(path.read_text().replace("# Services that tests", "# What tests"))
    with pytest.raises(ValueError, match=r"matrix\.toml: nothing starts with"):
        new.make("mail", "sending mail", repository)


@pytest.mark.slow
def test_a_new_extension_passes_everything_with_no_file_edited_by_hand(repository):
    nox(repository, "-s", "new", "--", "mail", "--summary", "sending mail")
    git(repository, "add", "-A")  # the layout check looks at what git knows
    everything = ("lint", "layout", "tests", "typing", "build", "api", "docs")
    printed = nox(repository, "-s", *everything, "--", "mail")
    assert "mail: installed alone, its README example ran" in printed
    assert "packages/mail/README.md: ok" in printed
    site = repository / "docs/_build/html"
    assert "flaskware-mail" in (site / "index.html").read_text()
    assert "MAIL_GREETING" in (site / "packages/mail/configuration.html").read_text()
    assert "| [`flaskware-mail`]" in (repository / "README.md").read_text()
    planned = nox(repository, "-s", "plan", "--", "mail")
    line = next(item for item in planned.splitlines() if item.startswith("{"))
    assert {job["name"] for job in json.loads(line)["include"]} == {"mail"}
