"""Every package has the same rooms, with the same things in them."""

from __future__ import annotations

import filecmp

from flaskware_tools.matrix import ROOT
from flaskware_tools.release import FRAGMENT_TYPES
from flaskware_tools.release import fragments

TOP = {
    "pyproject.toml", "README.md", "CHANGES.md", "LICENSE.txt", "changes", "src",
    "tests", "benchmarks", "docs",
}  # fmt: skip
OPTIONAL_TOP = {"benchmarks"}
SOURCE = {"__init__.py", "_extension.py", "_settings.py", "py.typed"}
TESTS = {"test_init_app.py", "test_settings.py", "test_multi_app.py", "typing/api.py"}
DOCS = {
    "index.md", "start.md", "guide.md", "configuration.md", "testing.md", "moving.md",
    "api.md",
}  # fmt: skip
# Nobody moves to core from something else.
NO_PEER = {"core"}
LONGEST_MODULE = 500


def tracked(folder):
    return {path.name for path in folder.iterdir() if path.name[0] not in "._"}


def test_the_top_of_a_package_holds_the_standard_files(package):
    found = tracked(package.folder)
    missing = TOP - OPTIONAL_TOP - found
    assert not missing, f"packages/{package.name} lacks {sorted(missing)}: add them"
    extra = found - TOP
    assert not extra, (
        f"packages/{package.name} has {sorted(extra)}, which no other package has:"
        " move it into src/, tests/, docs/ or benchmarks/"
    )


def test_the_source_has_the_standard_modules(package):
    found = {path.name for path in package.source.iterdir()}
    # A room stands for the module of its name.
    missing = {name for name in SOURCE if not {name, name[:-3]} & found}
    assert not missing, f"{package.source} lacks {sorted(missing)}: add them"


def test_public_modules_are_only_the_standard_ones(package):
    public = {
        path.name for path in package.source.glob("*.py")
        if not path.name.startswith("_")
    }  # fmt: skip
    assert public <= {"testing.py"}, (
        f"{sorted(public)}: name a module _<noun>.py and export from __init__.py;"
        " only testing.py is public"
    )


def test_the_tests_cover_what_every_package_has(package):
    missing = {name for name in TESTS if not (package.folder / "tests" / name).exists()}
    assert not missing, (
        f"packages/{package.name}/tests lacks {sorted(missing)}: the template has them"
    )


def test_the_docs_have_the_standard_pages(package):
    wanted = DOCS - ({"moving.md"} if package.name in NO_PEER else set())
    missing = {name for name in wanted if not (package.folder / "docs" / name).exists()}
    assert not missing, (
        f"packages/{package.name}/docs lacks {sorted(missing)}: the template has them"
    )


def test_the_licence_is_that_of_the_repository(package):
    assert filecmp.cmp(package.folder / "LICENSE.txt", ROOT / "LICENSE.txt", False), (
        f"copy LICENSE.txt to packages/{package.name}/"
    )


def test_no_module_is_too_long_to_read_at_once(package):
    long = {
        path.name: count
        for path in package.source.rglob("*.py")
        if (count := len(path.read_text("utf-8").splitlines())) > LONGEST_MODULE
    }
    assert not long, f"{long} lines: divide them by their nouns"


def test_changelog_fragments_are_of_a_known_type(package):
    unknown = set(fragments(package)) - set(FRAGMENT_TYPES)
    assert not unknown, (
        f"packages/{package.name}/changes: {sorted(unknown)}; name a fragment"
        f" <issue>.<type>.md with a type of {', '.join(FRAGMENT_TYPES)}"
    )


def test_the_changelog_has_the_place_where_releases_are_written(package):
    changes = (package.folder / "CHANGES.md").read_text("utf-8")
    assert "<!-- towncrier release notes start -->" in changes, (
        f"packages/{package.name}/CHANGES.md: write"
        " <!-- towncrier release notes start --> where the next release goes"
    )
