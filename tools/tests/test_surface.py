from __future__ import annotations

import pytest

from flaskware_tools import api
from flaskware_tools.matrix import git
from flaskware_tools.matrix import packages
from flaskware_tools.surface import surface

INIT = """\
from ._thing import Thing as Thing
from ._thing import Choice as Choice
from ._thing import find as find

__all__ = ["Choice", "Thing", "find"]
"""
THING = '''\
from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import enum
import functools
import typing as t


class Choice(enum.Enum):
    FIRST = 1


class _Half(t.Generic[t.T]):
    limit: int = 3

    def inherited(self) -> Choice: ...


@dc.dataclass(frozen=True)
class Thing(_Half[int], cabc.Sized):
    """Its words are no part of it."""

    name: str
    _hidden: int = 0

    @property
    def size(self) -> int: ...

    @functools.lru_cache
    async def wait(self, a, /, *rest: str, b: int = 2, **more: object) -> None: ...

    def keywords(self, *, only: bool = False) -> None: ...

    def __len__(self) -> int: ...

    def _private(self) -> None: ...


@t.overload
def find(name: str) -> Thing: ...
@t.overload
def find(name: None) -> None: ...
def find(name: str | None) -> Thing | None: ...


def described(*, description: str = "") -> None: ...
'''
TESTING = """\
from ._thing import find

__all__ = ["LIMIT", "find"]

LIMIT = make(1, description="words", largest=2)
"""
EXPECTED = """\
flaskware_core.Choice.FIRST: attribute = 1
flaskware_core.Choice: class(enum.Enum)
flaskware_core.Thing.__init__(self, name: str, _hidden: int = 0) -> None: function
flaskware_core.Thing.__len__(self) -> int: function
flaskware_core.Thing.inherited(self) -> Choice: function
flaskware_core.Thing.keywords(self, *, only: bool = False) -> None: function
flaskware_core.Thing.limit: attribute int = 3
flaskware_core.Thing.name: attribute str
flaskware_core.Thing.size: property int
flaskware_core.Thing.wait(self, a, /, *rest: str, b: int = 2, **more: object) -> None:\
 async function @functools.lru_cache
flaskware_core.Thing: class(typing.Generic[typing.T], collections.abc.Sized)\
 @dataclasses.dataclass(frozen=True)
flaskware_core.find(name: None) -> None: function
flaskware_core.find(name: str) -> Thing: function
flaskware_core.testing.LIMIT: attribute = make(1, largest=2)
flaskware_core.testing.find(name: None) -> None: function
flaskware_core.testing.find(name: str) -> Thing: function
"""


@pytest.fixture
def root(tmp_path):
    """A repository with one small package, committed."""
    root = tmp_path / "repository"
    source = root / "packages" / "core" / "src" / "flaskware_core"
    source.mkdir(parents=True)
    (root / "shared-config").mkdir()
    (root / "shared-config" / "matrix.toml").write_text(
        '[packages.core]\nsummary = ""\nwraps = ""\n'
    )
    (root / "packages" / "core" / "pyproject.toml").write_text(
        '[project]\nversion = "0.1.0"\ndependencies = []\n'
    )
    (source / "__init__.py").write_text(INIT)
    (source / "_thing.py").write_text(THING)
    (source / "testing.py").write_text(TESTING)
    git(root, "init", "-q")
    git(root, "add", "-A")
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    git(root, *identity, "commit", "-q", "-m", "first")
    return root


def test_a_surface_has_each_public_name_with_its_signature_and_value(root):
    assert "\n".join(surface("core", root)) + "\n" == EXPECTED


def test_a_private_module_can_move_without_a_difference(root):
    package = packages(root)["core"]
    room = package.source / "_things"
    room.mkdir()
    (room / "__init__.py").touch()
    (package.source / "_thing.py").rename(room / "thing.py")
    for name in ("__init__.py", "testing.py"):
        path = package.source / name
        path.write_text(path.read_text().replace("._thing", "._things.thing"))
    assert api.differences(package, "HEAD") == []


def test_a_function_hides_the_submodule_that_it_is_imported_from(root):
    package = packages(root)["core"]
    testing = package.source / "testing"
    testing.mkdir()
    (package.source / "testing.py").rename(testing / "find.py")
    path = testing / "find.py"
    path.write_text(path.read_text().replace("from ._thing", "from .._thing"))
    (testing / "__init__.py").write_text(
        "from .find import LIMIT as LIMIT\nfrom .find import find as find\n\n"
        '__all__ = ["LIMIT", "find"]\n'
    )
    assert api.differences(package, "HEAD") == []


def test_a_private_base_can_be_merged_into_its_class(root):
    package = packages(root)["core"]
    path = package.source / "_thing.py"
    text = path.read_text().replace("class _Half(t.Generic[t.T]):", "class _Half:")
    path.write_text(text.replace("_Half[int], ", "t.Generic[t.T], "))
    changed = api.differences(package, "HEAD")
    assert {line[:1] for line in changed} == {"-"}
    assert {line.partition(":")[0].rpartition(".")[2] for line in changed} == {
        "limit", "inherited(self) -> Choice",
    }  # fmt: skip


def test_a_signature_that_changed_is_printed(root, capsys, monkeypatch):
    path = packages(root)["core"].source / "_thing.py"
    path.write_text(path.read_text().replace("only: bool", "only: int"))
    monkeypatch.setattr(api, "packages", lambda: packages(root))
    monkeypatch.setattr("sys.argv", ["api", "core", "--against", "HEAD"])
    api.main()
    line = "flaskware_core.Thing.keywords(self, *, only: {} = False) -> None: function"
    assert capsys.readouterr().out == (
        "flaskware-core: 2 lines differ from HEAD\n"
        f"    -{line.format('bool')}\n    +{line.format('int')}\n"
    )


def test_the_surface_of_a_package_is_printed(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["api", "session", "--dump"])
    api.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines == sorted(set(lines))
    names = api.public_names(packages()["session"])
    missing = [
        name
        for name in names
        if not any(line.startswith(f"flaskware_session.{name}") for line in lines)
    ]
    assert not missing
