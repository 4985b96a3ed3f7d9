"""Hashes of inline code, by the command and as browsers compute them."""

from __future__ import annotations

import base64
import hashlib
import json
import typing as t
from pathlib import Path

import flask
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaskware_core.testing import make_app
from flaskware_secure import append
from flaskware_secure import Policy
from flaskware_secure import SecureHeaders
from flaskware_secure._policy.inline import inline_code
from flaskware_secure._policy.lint import lint
from flaskware_secure._static.inline_hashes import code_below
from flaskware_secure._static.inline_hashes import directives_for

PAGE = """<!doctype html>
<style>p { color: green }</style>
<script>
  go()
</script>
<script type="application/json">{"data": 1}</script>
<script type=module>more()</script>
<script src="/app.js"></script>
<script nonce="{{ csp_nonce() }}">vouched()</script>
<button onclick="return confirm(&quot;Sure?&quot;)" style="color: red">x</button>
<a onclick="leave('{{ url }}')" href="#">leave</a>
"""


def _source(code: str) -> str:
    return (
        f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
    )


def test_code_is_found_with_its_line_and_directive() -> None:
    found = [(c.line, c.directive, c.where, c.varies) for c in inline_code(PAGE)]
    assert found == [
        (2, "style-src-elem", "style", False),
        (3, "script-src-elem", "script", False),
        (7, "script-src-elem", "script", False),
        (10, "script-src-attr", "button onclick", False),
        (10, "style-src-attr", "button style", False),
        (11, "script-src-attr", "a onclick", True),
    ]
    assert inline_code(PAGE)[1].code == "\n  go()\n"
    assert inline_code(PAGE)[3].source == _source('return confirm("Sure?")')


_plain = st.text(
    st.characters(exclude_characters='<>&"\r\0{', codec="utf-8"), min_size=1
)


@given(_plain, st.sampled_from(["\n", "\r\n", "\r"]))
def test_the_hash_is_of_the_code_with_the_line_ends_of_a_page(
    code: str, end: str
) -> None:
    written = code.replace("\n", end)
    markup = f'<script>{written}</script><p onclick="{written}">'
    script, handler = inline_code(markup)
    assert script.source == handler.source == _source(code)


@pytest.fixture
def app(tmp_path: Path) -> flask.Flask:
    folder = tmp_path / "templates" / "deep"
    folder.mkdir(parents=True)
    (folder / "page.html").write_text(PAGE)
    (folder / "notes.txt").write_text("<script>ignored()</script>")
    app = make_app(SecureHeaders())
    app.root_path = str(tmp_path)
    app.add_url_rule("/page", "page", lambda: "<button onclick='go()'>go</button>")
    return app


def test_the_command_hashes_templates_and_writes_what_allows_them(
    app: flask.Flask,
) -> None:
    output = app.test_cli_runner().invoke(args=["secure", "hash"]).output
    assert "page.html:10  button onclick" in output
    assert "ignored" not in output
    assert "no hash fits" in output
    hashed = _source('return confirm("Sure?")')
    assert f'script_src_attr=["\'unsafe-hashes\'", "{hashed}"],' in output
    assert "script_src=append(" in output
    assert "injected markup" in output


def test_the_change_that_is_written_is_right(app: flask.Flask) -> None:
    found = code_below([Path(app.root_path)])
    changes: dict[str, t.Any] = {
        name.removesuffix("-elem"): append(*sources) if "elem" in name else sources
        for name, sources in directives_for(found).items()
    }
    assert not [*lint(Policy.strict(csp=changes))]


def test_the_command_hashes_a_page_that_the_app_answers(app: flask.Flask) -> None:
    run = app.test_cli_runner().invoke
    [code] = json.loads(
        run(args=["secure", "hash", "--page", "/page", "--json"]).output
    )
    assert code == {
        "file": "/page",
        "line": 1,
        "where": "button onclick",
        "directive": "script-src-attr",
        "code": "go()",
        "source": _source("go()"),
    }
    missing = run(args=["secure", "hash", "--page", "/nowhere"])
    assert missing.exit_code == 1
    assert "404" in missing.output


def test_a_template_without_inline_code_needs_nothing(tmp_path: Path) -> None:
    clean = tmp_path / "clean.html"
    clean.write_text("<p>Hello</p>")
    run = make_app(SecureHeaders()).test_cli_runner().invoke
    assert run(args=["secure", "hash", str(clean)]).output == "Nothing to hash.\n"
