"""The metadata of every package agree with matrix.toml and with each other."""

from __future__ import annotations

import tomllib

import pytest
from packaging.requirements import Requirement

from flaskware_tools.matrix import distributions
from flaskware_tools.matrix import Package
from flaskware_tools.matrix import read_matrix
from flaskware_tools.matrix import read_toml
from flaskware_tools.matrix import ROOT

MATRIX = read_matrix()
PYTHONS = MATRIX["python"]["versions"]


@pytest.fixture(params=list(distributions().values()), ids=lambda item: item.name)
def package(request: pytest.FixtureRequest) -> Package:
    """Each distribution in turn: the extensions, and what starts an app."""
    found: Package = request.param
    return found


def where(package):
    return (package.folder / "pyproject.toml").relative_to(ROOT)


def requirements(package):
    return [Requirement(text) for text in package.requirements]


def test_names_and_licence_are_standard(package):
    project = package.project["project"]
    wanted = {
        "name": package.distribution,
        "license": "BSD-3-Clause",
        "license-files": ["LICENSE.txt"],
        "readme": "README.md",
    }
    for key, value in wanted.items():
        assert project.get(key) == value, f"{where(package)}: write {key} = {value!r}"


def test_the_description_is_the_summary_of_the_matrix(package):
    description = package.project["project"]["description"]
    assert description.lower() == package.summary.lower(), (
        f"{where(package)}: description = {description!r}, but"
        f" matrix.toml says {package.summary!r}: change one of them"
    )


def test_everything_that_an_index_shows_is_said(package):
    project = package.project["project"]
    missing = {"authors", "keywords", "classifiers", "version"} - set(project)
    assert not missing, f"{where(package)} lacks {missing}: add"


def test_the_pythons_are_those_of_the_matrix(package):
    project = package.project["project"]
    assert project["requires-python"] == f">={PYTHONS[0]}", (
        f'{where(package)}: requires-python = ">={PYTHONS[0]}",'
        " the lowest of matrix.toml"
    )
    listed = [
        item.rpartition(" ")[2]
        for item in project["classifiers"]
        if item.startswith("Programming Language :: Python :: 3.")
    ]
    assert listed == PYTHONS, (
        f"{where(package)}: its classifiers list the Pythons"
        f" {listed}, matrix.toml {PYTHONS}: list the same"
    )
    lacking = {"Typing :: Typed", "Framework :: Flask"} - set(project["classifiers"])
    assert not lacking, f"add the classifiers {sorted(lacking)}"


def test_each_requirement_has_a_lower_bound_and_no_upper(package):
    for requirement in requirements(package):
        if requirement.name == package.distribution:
            continue  # an extra of itself
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators == {">="}, (
            f"{package.distribution} requires {requirement}: write a lower bound only"
        )


def test_lower_bounds_are_those_of_the_matrix(package):
    for requirement in requirements(package):
        if requirement.name.startswith("flaskware-"):
            continue
        (specifier,) = requirement.specifier
        assert specifier.version == MATRIX["minimum"].get(requirement.name), (
            f"{package.distribution} requires {requirement}: the lowest version of"
            f" {requirement.name} is said in matrix.toml, [minimum]"
        )


def test_siblings_are_those_that_the_matrix_allows(package):
    project = package.project["project"]
    always = {
        requirement.name.removeprefix("flaskware-")
        for text in project["dependencies"]
        if (requirement := Requirement(text)).name.startswith("flaskware-")
    }
    assert always == set(package.always), (
        f"{where(package)} always requires the siblings"
        f" {sorted(always)}, matrix.toml says {sorted(package.always)}"
    )
    more = set(package.siblings) - {*package.always, *package.extra}
    assert not more, (
        f"{where(package)} has extras that require"
        f" {sorted(more)}: matrix.toml does not list them in its `extra`"
    )


def test_tools_are_configured_in_one_place_only(package):
    tools = set(package.project.get("tool", {}))
    assert tools <= {"flit"}, (
        f"{where(package)} configures {sorted(tools - {'flit'})}:"
        " that belongs to shared-config/"
    )


def test_the_workspace_configures_no_tool_but_uv():
    tools = set(read_toml(ROOT / "pyproject.toml")["tool"])
    assert tools == {"uv"}, (
        f"pyproject.toml configures {sorted(tools - {'uv'})}: move that to"
        " shared-config/"
    )


def test_the_sdist_has_the_tests_and_docs(package):
    included = package.project["tool"]["flit"]["sdist"]["include"]
    pages = {"docs/"} if (package.folder / "docs").exists() else set()
    missing = {"tests/", "CHANGES.md", *pages} - set(included)
    assert not missing, (
        f"{where(package)}: add {sorted(missing)} to include of [tool.flit.sdist]"
    )


def test_every_member_is_in_the_workspace(package):
    sources = read_toml(ROOT / "pyproject.toml")["tool"]["uv"]["sources"]
    assert sources.get(package.distribution) == {"workspace": True}, (
        f"pyproject.toml: add {package.distribution} = {{ workspace = true }} to"
        " [tool.uv.sources]"
    )


def test_each_requirement_of_a_group_has_a_lower_bound_and_no_upper(package):
    groups = [package.project, read_toml(ROOT / "pyproject.toml")]
    for text in (
        t for part in groups for g in part["dependency-groups"].values() for t in g
    ):
        operators = {specifier.operator for specifier in Requirement(text).specifier}
        assert operators == {">="}, (
            f"the dependency group's {text!r}: a lower bound only"
        )


def test_the_template_says_what_the_matrix_says():
    path = ROOT / "shared-config" / "template" / "pyproject.toml.in"
    project = tomllib.loads(path.read_text("utf-8"))["project"]
    listed = [
        item.rpartition(" ")[2]
        for item in project["classifiers"]
        if item.startswith("Programming Language :: Python :: 3.")
    ]
    assert (listed, project["requires-python"]) == (PYTHONS, f">={PYTHONS[0]}"), (
        f"{path.name} of the template lists the Pythons {listed}: list {PYTHONS}"
    )
    for text in project["dependencies"]:
        name, _, version = text.partition(">=")
        if not name.startswith("flaskware-"):
            assert version == MATRIX["minimum"][name], (
                f"{path.name} of the template requires {text}: matrix.toml, [minimum],"
                f" says {MATRIX['minimum'][name]}"
            )
