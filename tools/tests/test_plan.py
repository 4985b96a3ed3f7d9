from __future__ import annotations

import ast
import json
import re

import pytest

from flaskware_tools import plan
from flaskware_tools.matrix import packages
from flaskware_tools.matrix import read_matrix
from flaskware_tools.matrix import ROOT

PYTHONS = read_matrix()["python"]["versions"]


def test_each_project_is_tested_on_each_python():
    names = [*packages(), *plan.OTHERS]
    found = {(job["name"], job["python"]) for job in plan.jobs(names)}
    assert found == {(name, python) for name in names for python in PYTHONS}


def test_the_services_of_a_job_are_those_that_its_tests_name():
    (job,) = (
        job
        for job in plan.jobs(["sqlalchemy"])
        if (job["session"], job["python"], job["os"])
        == ("tests", PYTHONS[1], plan.LINUX)
    )
    version = read_matrix()["services"]["postgresql"][0]
    assert job["postgresql"] == f"postgres:{version}"
    assert job["memcached"] == ""
    assert job["arguments"] == "--require-services"
    assert plan.services_of(packages()["core"].folder) == [*read_matrix()["services"]]


def test_a_system_without_containers_may_skip_what_it_cannot_have():
    jobs = [job for job in plan.jobs(["session"]) if job["os"] != plan.LINUX]
    assert {job["os"] for job in jobs} == {"macos-latest", "windows-latest"}
    for job in jobs:
        assert job["arguments"] == job["redis"] == job["postgresql"] == ""


def test_the_lowest_versions_are_tested_with_every_change():
    found = [job for job in plan.jobs(["core"]) if job["session"] == "tests_min"]
    assert [job["python"] for job in found] == [PYTHONS[0]]


def test_a_night_adds_prereleases_and_each_other_version_of_a_service():
    day, night = plan.jobs(["session"]), plan.jobs(["session"], nightly=True)
    more = [job for job in night if job not in day]
    assert "tests_pre" in {job["session"] for job in more}
    matrix = read_matrix()
    images = {job["redis"] for job in more}
    assert {f"redis:{version}" for version in matrix["services"]["redis"]} <= images
    assert set(matrix["instead"]["redis"]) <= images


def test_a_plan_is_one_line_that_a_workflow_reads(tmp_path, capsys):
    output = tmp_path / "output"
    plan.main(["--base", "", "--output", str(output)], ("lint", "demo -- --check"))
    printed = capsys.readouterr().out
    checks = 'checks=["lint", "demo -- --check"]\n'
    assert output.read_text() == f"matrix={printed}{checks}"
    jobs = json.loads(printed)["include"]
    assert {job["name"] for job in jobs} == {*packages(), *plan.OTHERS}


def test_a_matrix_stays_below_what_github_allows():
    assert len(plan.jobs([*packages(), *plan.OTHERS], nightly=True)) <= 256


def test_every_project_that_is_no_package_has_tests():
    for folder in plan.OTHERS.values():
        assert (ROOT / folder / "tests").is_dir()


def test_a_service_without_an_image_is_found_at_once(tmp_path):
    config = tmp_path / "shared-config"
    config.mkdir()
    (config / "matrix.toml").write_text(
        '[python]\nversions = ["3.11"]\n[packages]\n[services]\nsolr = ["9"]\n'
        "[images]\n[instead]\n"
    )
    tests = tmp_path / "tools" / "tests"
    tests.mkdir(parents=True)
    (tests / "test_it.py").write_text("def test_it(solr_url): ...")
    with pytest.raises(KeyError, match="solr"):
        plan.jobs(["tools"], root=tmp_path)


def noxfile():
    return ast.parse((ROOT / "noxfile.py").read_text("utf-8")).body


def checks():
    """The list of checks in the noxfile."""
    (value,) = (
        node.value
        for node in noxfile()
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CHECKS"
    )
    return ast.literal_eval(value)


def test_each_check_is_a_session():
    sessions = {node.name for node in noxfile() if isinstance(node, ast.FunctionDef)}
    assert {check.split()[0] for check in checks()} <= sessions


@pytest.mark.parametrize("name", [".ci/run", ".github/workflows/ci.yml"])
def test_ci_takes_its_checks_from_the_noxfile_alone(name):
    text = (ROOT / name).read_text("utf-8")
    called = {
        word
        for line in re.findall(r"nox -s ([^#\n]+)", text)
        for word in line.partition(" -- ")[0].split()
    }
    repeated = called & {check.split()[0] for check in checks()}
    assert not repeated, f"{name} repeats {repeated}: list checks in CHECKS alone"
    assert called <= {"ci", "plan", "tests", "${CHECK}", '"${SESSION}"'}


def test_the_last_of_the_local_ci_is_the_test_command_of_the_readme():
    *_, last = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    command = last.removesuffix(" -- --require-services").replace(
        "install -q", "install"
    )
    assert last.endswith(" -- --require-services")
    assert f"\n{command}\n" in (ROOT / "README.md").read_text("utf-8")
