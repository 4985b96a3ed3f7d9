"""Links between the files of the repository."""

from __future__ import annotations

import re

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
    # Sphinx checks the pages of the site; a package's are at another place there.
    for match in _LINK.finditer(_CODE.sub("", page.read_text("utf-8"))):
        assert (page.parent / match[1]).exists() or _in_site(name, match[1]), (
            f"{name} links to {match[1]}, which does not exist"
        )


def _in_site(name: str, target: str) -> bool:
    """Whether a page of a package's documentation links to one of the family's."""
    parts = name.split("/")
    if parts[0] != "packages" or parts[2:3] != ["docs"]:
        return False
    return (ROOT / "docs" / "packages" / parts[1] / target).resolve().exists()
