"""The metadata of every package agree with matrix.toml and with each other."""

from __future__ import annotations

from packaging.requirements import Requirement

from flaskware_tools.matrix import read_matrix
from flaskware_tools.matrix import read_toml
from flaskware_tools.matrix import ROOT

MATRIX = read_matrix()
PYTHONS = MATRIX["python"]["versions"]


def requirements(package):
    return [Requirement(text) for text in package.requirements]


def test_names_and_licence_are_standard(package):
    project = package.project["project"]
    assert project["name"] == package.distribution
    assert project["license"] == "BSD-3-Clause"
    assert project["license-files"] == ["LICENSE.txt"]
    assert project["readme"] == "README.md"
    assert project["description"].lower() == package.summary.lower(), (
        "description in pyproject.toml and summary in matrix.toml differ"
    )


def test_the_pythons_are_those_of_the_matrix(package):
    project = package.project["project"]
    assert project["requires-python"] == f">={PYTHONS[0]}"
    listed = [
        item.rpartition(" ")[2]
        for item in project["classifiers"]
        if item.startswith("Programming Language :: Python :: 3.")
    ]
    assert listed == PYTHONS, "the classifiers list other Pythons than matrix.toml"
    assert "Typing :: Typed" in project["classifiers"]
    assert "Framework :: Flask" in project["classifiers"]


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
    assert always == set(package.always)
    assert set(package.siblings) <= {*package.always, *package.extra}


def test_tools_are_configured_in_one_place_only(package):
    tools = set(package.project.get("tool", {}))
    assert tools <= {"flit"}, (
        f"packages/{package.name}/pyproject.toml configures {sorted(tools - {'flit'})}:"
        " that belongs to shared-config/"
    )
    assert set(read_toml(ROOT / "pyproject.toml")["tool"]) == {"uv"}


def test_the_sdist_has_the_tests_and_docs(package):
    included = package.project["tool"]["flit"]["sdist"]["include"]
    assert {"tests/", "docs/", "CHANGES.md"} <= set(included)


def test_every_member_is_in_the_workspace(package):
    sources = read_toml(ROOT / "pyproject.toml")["tool"]["uv"]["sources"]
    assert sources.get(package.distribution) == {"workspace": True}
