"""Links between the files of the repository."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from flaskware_tools.matrix import ROOT

from .test_repository import tracked

# The target of [text](target) and of ![text](target), outside of code.
_LINK = re.compile(r"\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]+)?\)")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
PAGES = [name for name in tracked() if name.endswith(".md")]


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    page = ROOT / name
    for match in _LINK.finditer(_CODE.sub("", page.read_text("utf-8"))):
        target = page.parent / match[1]
        assert target.exists() or _in_site(page, match[1]).exists(), (
            f"{name} links to {match[1]}, which does not exist"
        )


def _in_site(page: Path, link: str) -> Path:
    """The file that a link leads to once the pages of packages are in the site.

    The site has the folder ``docs`` of each package at ``docs/packages/<name>``.
    """
    site, parts = ROOT / "docs" / "packages", page.relative_to(ROOT).parts
    if parts[0] == "packages" and parts[2] == "docs":
        page = site / parts[1] / Path(*parts[3:])
    target = Path(os.path.normpath(page.parent / link))
    if not target.is_relative_to(site):
        return target
    name, *rest = target.relative_to(site).parts
    return ROOT / "packages" / name / "docs" / Path(*rest)
