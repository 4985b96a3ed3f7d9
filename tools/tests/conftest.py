from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from flaskware_tools.matrix import ROOT


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the repository's own files, with a history of one commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.strip("\0").split("\0")  # fmt: skip
    for name in listed:
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    for command in (
        ("init", "-q", "-b", "main"),
        ("config", "user.name", "a"),
        ("config", "user.email", "a@example.org"),
        ("add", "-A"),
        ("commit", "-q", "-m", "first"),
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path
