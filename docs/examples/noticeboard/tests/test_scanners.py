"""The board's score by the scanners that sites are graded by."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from noticeboard import create_app
from noticeboard.extensions import alembic

sys.path.insert(0, str(Path(__file__).parents[4] / "packages/secure/tests"))

from secure_scanners import scan


@pytest.mark.slow
def test_the_board_loses_no_point_and_has_no_finding(tmp_path: Path):
    app = create_app(instance_path=str(tmp_path))
    with app.app_context():
        alembic.upgrade()
    board = scan({"board": app}, tmp_path)["board"]
    # 140 is for sites whose first page sets a cookie; this one needs none.
    assert (board.score, board.failed, board.findings) == (135, [], [])
