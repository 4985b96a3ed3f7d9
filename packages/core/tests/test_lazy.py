import sys
import textwrap

import pytest


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with one name that is there at once, and two that wait."""
    folder = tmp_path / "lazy_example"
    folder.mkdir()
    (folder / "_seldom.py").write_text("class Seldom: ...\nclass Rare: ...\n")
    (folder / "__init__.py").write_text(
        textwrap.dedent("""\
            from flaskware_core import lazy_names
            __getattr__, __dir__ = lazy_names(__name__, {"_seldom": ["Seldom", "Rare"]})
            __all__ = ["Rare", "Seldom"]
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__("lazy_example")
    for name in ("lazy_example", "lazy_example._seldom"):
        sys.modules.pop(name, None)


def test_the_module_is_imported_at_the_first_use_of_a_name(package):
    assert "lazy_example._seldom" not in sys.modules
    assert package.Seldom is sys.modules["lazy_example._seldom"].Seldom


def test_a_name_is_looked_for_once(package):
    assert "Seldom" not in vars(package)
    found = package.Seldom
    assert vars(package)["Seldom"] is found


def test_a_waiting_name_can_be_imported(package):
    from lazy_example import Rare

    assert Rare is package.Rare


def test_a_star_imports_what_waits(package):
    scope = {}
    exec("from lazy_example import *", scope)
    assert scope["Seldom"] is package.Seldom


def test_the_waiting_names_are_listed_with_the_others(package):
    assert {"Rare", "Seldom", "lazy_names", "__name__"} <= set(dir(package))


def test_an_unknown_name_is_refused_as_by_any_module(package):
    with pytest.raises(AttributeError, match="no attribute 'Selodm'"):
        package.Selodm  # noqa: B018
    assert not hasattr(package, "_seldom")
