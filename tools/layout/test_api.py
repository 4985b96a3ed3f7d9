"""What a package exports is all of its API, documented, and imports what it may."""

from __future__ import annotations

import ast
import sys

import griffe

from flaskware_tools import exports
from flaskware_tools.matrix import packages
from flaskware_tools.matrix import ROOT


def top_level(package):
    return ast.parse((package.source / "__init__.py").read_text("utf-8")).body


def exported(package):
    for node in top_level(package):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return []


def imports(path):
    """Each module a file imports, and whether it does so only where it is needed."""
    tree = ast.parse(path.read_text("utf-8"))
    at_import = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module, id(node) not in at_import
        elif isinstance(node, ast.Import):
            yield from ((alias.name, id(node) not in at_import) for alias in node.names)


def names_by_module(body):
    """What a list of statements imports from the package itself."""
    found = {}
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.level:
            names = [alias.asname or alias.name for alias in node.names]
            found.setdefault(node.module, []).extend(names)
    return found


def waiting(package):
    """Its ``if t.TYPE_CHECKING:``, the one place for what is imported when used."""
    nodes = [node for node in top_level(package) if isinstance(node, ast.If)]
    return nodes[0] if nodes else ast.If(ast.Constant(None), [], [])


def test_init_only_exports(package):
    kinds = [type(node).__name__ for node in top_level(package)]
    assert {*kinds} <= {"Expr", "Import", "ImportFrom", "Assign", "If"}, (
        f"{package.module}/__init__.py does more than import and list __all__: move it"
        " into a module _<noun>.py"
    )
    assert kinds.count("If") <= 1, f"{package.module}/__init__.py: one `if` is enough"
    statements = [*top_level(package), *waiting(package).body]
    imported = set().union(*names_by_module(statements).values())
    assert imported == set(exported(package)), (
        f"{package.module}/__init__.py: __all__ and what it imports differ by"
        f" {sorted(imported ^ set(exported(package)))}: list each in both"
    )


def test_what_waits_is_what_type_checkers_read(package):
    node = waiting(package)
    if not node.body:
        return
    assert ast.unparse(node.test) == "t.TYPE_CHECKING"
    assert not exports.is_stale(package.source), (
        f"{package.module}/__init__.py: its table of lazy names is not what it imports"
        " under t.TYPE_CHECKING: run `nox -s layout -- --fix`"
    )


def test_every_public_name_has_a_docstring(package):
    module = griffe.load(package.module, search_paths=[package.source.parent])
    bare = []
    for name in exported(package):
        item = module[name]
        item = item.final_target if item.is_alias else item
        if item.is_attribute:
            continue  # a type alias
        members = [
            member
            for member in item.members.values()
            if item.is_class and member.is_function and not member.name.startswith("_")
        ]
        bare += [part.path for part in (item, *members) if not _documented(part, item)]
    assert not bare, f"write a docstring for {bare}"


def _documented(part, owner):
    if part.has_docstring or part.overloads if part.is_function else part.has_docstring:
        return True
    # An override is documented where it is declared first.
    return part is not owner and any(
        part.name in base.members for base in owner.mro() if owner.is_class
    )


def test_every_public_name_is_in_the_api_page(package):
    page = (package.folder / "docs" / "api.md").read_text("utf-8")
    missing = [name for name in exported(package) if name not in page]
    assert not missing, f"packages/{package.name}/docs/api.md lacks {missing}: add them"


def test_every_public_name_is_used_in_the_typing_tests(package):
    text = (package.folder / "tests" / "typing" / "api.py").read_text("utf-8")
    missing = [name for name in exported(package) if name not in text]
    assert not missing, (
        f"packages/{package.name}/tests/typing/api.py lacks {missing}: use each as a"
        " user would, with assert_type"
    )


def test_siblings_are_imported_only_as_allowed(package):
    always = {package.module, *(f"flaskware_{name}" for name in package.always)}
    extra = {f"flaskware_{name}" for name in package.extra}
    for path in package.source.rglob("*.py"):
        for module, is_late in imports(path):
            top = module.partition(".")[0]
            if not top.startswith("flaskware_") or top in always:
                continue
            assert top in extra, (
                f"{path.name} imports {top}: matrix.toml lists neither in `always` nor"
                f" in `extra` of packages.{package.name} what this package may import"
            )
            assert is_late, (
                f"{path.name} imports {top}, an extra, at its top: import it in the"
                " function that needs it"
            )


def test_what_is_imported_is_declared(package):
    """A rough twin of the isolated tests: it names the module, at once."""
    import re

    declared = " ".join(package.requirements).replace("-", "_").lower()
    known = {"PIL": "pillow", "pydantic_core": "pydantic"}
    for path in package.source.rglob("*.py"):
        for module, is_late in imports(path):
            top = module.partition(".")[0]
            if top in sys.stdlib_module_names or top.startswith("flaskware_"):
                continue
            if is_late or "testing" in path.with_suffix("").parts:
                continue  # optional, by an extra or what a test has installed
            if path.parent.name == "migrations":
                continue  # run only by Alembic, which is there then
            if path.stem == f"in_{top}":
                continue  # imported late, where an app of the framework exists
            wanted = known.get(top, top).lower()
            assert re.search(rf"\b{wanted}\b", declared), (
                f"{path.name} imports {top}, which {package.distribution} does not"
                " declare: add it to dependencies, or to an extra and import it late"
            )


def test_no_private_module_is_public_by_accident(package):
    assert exported(package), f"{package.module}/__init__.py lacks __all__: write it"
    private = [name for name in exported(package) if name.startswith("_")]
    assert not private, f"{package.module} exports {private}: rename or leave them out"


# By Flask's changelog for 3.2.0, which merges the two kinds of contexts; `__version__`
# is gone. A subclass of Flask overrides methods whose signatures change.
GONE_WITH_FLASK_3_2 = {
    "RequestContext", "request_ctx", "should_ignore_error", "_request_ctx_stack",
    "_app_ctx_stack", "_cv_request", "flask.__version__",
}  # fmt: skip


def test_nothing_that_flask_deprecates_is_used(package):
    for path in (*package.source.rglob("*.py"), *package.folder.glob("tests/*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = {getattr(node, "id", None), getattr(node, "attr", None)}
            if isinstance(node, ast.Attribute):
                if ast.unparse(node).startswith("quart"):
                    continue  # Quart keeps both kinds
                names.add(ast.unparse(node))
            if isinstance(node, ast.ImportFrom):
                names |= {alias.name for alias in node.names}
            used = names & GONE_WITH_FLASK_3_2
            assert not used, (
                f"{path.name} uses {used}: Flask 3.2 deprecates or drops it"
            )
            bases = getattr(node, "bases", [])
            assert not {"Flask", "flask.Flask"} & set(map(ast.unparse, bases)), (
                f"{path.name} subclasses Flask: use its hooks, which stay as they are"
            )


def test_what_a_package_needs_is_listed_before_it(package):
    """So there is no cycle either: of two that need each other, one comes first."""
    names = list(packages(ROOT))
    late = [
        name
        for name in package.siblings
        if names.index(name) >= names.index(package.name)
    ]
    assert not late, (
        f"matrix.toml lists {late} after {package.name}, which needs them: put them"
        " first; if they need it too, move what they share to core"
    )
