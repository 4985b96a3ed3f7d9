from __future__ import annotations

import re

import pytest

from flaskware_tools.matrix import read_toml
from flaskware_tools.matrix import ROOT

CONFIG = read_toml(ROOT / "prek.toml")
HOOKS = {hook["id"]: hook for repo in CONFIG["repos"] for hook in repo["hooks"]}


@pytest.mark.parametrize("letter", ["a", "é", "…"])
def test_the_subject_of_a_commit_has_at_most_72_characters(letter):
    hook = HOOKS["commit-subject"]
    # As the language `pygrep` does it: a file in which it is found is refused.
    pattern = re.compile(hook["entry"].encode(), re.MULTILINE | re.DOTALL)
    body = b"\n\n" + b"why " * 30 + b"\n"
    assert pattern.search((letter * 73).encode() + body)
    assert not pattern.search((letter * 72).encode() + body)


def test_both_kinds_of_hooks_are_installed_and_run_once_each():
    assert CONFIG["default_install_hook_types"] == ["pre-commit", "commit-msg"]
    assert CONFIG["default_stages"] == ["pre-commit"]
    assert HOOKS["commit-subject"]["stages"] == ["commit-msg"]


def test_no_hook_is_cloned():
    assert {repo["repo"] for repo in CONFIG["repos"]} <= {"local", "builtin"}
