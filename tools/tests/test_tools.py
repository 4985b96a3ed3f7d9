from __future__ import annotations

from flaskware_tools import examples
from flaskware_tools import tables
from flaskware_tools.build import readme_example
from flaskware_tools.matrix import changed
from flaskware_tools.matrix import closure
from flaskware_tools.matrix import git
from flaskware_tools.matrix import packages


def commit(root, message):
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)


def test_what_a_package_needs_comes_before_it():
    assert closure("core") == ["core"]
    for name in packages():
        assert closure(name)[0] == "core"
        assert closure(name)[-1] == name


def test_a_change_names_its_package_and_those_that_depend_on_it(repository):
    git(repository, "checkout", "-q", "-b", "change")
    (repository / "packages/session/README.md").write_text("changed")
    commit(repository, "second")
    assert changed("main", repository) == ["session"]
    (repository / "packages/core/README.md").write_text("changed")
    commit(repository, "third")
    assert changed("main", repository) == list(packages())


def test_a_change_of_prose_at_the_top_names_none(repository):
    git(repository, "checkout", "-q", "-b", "change")
    (repository / "README.md").write_text("changed")
    commit(repository, "second")
    assert changed("main", repository) == []
    (repository / "noxfile.py").write_text("changed")
    commit(repository, "third")
    assert changed("main", repository) == list(packages())


def test_a_table_that_is_stale_is_found(repository):
    assert tables.stale(repository) == []
    readme = repository / "README.md"
    readme.write_text(readme.read_text().replace("| wraps |", "| WRAPS |"))
    assert tables.stale(repository) == ["README.md"]
    readme.write_text(tables.generate(readme.read_text(), repository))
    assert tables.stale(repository) == []


def test_each_readme_has_an_example():
    for package in packages().values():
        compile(readme_example(package), package.name, "exec")


def test_the_examples_of_a_page_are_one_script_on_their_own_lines():
    page = (
        "# Page\n\n<!-- setup\na = 1\n-->\n\n```python\nb = a + 1\n```\n\n"
        "<!-- not run: needs a server -->\n```python\nc = nowhere\n```\n"
    )
    assert examples.script(page).split() == ["a", "=", "1", "b", "=", "a", "+", "1"]
    assert examples.script(page).splitlines()[7] == "b = a + 1"


def test_an_example_that_fails_is_told_with_its_line(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nassert 1 == 2\n```\n")
    assert "line 4" in (examples.run(page) or "")
    page.write_text("```python\n1 +\n```\n")
    assert "line 2" in (examples.run(page) or "")
    page.write_text("```python\n1 + 1\n```\n")
    assert examples.run(page) is None
