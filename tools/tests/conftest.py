from __future__ import annotations

from pathlib import Path

import pytest

from flaskware_tools.matrix import git
from flaskware_tools.matrix import ROOT
from flaskware_tools.release import copy_tree


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the repository's own files, with a history of one commit."""
    root = tmp_path / "repository"
    copy_tree(ROOT, root)
    for command in (
        ("init", "-q", "-b", "main"),
        ("config", "user.name", "a"),
        ("config", "user.email", "a@example.org"),
        ("add", "-A"),
        ("commit", "-q", "-m", "first"),
    ):
        git(root, *command)
    return root
