"""Each rule of the layout check fails on a tree that breaks it, and says what to do."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

from flaskware_tools.matrix import git
from flaskware_tools.matrix import ROOT
from flaskware_tools.release import copy_tree

HOME = "packages/session"
SOURCE = f"{HOME}/src/flaskware_session"
PROJECT = f"{HOME}/pyproject.toml"


def edit(path, before, after):
    def change(root):
        text = (root / path).read_text()
        assert before in text, f"{path} has no {before!r}"
        (root / path).write_text(text.replace(before, after))

    return change


def write(path, text):
    def change(root):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)

    return change


def add(path, text):
    return lambda root: write(path, (root / path).read_text() + text)(root)


def remove(path):
    return lambda root: (root / path).unlink()


def each(*changes):
    return lambda root: [change(root) for change in changes]


# By rule: what breaks it, and what is said. The registry is put together, so that this
# file does not name one.
BAD = {
    "test_init_only_exports": (
        add(f"{SOURCE}/__init__.py", "\nprint()\n\n\ndef more(): ...\n"),
        "move it into a module",
    ),
    "test_what_waits_is_what_type_checkers_read": (
        edit(
            f"{SOURCE}/__init__.py",
            "if t.TYPE_CHECKING:\n",
            "if t.TYPE_CHECKING:\n    from ._more import More as More\n",
        ),
        "run `nox -s layout -- --fix`",
    ),
    "test_every_public_name_has_a_docstring": (
        each(
            write(f"{SOURCE}/_bare.py", "def bare(): ...\n"),
            add(f"{SOURCE}/__init__.py", "from ._bare import bare\n"),
            edit(f"{SOURCE}/__init__.py", "__all__ = [", '__all__ = ["bare", '),
        ),
        "write a docstring for",
    ),
    "test_every_public_name_is_in_the_api_page": (
        write(f"{HOME}/docs/api.md", "# API\n"),
        "docs/api.md lacks",
    ),
    "test_every_public_name_is_used_in_the_typing_tests": (
        write(f"{HOME}/tests/typing/api.py", ""),
        "with assert_type",
    ),
    "test_siblings_are_imported_only_as_allowed": (
        add(f"{SOURCE}/_settings.py", "\nimport flaskware_forms\n"),
        "what this package may import",
    ),
    "test_what_is_imported_is_declared": (
        add(f"{SOURCE}/_settings.py", "\nimport numpy\n"),
        "add it to dependencies",
    ),
    "test_no_private_module_is_public_by_accident": (
        edit(f"{SOURCE}/__init__.py", "__all__ = [", '__all__ = ["_x", '),
        "rename or leave them out",
    ),
    "test_nothing_that_flask_deprecates_is_used": (
        add(f"{SOURCE}/_settings.py", "\nfrom flask.ctx import RequestContext\n"),
        "Flask 3.2 deprecates or drops it",
    ),
    "test_what_a_package_needs_is_listed_before_it": (
        edit(
            "packages/core/pyproject.toml",
            "dependencies = [",
            'dependencies = ["flaskware-session>=0.1.0",',
        ),
        "put them first",
    ),
    "test_links_lead_somewhere": (
        add("README.md", "\n[gone](docs/gone.md)\n"),
        "which does not exist",
    ),
    "test_names_and_licence_are_standard": (
        edit(PROJECT, '"BSD-3-Clause"', '"MIT"'),
        "write license = 'BSD-3-Clause'",
    ),
    "test_the_description_is_the_summary_of_the_matrix": (
        edit(PROJECT, "Server-side sessions", "Sessions"),
        "change one of them",
    ),
    "test_everything_that_an_index_shows_is_said": (
        edit(PROJECT, "keywords = ", "x = "),
        "lacks {'keywords'}: add",
    ),
    "test_the_pythons_are_those_of_the_matrix": (
        edit(PROJECT, "Python :: 3.12", "Python :: 3.10"),
        "list the same",
    ),
    "test_each_requirement_has_a_lower_bound_and_no_upper": (
        edit(PROJECT, '"flask>=3.1.1"', '"flask>=3.1.1,<4"'),
        "write a lower bound only",
    ),
    "test_lower_bounds_are_those_of_the_matrix": (
        edit(PROJECT, '"flask>=3.1.1"', '"flask>=3.1.0"'),
        "said in matrix.toml, [minimum]",
    ),
    "test_siblings_are_those_that_the_matrix_allows": (
        edit(PROJECT, "dependencies = [", 'dependencies = ["flaskware-forms>=0.1.0",'),
        "always requires the siblings",
    ),
    "test_tools_are_configured_in_one_place_only": (
        add(PROJECT, "\n[tool.ruff]\n"),
        "belongs to shared-config/",
    ),
    "test_the_workspace_configures_no_tool_but_uv": (
        add("pyproject.toml", "\n[tool.ruff]\n"),
        "move that to shared-config/",
    ),
    "test_the_sdist_has_the_tests_and_docs": (
        edit(PROJECT, ', "tests/"', ""),
        "to include of [tool.flit.sdist]",
    ),
    "test_every_member_is_in_the_workspace": (
        edit("pyproject.toml", "flaskware-session = { workspace = true }", ""),
        "to [tool.uv.sources]",
    ),
    "test_each_requirement_of_a_group_has_a_lower_bound_and_no_upper": (
        edit("pyproject.toml", "pytest>=8.3", "pytest==8.3"),
        "a lower bound only",
    ),
    "test_the_template_says_what_the_matrix_says": (
        edit("shared-config/template/pyproject.toml.in", "flask>=3.1.1", "flask>=2"),
        "of the template requires",
    ),
    "test_generated_tables_are_up_to_date": (
        edit("README.md", "| wraps |", "| WRAPS |"),
        "nox -s layout -- --fix",
    ),
    "test_files_with_tables_still_have_them": (
        edit("README.md", "<!-- generated: packages -->", ""),
        "lost the marks of its table",
    ),
    "test_lock_files_that_name_registries_are_not_tracked": (
        write("docs/yarn.lock", ""),
        "git rm --cached",
    ),
    "test_tools_have_no_settings_outside_of_shared_config": (
        write(f"{HOME}/.ruff.toml", ""),
        "move these settings to shared-config/",
    ),
    "test_nothing_that_was_built_is_tracked": (
        write("flaskware_core-1.tar.gz", ""),
        "are built",
    ),
    "test_the_devcontainer_has_the_services_of_the_matrix": (
        edit(".devcontainer/compose.yml", "postgres:", "postgres:1"),
        "in matrix.toml",
    ),
    "test_actions_are_pinned_by_commit": (
        write(".github/workflows/new.yml", "- uses: actions/checkout@v4 # v4.2.2"),
        "write the commit",
    ),
    "test_locked_requirements_have_hashes_and_no_addresses": (
        add("shared-config/requirements/core.txt", "\nflask==3.1.3\n"),
        "has no hash of ['flask==3.1.3']",
    ),
    "test_one_version_of_everything_is_locked": (
        add("shared-config/requirements/core.txt", "\nclick==1.0\n"),
        "nox -s lock",
    ),
    "test_every_project_has_locked_requirements": (
        remove("shared-config/requirements/session.txt"),
        "run `nox -s lock`",
    ),
    "test_no_file_names_the_folder_beside_the_checkout": (
        add("SECURITY.md", "\nSee ../" + "shared.\n"),
        "say what it says instead",
    ),
    "test_no_registry_is_named": (
        add("SECURITY.md", "\nhttps://py" + "pi.org\n"),
        "for each machine's own settings",
    ),
    "test_workflows_call_nothing_but_nox": (
        write(".github/workflows/new.yml", "jobs:\n      - run: pytest\n"),
        "make it a nox session",
    ),
    "test_the_tag_of_every_distribution_publishes_it": (
        edit(".github/workflows/publish.yml", 'tags: ["flaskware/*", ', "tags: ["),
        "add a pattern for it",
    ),
    "test_the_top_of_a_package_holds_the_standard_files": (
        write(f"{HOME}/examples/one.py", ""),
        "move it into src/, tests/, docs/",
    ),
    "test_the_source_has_the_standard_modules": (
        remove(f"{SOURCE}/py.typed"),
        "add them",
    ),
    "test_public_modules_are_only_the_standard_ones": (
        write(f"{SOURCE}/helpers.py", ""),
        "name a module _<noun>.py",
    ),
    "test_the_tests_cover_what_every_package_has": (
        remove(f"{HOME}/tests/test_multi_app.py"),
        "the template has them",
    ),
    "test_the_docs_have_the_standard_pages": (
        remove(f"{HOME}/docs/moving.md"),
        "the template has them",
    ),
    "test_a_page_is_of_one_of_the_four_kinds": (
        write("packages/core/docs/guide.md", "# Guide\n"),
        "goes into how-to/",
    ),
    "test_the_index_lists_every_page_of_a_kind": (
        edit("packages/core/docs/index.md", "how-to/*", "how-to/write-an-extension"),
        "to a toctree with :glob:",
    ),
    "test_a_page_has_a_title_that_says_its_kind": (
        write("packages/core/docs/how-to/use.md", "# Using the doctor\n"),
        "is not a task; begin with a verb",
    ),
    "test_a_page_takes_a_few_minutes": (
        write("packages/core/docs/concepts/all.md", "# All\n\n" + "word " * 900),
        "split it",
    ),
    "test_the_licence_is_that_of_the_repository": (
        add(f"{HOME}/LICENSE.txt", "more\n"),
        "copy LICENSE.txt",
    ),
    "test_changelog_fragments_are_of_a_known_type": (
        write(f"{HOME}/changes/1.misc.md", "x"),
        "name a fragment",
    ),
    "test_the_changelog_has_the_place_where_releases_are_written": (
        write(f"{HOME}/CHANGES.md", "# Changes\n"),
        "where the next release goes",
    ),
    "test_the_root_holds_the_anatomy_and_rooms": (
        each(*(write(f"{SOURCE}/_{name}.py", "") for name in "abcd")),
        "move it into a room",
    ),
    "test_a_room_holds_neither_one_module_nor_too_many": (
        each(
            write(f"{SOURCE}/_limits/__init__.py", ""),
            write(f"{SOURCE}/_limits/limit.py", ""),
        ),
        "add what belongs to it, or merge it into another room",
    ),
    "test_a_module_is_neither_a_crumb_nor_too_long": (
        add(f"{SOURCE}/_settings.py", "\n" * 801),
        "divide it by its nouns",
    ),
    "test_no_class_is_cut_in_halves": (
        each(
            write(f"{SOURCE}/_half.py", "class Half: ...\n"),
            add(f"{SOURCE}/_settings.py", "\n\nclass Whole(Half): ...\n"),
        ),
        "write it into Whole",
    ),
    "test_imports_point_down_in_the_order_of_the_package": (
        write(f"{SOURCE}/_extension.py", '"""Sessions."""\n'),
        "end its docstring with the order of the package",
    ),
    "test_no_module_imports_itself_through_others": (
        add(
            f"{SOURCE}/_settings.py",
            "\n\ndef late():\n    from ._extension import Session\n",
        ),
        "move what they share into a module below them",
    ),
    "test_an_import_that_leaves_a_room_shows": (
        write(f"{SOURCE}/_records/stray.py", "from .._errors import StoreError\n"),
        "write the whole name",
    ),
    "test_modules_are_named_by_nouns": (
        write(f"{SOURCE}/_records/shuffling.py", ""),
        "name it by the noun that it is about",
    ),
    "test_each_idea_has_one_home": (
        add(f"{SOURCE}/_settings.py", "\nimport difflib\n"),
        "use what flaskware_core offers for closest names",
    ),
    "test_private_attributes_of_others_are_refused": (
        edit("shared-config/ruff.toml", '"SLF001", "SLOT"', '"SLOT"'),
        "select SLF001",
    ),
    "test_a_waiver_for_a_private_attribute_has_a_reason": (
        add(f"{SOURCE}/_settings.py", "\nx._y  # noqa: " + "SLF001\n"),
        "write a comment above with the reason",
    ),
    "test_waivers_for_private_attributes_are_few": (
        add(f"{SOURCE}/_settings.py", "" + "\nx._y  # noqa: SLF001" * 26),
        "give the object a public verb",
    ),
}


RULES = {
    node.name: path.name
    for path in (ROOT / "tools" / "layout").glob("test_*.py")
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    root = tmp_path_factory.mktemp("copy")
    copy_tree(ROOT, root)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "first")
    return root


@pytest.fixture
def tree(copy):
    """A copy of the repository; what a test does to it is undone."""
    yield copy
    git(copy, "reset", "-q", "--hard")


def check(root, rule):
    """Run one rule in a copy of the repository."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", "shared-config/pytest.ini"),
            *("--rootdir=tools", "-p", "no:flaskware"),
            f"tools/layout/{RULES[rule]}::{rule}",
        ],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "tools/src")},
        capture_output=True,
        text=True,
    )


def test_every_rule_has_a_tree_that_breaks_it():
    assert sorted(RULES) == sorted(BAD)


@pytest.mark.slow
@pytest.mark.parametrize("rule", BAD)
def test_a_tree_that_breaks_it_is_found_by(tree, rule):
    change, said = BAD[rule]
    change(tree)
    git(tree, "add", "-A")
    done = check(tree, rule)
    assert done.returncode == 1, done.stdout
    # pytest folds a message where it is long
    words = " ".join(line.removeprefix("E").strip() for line in done.stdout.split("\n"))
    assert said in " ".join(words.split())
