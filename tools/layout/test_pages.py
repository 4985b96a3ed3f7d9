"""The pages of every package are of four kinds, and each is short.

A reader learns (``start.md``), does (``how-to/``), understands (``concepts/``) or looks
something up (every other page).
"""

from __future__ import annotations

import re

import pytest

from flaskware_tools.matrix import packages
from flaskware_tools.matrix import ROOT

STANDARD = {
    "index.md", "start.md", "configuration.md", "testing.md", "moving.md", "api.md",
}  # fmt: skip
# Further pages of reference: lists in which a reader looks something up.
REFERENCE = {
    "rules.md", "asvs.md", "commands.md", "controls.md", "defaults.md",
    "exit-codes.md", "scores.md",
}  # fmt: skip
KINDS = ("how-to", "concepts")
# Nobody moves to core from something else.
NO_PEER = {"core"}
# The prose of a page takes four minutes at 200 words a minute. Code is not counted.
MOST_WORDS = 800

_NOT_PROSE = re.compile(r"^(`{3,}).*?^\1$|^<!--.*?-->$", re.MULTILINE | re.DOTALL)
_PAGE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.md")
# A verb comes first, so neither an article, a question word nor "Using …".
_NO_TASK = re.compile(r"(a|an|the|how|what|why|about|\w+ing)\b", re.IGNORECASE)

PAGES = [
    page
    for package in packages().values()
    for kind in KINDS
    for page in sorted((package.folder / "docs" / kind).glob("*"))
]


def name_of(page):
    return str(page.relative_to(ROOT))


def title(page):
    return page.read_text("utf-8").partition("\n")[0]


def test_the_docs_have_the_standard_pages(package):
    wanted = STANDARD - ({"moving.md"} if package.name in NO_PEER else set())
    docs = package.folder / "docs"
    missing = {name for name in wanted if not (docs / name).exists()}
    missing |= {f"{kind}/" for kind in KINDS if not any(docs.glob(f"{kind}/*.md"))}
    assert not missing, (
        f"packages/{package.name}/docs lacks {sorted(missing)}: the template has them"
    )


def test_a_page_is_of_one_of_the_four_kinds(package):
    found = {path.name for path in (package.folder / "docs").iterdir()}
    extra = found - STANDARD - REFERENCE - {*KINDS}
    assert not extra, (
        f"packages/{package.name}/docs has {sorted(extra)}: a page that answers one"
        " question goes into how-to/, and one that explains an idea into concepts/"
    )


def test_the_index_lists_every_page_of_a_kind(package):
    index = (package.folder / "docs" / "index.md").read_text("utf-8")
    missing = [f"{kind}/*" for kind in KINDS if f"\n{kind}/*\n" not in index]
    assert not missing, (
        f"packages/{package.name}/docs/index.md: add {missing} to a toctree with :glob:"
    )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_has_a_title_that_says_its_kind(page):
    assert _PAGE.fullmatch(page.name), f"{name_of(page)}: name it words-like-these.md"
    words = title(page).removeprefix("# ").split()
    assert title(page).startswith("# "), f"{name_of(page)}: begin with a title"
    is_task = len(words) > 2 and not _NO_TASK.match(words[0])
    assert is_task or page.parent.name != "how-to", (
        f"{name_of(page)}: “{' '.join(words)}” is not a task; begin with a verb,"
        " such as “Sign a user out everywhere”"
    )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_takes_a_few_minutes(page):
    words = len(_NOT_PROSE.sub("", page.read_text("utf-8")).split())
    assert words <= MOST_WORDS, (
        f"{name_of(page)} has {words} words, more than {MOST_WORDS}: split it"
    )
