from __future__ import annotations

import ast

import pytest

from flaskware_tools import modules
from flaskware_tools import privates
from flaskware_tools import structure
from flaskware_tools.matrix import git


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("x._y", 1),
        ("x._y = x._z", 2),
        ("self._y, cls._y, super()._y, self.__class__._y", 0),
        ("x.__doc__, x._replace(), sys._getframe()", 1),
        ("type(self)._y", 1),
        ("class A:\n    def f(self):\n        return A._y", 0),
        ("class A:\n    def f(self):\n        a = A()\n        return a._y", 0),
        ("class A:\n    def f(self, a: A):\n        return a._y", 1),
        ("class A:\n    def __eq__(self, a: A):\n        return a._y", 0),
        ("def f(a: A):\n    return a._y", 1),
    ],
)
def test_private_accesses_are_counted_as_ruff_does(text, count):
    assert len(privates.accesses(ast.parse(text))) == count


def test_a_package_is_measured(tmp_path):
    for name, text in {
        "__init__.py": "from ._extension import Mail\n",
        "_extension.py": "from ._a.x import X  # a reason\n\nx = X._y  # noqa: S101\n",
        "_a/__init__.py": "",
        "_a/x.py": 'def f():\n    """One.\n\n    Two.\n    """\n    from .y import Y\n',
        "_a/y.py": "from .x import X\n",
        "migrations/first.py": "x = 1\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert structure.measure(modules.read(tmp_path)).rows() == {
        "lines": "11",
        "modules": "5",
        "rooms": "1",
        "modules in the biggest folder": "3",
        "foreign private accesses": "1",
        "… per 1,000 lines": "90.9",
        "modules to know (median / most)": "2 / 2",
        "module lines (median / most)": "3 / 6",
        "function lines (median / most)": "6 / 6",
        "import cycles at run time": "1",
        "docstring lines (median)": "4",
        "comment lines": "9.1 %",
    }


def test_a_revision_is_measured_as_it_was(repository, capsys):
    before = structure.table(repository)
    module = repository / "packages/core/src/flaskware_core/_extension.py"
    module.write_text(module.read_text() + "\n" * 5000)
    assert structure.table(repository) != before
    assert structure.table_of("HEAD", repository) == before
    git(repository, "checkout", "-q", ".")
    assert structure.table(repository) == before
    structure.main([])
    assert "modules to know" in capsys.readouterr().out
