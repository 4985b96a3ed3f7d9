"""Scores of apps that are really served, by MDN's scanner and csp_evaluator."""

from __future__ import annotations

import re
from pathlib import Path

import flask
import pytest
import secure
from secure_scanners import Scan
from secure_scanners import scan

from flaskware_core.testing import rendered
from flaskware_secure import Policy
from flaskware_secure import SecureHeaders

PAGE = Path(__file__).parents[1] / "docs/scores.md"

pytestmark = pytest.mark.slow


def _served(body: str, *policy: Policy) -> flask.Flask:
    app = flask.Flask("scanned")
    app.secret_key = "k3y-0f-a-test:0123456789abcdef-XYZ"
    SecureHeaders(app, **({"policy": policy[0]} if policy else {}))
    page = f"<!doctype html><title>page</title>{body}"
    app.add_url_rule("/", "index", lambda: rendered(page))
    return app


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scan]:
    """What the scanners say of each app, by its row in the table of the guide."""
    nonced = '<script nonce="{{ csp_nonce() }}">1</script>'
    signed = "{% set _ = session.update(user=1) %}"
    folder = tmp_path_factory.mktemp("static")
    (folder / "app.js").write_text("1")
    whole = _served(signed + "{{ static_script('app.js') }}")
    whole.static_folder = str(folder)
    theirs = secure.Secure.from_preset(secure.Preset.STRICT)
    apps = {
        "`SecureHeaders(app)`": _served("plain"),
        "… a page with a nonce": _served(nonced),
        "… and a session": _served(nonced + signed),
        "… and `static_script()`": whole,
        "`Policy.strict()`": _served(nonced, Policy.strict()),
        "`Policy.api()`": _served("plain", Policy.api()),
        "`Policy.embedded(…)`": _served(
            nonced, Policy.embedded(["https://partner.example"])
        ),
        "`Policy.legacy()`": _served("plain", Policy.legacy()),
        "`Policy.from_secure(STRICT)`": _served("plain", Policy.from_secure(theirs)),
    }
    hosts = {f"app{number}": app for number, app in enumerate(apps.values())}
    found = scan(hosts, tmp_path_factory.mktemp("certificate"))
    return dict(zip(apps, found.values(), strict=True))


def test_the_scores_in_the_guide_are_those_that_the_scanners_give(
    scans: dict[str, Scan],
) -> None:
    page = PAGE.read_text("utf-8")
    rows = re.findall(r"^\| (.+?) \| (\d+) \| (.+?) \|$", page, re.MULTILINE)
    told = {name: (int(score), findings) for name, score, findings in rows}
    measured = {
        name: (
            each.score,
            ", ".join(f"`{value}`" for *_, value in each.findings) or "none",
        )
        for name, each in scans.items()
    }
    assert {name: told.get(name) for name in measured} == measured


def test_one_line_scores_130_and_redirects_and_has_no_finding(
    scans: dict[str, Scan],
) -> None:
    one_line = scans["`SecureHeaders(app)`"]
    assert one_line.score >= 130
    assert "redirection-to-https" in one_line.results
    assert one_line.failed == []
    assert "default-src 'none'" in one_line.csp
    assert max(each.score for each in scans.values()) == 140
