from __future__ import annotations

import dataclasses as dc
import json

import click
import pytest

from flaskware_core import Finding
from flaskware_core import FINDING_FORMATS
from flaskware_core import Level
from flaskware_core import render_findings

PLAIN = Finding("mail.down", Level.ERROR, "The server is down.", "Start it.")
PLACED = Finding(
    "drop-column",
    Level.WARNING,
    "drop column item.name",
    "# in a later release:\nop.drop_column('item', 'name')",
    reason="Older processes still read the column.",
    file="/srv/app/migrations/aa.py",
    line=8,
    lock="AccessExclusiveLock",
    can_fix=True,
)
WAIVED = dc.replace(PLACED, waiver="nobody reads it")


def text_of(*findings: Finding, width: int | None = None) -> str:
    return click.unstyle(render_findings(findings, unit="revision", width=width))


def sarif_of(*findings: Finding):
    log = json.loads(render_findings(findings, "sarif", tool="a checker"))
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    assert run["tool"]["driver"]["name"] == "a checker"
    return run["tool"]["driver"]["rules"], run["results"]


def test_a_finding_without_a_place_is_a_block_of_three_lines():
    assert text_of(PLAIN) == (
        "ERROR  mail.down\n  The server is down.\n  fix: Start it.\n\n1 error."
    )


def test_a_finding_without_a_place_shows_its_reason_too():
    lines = text_of(dc.replace(PLAIN, reason="No mail is sent.")).splitlines()
    assert lines[1:4] == [
        "  The server is down.",
        "  No mail is sent.",
        "  fix: Start it.",
    ]


def test_a_finding_with_a_place_shows_reason_and_code():
    head, *lines = text_of(PLACED).splitlines()
    assert head == (
        "/srv/app/migrations/aa.py:8: warning drop-column: drop column item.name"
        " (takes AccessExclusiveLock)"
    )
    assert lines == [
        "  Older processes still read the column.",
        "  Write (--fix does):",
        "    # in a later release:",
        "    op.drop_column('item', 'name')",
        "",
        "1 warning in 1 revision.",
    ]


def test_a_narrow_terminal_breaks_the_reason_and_never_the_code():
    long = dc.replace(PLACED, reason="word " * 30, fix="code " * 30)
    lines = text_of(long, width=50).splitlines()
    assert all(len(line) <= 50 for line in lines if line.startswith("  word"))
    assert f"    {'code ' * 30}".rstrip() in lines


def test_a_place_below_the_working_directory_is_shortened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    near = dc.replace(PLACED, file=str(tmp_path / "aa.py"))
    assert text_of(near).startswith("aa.py:8: ")


def test_text_and_annotations_leave_out_what_is_waived():
    assert text_of(WAIVED) == "No finding; 1 waived."
    assert text_of(PLACED, WAIVED).endswith("1 warning in 1 revision; 1 waived.")
    assert render_findings([WAIVED], "github") == ""


def test_every_level_is_counted_the_worst_first():
    info = dc.replace(PLAIN, level=Level.INFO)
    assert text_of(info, PLAIN, PLAIN, info).endswith("2 errors, 2 info.")


def test_no_finding_is_said_in_words_or_an_empty_list():
    assert text_of() == "No finding."
    assert json.loads(render_findings([], "json")) == []
    assert sarif_of() == ([], [])
    assert render_findings([], "github") == ""


def test_json_has_what_is_set():
    plain, placed = json.loads(render_findings([PLAIN, WAIVED], "json"))
    assert plain == {
        "id": "mail.down",
        "level": "error",
        "message": "The server is down.",
        "fix": "Start it.",
    }
    assert (placed["file"], placed["line"]) == (PLACED.file, 8)
    assert placed["waiver"] == "nobody reads it"
    assert placed["can_fix"] is True


def test_json_keeps_a_zero_of_points():
    assert dc.replace(PLAIN, points=0).as_dict()["points"] == 0


def test_sarif_places_a_result_and_suppresses_a_waived_one():
    [rule], [placed, waived] = sarif_of(PLACED, WAIVED)
    assert rule["id"] == "drop-column"
    assert rule["shortDescription"]["text"] == PLACED.reason
    [location] = placed["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "file:///srv/app/migrations/aa.py"},
        "region": {"startLine": 8},
    }
    assert placed["level"] == "warning"
    assert placed["message"]["text"].endswith(PLACED.fix)
    assert "suppressions" not in placed
    assert waived["suppressions"] == [
        {"kind": "inSource", "justification": "nobody reads it"}
    ]


def test_sarif_names_the_symbol_and_keeps_a_relative_path():
    found = Finding(
        "csp-missing", Level.ERROR, "No CSP.", "Send one.", subject="/user",
        file="app/views.py", symbol="user",
    )  # fmt: skip
    [rule], [result] = sarif_of(found)
    assert rule["help"]["text"] == "Send one."
    assert rule["shortDescription"]["text"] == "No CSP."
    assert result["message"]["text"] == "/user: No CSP."
    [location] = result["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "app/views.py"
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "user"


def test_sarif_locates_a_finding_without_a_file_by_its_subject():
    [_], [result] = sarif_of(dc.replace(PLAIN, subject="/user"))
    [location] = result["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "/user"
    [_], [result] = sarif_of(PLAIN)
    assert "locations" not in result


def test_github_annotations_are_escaped_and_stay_on_one_line():
    text = 'DROP TABLE\n"a%b"'
    line = render_findings([dc.replace(PLACED, message=text, id="a:b,c")], "github")
    assert line == (
        "::warning file=/srv/app/migrations/aa.py,line=8,title=a%3Ab%2Cc::"
        'DROP TABLE%0A"a%25b". Older processes still read the column.'
    )
    assert render_findings([PLAIN], "github") == (
        "::error title=mail.down::The server is down."
    )


@pytest.mark.parametrize("form", FINDING_FORMATS)
def test_every_format_takes_a_mix(form):
    assert render_findings([PLAIN, PLACED, WAIVED], form)
