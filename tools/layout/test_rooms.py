"""Every package has the same rooms, with the same things in them."""

from __future__ import annotations

import filecmp

from flaskware_tools import modules
from flaskware_tools import rooms
from flaskware_tools.matrix import packages
from flaskware_tools.matrix import read_toml
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


def test_the_licence_is_that_of_the_repository(package):
    assert filecmp.cmp(package.folder / "LICENSE.txt", ROOT / "LICENSE.txt", False), (
        f"copy LICENSE.txt to packages/{package.name}/"
    )


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


def hold(package, rule):
    """Hold a package against a rule."""
    found = [str(item) for item in rooms.RULES[rule](modules.read(package.source))]
    assert not found, f"{package.module}/ " + f"; {package.module}/ ".join(found)


def test_the_root_holds_the_anatomy_and_rooms(package):
    hold(package, "root")


def test_a_room_holds_neither_one_module_nor_too_many(package):
    hold(package, "room")


def test_a_module_is_neither_a_crumb_nor_too_long(package):
    hold(package, "length")


def test_no_class_is_cut_in_halves(package):
    hold(package, "halves")


def test_imports_point_down_in_the_order_of_the_package(package):
    hold(package, "order")


def test_no_module_imports_itself_through_others(package):
    hold(package, "cycle")


def test_an_import_that_leaves_a_room_shows(package):
    hold(package, "crossing")


def test_modules_are_named_by_nouns(package):
    hold(package, "noun")


def test_each_idea_has_one_home(package):
    hold(package, "home")


def test_private_attributes_of_others_are_refused():
    lint = read_toml(ROOT / "shared-config" / "ruff.toml")["lint"]
    assert "SLF001" in lint["select"], "shared-config/ruff.toml: select SLF001"


def test_a_waiver_for_a_private_attribute_has_a_reason(package):
    bare = [
        item.place
        for item in rooms.waivers(modules.read(package.source))
        if not item.has_reason
    ]
    assert not bare, f"{package.module}/ {bare}: write a comment above with the reason"


def test_waivers_for_private_attributes_are_few():
    found = [
        f"{package.module}/{item.place}"
        for package in packages().values()
        for item in rooms.waivers(modules.read(package.source))
    ]
    assert len(found) <= rooms.MOST_WAIVERS, (
        f"{len(found)} waivers of SLF001, more than {rooms.MOST_WAIVERS}: give the"
        f" object a public verb instead of one of {found}"
    )
