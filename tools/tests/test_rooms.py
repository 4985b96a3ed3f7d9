from __future__ import annotations

import shutil

import pytest

from flaskware_tools import exports
from flaskware_tools import modules
from flaskware_tools import rooms

LONG = "\n" * 60


@pytest.fixture
def package(tmp_path):
    """Write a package of these files, and read it."""

    def make(files):
        source = tmp_path / "flaskware_mail"
        shutil.rmtree(source, ignore_errors=True)
        for name, text in {"__init__.py": "", **files}.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            if path.parent != source and not (path.parent / "__init__.py").exists():
                (path.parent / "__init__.py").write_text("")
        return modules.read(source)

    return make


def found(package, rule):
    return [item.place for item in rooms.RULES[rule](package)]


def extension(order):
    return f'"""The extension.\n\nRooms: {order}\n"""\n'


def test_the_root_may_have_three_modules_of_the_domain(package):
    files = {f"_{name}.py": "" for name in ("settings", "errors", "a", "b", "c")}
    files["testing/__init__.py"] = files["_cli/commands.py"] = ""
    assert found(package(files), "root") == []
    assert found(package({**files, "_d.py": ""}), "root") == [
        "_a.py", "_b.py", "_c.py", "_d.py",
    ]  # fmt: skip


def test_the_folder_of_a_room_is_private(package):
    assert found(package({"rooms/a.py": ""}), "root") == ["rooms/"]
    assert found(package({"migrations/a.py": "", "templates/b.py": ""}), "root") == []


def test_a_room_has_two_modules_and_an_empty_init(package):
    assert found(package({"_a/one.py": ""}), "room") == ["_a/"]
    assert found(package({"_a/one.py": "", "_a/two.py": ""}), "room") == []
    assert found(package({f"_a/m{n}.py": "" for n in range(19)}), "room") == ["_a/"]
    files = {"_a/__init__.py": "x = 1", "_a/one.py": "", "_a/_two.py": ""}
    assert found(package(files), "room") == ["_a/__init__.py", "_a/_two.py"]


def test_a_room_without_an_init_is_found(package):
    made = package({"_a/one.py": "", "_a/two.py": ""})
    (made.source / "_a/__init__.py").unlink()
    assert found(modules.read(made.source), "room") == ["_a/"]


def test_rooms_nest_once(package):
    files = {f"_a/{path}{n}.py": "" for path in ("", "b/") for n in "xy"}
    assert found(package(files), "room") == []
    files |= {"_a/b/c/x.py": "", "_a/b/c/y.py": ""}
    assert found(package(files), "room") == ["_a/b/c/"]


def test_a_testing_package_may_export(package):
    files = {"testing/__init__.py": "x = 1", "testing/a.py": "", "testing/b.py": ""}
    assert found(package(files), "room") == []


def test_a_module_has_sixty_to_eight_hundred_lines(package):
    files = {"_settings.py": "", "_a.py": LONG, "_a/errors.py": "", "_b/x.py": "\n" * 9}
    assert found(package(files), "length") == ["_b/x.py"]
    files = {"_extension.py": "\n" * 801}
    assert found(package(files), "length") == ["_extension.py"]


def test_a_leaf_is_listed_only_while_it_is_short(package, monkeypatch):
    leaves = {f"flaskware_mail._b.{name}": "a leaf" for name in "xyz"}
    monkeypatch.setattr(rooms, "LEAVES", leaves)
    files = {"_b/x.py": "\n", "_b/y.py": LONG}
    assert found(package(files), "length") == ["_b.y", "_b.z"]


def test_a_base_that_is_only_half_of_a_class_is_found(package):
    files = {
        "_a.py": "class Half: ...\nclass Kind: ...\nclass Part: ...\n",
        "_b.py": "class Whole(Half): ...\n\nclass One(Kind): ...\nclass Two(Kind): ...",
        "_c.py": "class Three(Part): ...\n\n\ndef take(part: Part): ...\n",
    }
    assert found(package(files), "halves") == ["_a.py: Half"]
    files["__init__.py"] = "from ._a import Half as Half\n"
    assert found(package(files), "halves") == []


def test_a_package_states_its_order(package):
    files = {"_a/x.py": "", "_settings.py": "", "testing.py": ""}
    made = package({**files, "_extension.py": '"""None."""'})
    assert found(made, "order") == ["_extension.py"]
    made = package(
        {**files, "_extension.py": extension("_settings < _b <\n_extension")}
    )
    assert found(made, "order") == ["_extension.py: _a", "_extension.py: _b"]
    made = package({**files, "_extension.py": extension("_settings < _a < _extension")})
    assert found(made, "order") == []


@pytest.mark.parametrize(
    "text",
    [
        "from flaskware_mail._b.y import Y",
        "from flaskware_mail._b import y",
        "import flaskware_mail._b.y",
        "import typing as t\nif t.TYPE_CHECKING:\n    from .._b.y import Y",
        "def late():\n    from .._b.y import Y",
    ],
)
def test_an_import_that_points_up_is_found_at_any_time(package, text):
    order = extension("_a < _b < _extension")
    files = {"_extension.py": order, "_a/x.py": text, "_b/y.py": ""}
    assert found(package(files), "order") == ["_a/x.py imports _b.y"]
    files |= {"_extension.py": extension("_b < _a < _extension")}
    assert found(package(files), "order") == []


def test_nothing_imports_the_package_or_its_testing(package):
    files = {
        "_extension.py": extension("_a < _extension"),
        "_a/x.py": "from flaskware_mail import Mail\nfrom .. import testing\n",
        "testing.py": "from flaskware_mail import Mail\n",
    }
    assert found(package(files), "order") == [
        "_a/x.py imports __init__", "_a/x.py imports testing",
    ]  # fmt: skip


def test_commands_and_checks_may_name_the_type_of_the_extension(package):
    waiting = "import typing as t\nif t.TYPE_CHECKING:\n    from .{} import X\n"
    files = {
        "_extension.py": extension("_a < _checks < _b < _extension"),
        "_a.py": "",
        "_b.py": "",
        "_checks.py": waiting.format("_extension"),
    }
    assert found(package(files), "order") == []
    files["_checks.py"] = waiting.format("_b")
    assert found(package(files), "order") == ["_checks.py imports _b"]
    files["_checks.py"] = "from ._extension import X"
    assert found(package(files), "order") == ["_checks.py imports _extension"]


def test_a_cycle_is_found_in_functions_but_not_in_types(package):
    late = "def late():\n    from .y import Y\n"
    files = {"_a/x.py": late, "_a/y.py": "from .x import X\n"}
    assert found(package(files), "cycle") == ["_a.x _a.y"]
    files["_a/x.py"] = "import typing as t\nif t.TYPE_CHECKING:\n    from .y import Y\n"
    assert found(package(files), "cycle") == []


@pytest.mark.parametrize(
    ("place", "text", "is_right"),
    [
        ("_a/x.py", "from .y import Y", True),
        ("_a/x.py", "from flaskware_mail._a.y import Y", False),
        ("_a/x.py", "from flaskware_mail._b.z import Z", True),
        ("_a/x.py", "from flaskware_mail import _errors", True),
        ("_a/x.py", "from .._b.z import Z", False),
        ("_a/x.py", "from .. import _errors", False),
        ("_extension.py", "from ._a.y import Y", True),
        ("_extension.py", "from flaskware_mail._a.y import Y", False),
        ("_b/sub/w.py", "from flaskware_mail._b.z import Z", True),
        ("_b/sub/w.py", "from ..z import Z", False),
        ("_b/z.py", "from .sub.w import W", True),
        ("testing.py", "from flaskware_mail import Mail", True),
    ],
)
def test_imports_are_relative_inside_a_room_only(package, place, text, is_right):
    files = dict.fromkeys(
        ["_a/x.py", "_a/y.py", "_b/z.py", "_b/sub/w.py", "_errors.py"], ""
    )
    assert (found(package({**files, place: text}), "crossing") == []) == is_right


def test_modules_are_nouns_of_different_stems(package):
    files = {"_a/linting.py": "", "_a/finding.py": "", "_b/lint.py": ""}
    assert found(package(files), "noun") == ["_a/linting.py"]
    files = {"_c/record.py": "", "_c/records.py": "", "_c/record_text.py": ""}
    assert found(package(files), "noun") == ["_c: record records"]


def test_what_core_offers_is_used_from_there(package):
    text = (
        "import difflib\nimport os\nfrom os import getpid as pid\n"
        "def lock():\n    import fcntl\n    return x._get_current_object()\n"
    )
    assert found(package({"_a.py": text}), "home") == [
        f"_a.py: {word}" for word in rooms.IN_CORE if word != "msvcrt"
    ]


def test_loggers_are_of_one_tree(package):
    names = ['"flaskware"', '"flaskware.mail"', '"flaskware.mail.slow"']
    names += ['"flaskware_mail"', "__name__", '"flaskware.session"']
    text = "".join(f"logging.getLogger({name})\n" for name in names)
    assert found(package({"_a.py": text}), "home") == [
        "_a.py: logger flaskware_mail",
        "_a.py: logger __name__",
        "_a.py: logger flaskware.session",
    ]


def test_a_waiver_needs_a_reason_on_its_line_or_above(package):
    code = "    x._y,  # noqa: " + "SLF001"
    text = (
        f"(\n{code}\n)\n# SQLAlchemy has no public door.\n(\n{code}\n)\n"
        f"(\n{code}: SQLAlchemy has no public door\n)\n"
        f"def f():\n{code}\ndef g():\n    # It has none.\n    pass\n{code}\n"
    )
    waivers = list(rooms.waivers(package({"_a.py": text})))
    assert [item.has_reason for item in waivers] == [False, True, True, False, True]
    assert waivers[0].place == "_a.py:2"


def test_the_breaches_of_packages_are_listed(capsys):
    rooms.main(["core"])
    assert capsys.readouterr().out == ""


def test_the_table_of_lazy_names_is_made_from_the_imports(tmp_path):
    name = "AVeryLongNameOfAnErrorThatIsRaised"
    text = (
        '"""Mail."""\n\nimport typing as t\n\nfrom ._extension import Mail as Mail\n\n'
        "if t.TYPE_CHECKING:\n"
        "    from ._boxes.box import Box as Box\n"
        "    from ._boxes.box import Lid as Lid\n"
        f"    from ._errors import {name} as {name}\n"
        f"    from ._errors import {name}Too as {name}Too\n"
        "else:\n    __getattr__, __dir__ = lazy_names(__name__, {})\n\n"
        '__all__ = ["Box"]\n'
    )
    path = tmp_path / "__init__.py"
    path.write_text(text)
    assert exports.is_stale(tmp_path)
    assert exports.fix(tmp_path)
    assert not exports.fix(tmp_path)
    assert path.read_text() == text.replace(
        "lazy_names(__name__, {})\n",
        "lazy_names(\n        __name__,\n        {\n"
        '            "_boxes.box": ["Box", "Lid"],\n'
        '            "_errors": [\n'
        f'                "{name}",\n                "{name}Too",\n            ],\n'
        "        },\n    )\n",
    )
    path.write_text('"""Mail."""\n')
    assert not exports.is_stale(tmp_path)
