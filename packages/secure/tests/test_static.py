from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import flask
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaskware_core import ConfigError
from flaskware_core.testing import blueprint_for
from flaskware_core.testing import make_app
from flaskware_core.testing import rendered
from flaskware_secure import IntegrityError
from flaskware_secure import Policy
from flaskware_secure import SecureHeaders
from flaskware_secure._static.integrity import read_manifest
from flaskware_secure.testing import nonce_of


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    (folder / "deep").mkdir(parents=True)
    (folder / "app.js").write_text("go()")
    (folder / "deep" / "a&b.css").write_text("body {}")
    return folder


@pytest.fixture
def serving(files: Path, secure: SecureHeaders) -> flask.Flask:
    app = make_app()
    app.static_folder = str(files)
    blueprint = blueprint_for(
        app, "admin", static_folder=files / "deep", url_prefix="/admin"
    )
    app.register_blueprint(blueprint)
    secure.init_app(app)
    page = "{{ static_script('app.js', defer=True, type='module') }}"
    app.add_url_rule("/", "index", lambda: rendered(page))
    return app


def _hash(content: str) -> str:
    digest = hashlib.sha384(content.encode()).digest()
    return f"sha384-{base64.b64encode(digest).decode()}"


def _attributes(markup: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}

    class Parser(html.parser.HTMLParser):
        def handle_starttag(
            self, tag: str, attrs: list[tuple[str, str | None]]
        ) -> None:
            found.update(attrs, tag=tag)

    Parser().feed(markup)
    return found


def test_a_script_has_address_integrity_and_nonce(serving: flask.Flask) -> None:
    client = serving.test_client()
    response = client.get("/")
    script = _attributes(response.text)
    assert script["tag"] == "script"
    assert script["integrity"] == _hash("go()")
    assert script["nonce"] == nonce_of(response)
    assert (script["defer"], script["type"]) == (None, "module")
    src = script["src"]
    assert src is not None
    assert src.startswith("/static/app.js?v=")
    with client.get(src) as served:
        assert served.text == "go()"


def test_a_style_of_a_blueprint_is_escaped(
    serving: flask.Flask, secure: SecureHeaders
) -> None:
    with serving.test_request_context():
        markup = secure.static_style("a&b.css", endpoint="admin.static", media="print")
    style = _attributes(markup)
    assert (style["rel"], style["media"]) == ("stylesheet", "print")
    assert str(style["href"]).startswith("/admin/deep/a&b.css?v=")
    assert "a&amp;b.css" in markup
    assert style["integrity"] == _hash("body {}")


def test_a_policy_without_nonces_needs_none(files: Path) -> None:
    secure = SecureHeaders(policy=Policy.api())
    app = make_app(secure)
    app.static_folder = str(files)
    with app.test_request_context():
        assert "nonce" not in secure.static_script("app.js")


def test_a_changed_file_has_another_hash_and_address(
    serving: flask.Flask, files: Path
) -> None:
    client = serving.test_client()
    before = _attributes(client.get("/").text)
    (files / "app.js").write_text("stop()")
    after = _attributes(client.get("/").text)
    assert after["integrity"] == _hash("stop()")
    assert after["src"] != before["src"]


def test_a_file_is_hashed_once_until_it_changes(
    serving: flask.Flask, files: Path
) -> None:
    client = serving.test_client()
    before = _attributes(client.get("/").text)["integrity"]
    status = (files / "app.js").stat()
    # The same size and time: what a build that keeps times must not do.
    (files / "app.js").write_text("no()")
    os.utime(files / "app.js", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert _attributes(client.get("/").text)["integrity"] == before


@pytest.mark.parametrize("name", ["missing.js", "../conftest.py", "deep"])
def test_what_is_no_static_file_is_an_error(
    serving: flask.Flask, secure: SecureHeaders, name: str
) -> None:
    with serving.test_request_context(), pytest.raises(IntegrityError):
        secure.static_script(name)


def test_a_manifest_is_written_and_used_instead_of_the_files(
    serving: flask.Flask, files: Path, tmp_path: Path
) -> None:
    path = tmp_path / "integrity.json"
    run = serving.test_cli_runner().invoke
    result = run(args=["secure", "manifest", "--out", str(path)])
    assert "3 files" in result.output
    manifest = json.loads(path.read_text())
    assert manifest["static"]["deep/a&b.css"] == _hash("body {}")

    (files / "app.js").write_text("tampered()")
    secure = SecureHeaders()
    app = make_app(secure, SECURE_MANIFEST=str(path))
    app.static_folder = str(files)
    with app.test_request_context():
        markup = secure.static_script("app.js")
        assert _attributes(markup)["integrity"] == _hash("go()")
        with pytest.raises(IntegrityError, match="flask secure manifest"):
            secure.static_script("new.js")


@pytest.mark.parametrize("content", [None, "[]", "{", '{"static": {"a": 7}}'])
def test_a_manifest_that_cannot_be_read_is_refused_at_start_up(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "integrity.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match="SECURE_MANIFEST"):
        make_app(SecureHeaders(), SECURE_MANIFEST=str(path))


_LENGTHS = {"sha256": 32, "sha384": 48, "sha512": 64}


@given(
    st.sampled_from([*_LENGTHS, "md5", "sha1", "SHA384", ""]),
    st.binary(max_size=70),
    st.sampled_from(["", " ", '" onload="alert(1)', "-", "\n"]),
)
def test_a_manifest_holds_only_hashes_that_browsers_use(
    algorithm: str, digest: bytes, ending: str
) -> None:
    value = f"{algorithm}-{base64.b64encode(digest).decode()}{ending}"
    used = _LENGTHS.get(algorithm) == len(digest) and not ending.strip()
    with TemporaryDirectory() as folder:
        path = Path(folder, "integrity.json")
        path.write_text(json.dumps({"static": {"a.js": value}}))
        if used:
            assert read_manifest(path)["static"]["a.js"] == value
            return
        with pytest.raises(ConfigError, match=r"'a\.js' of 'static'"):
            make_app(SecureHeaders(), SECURE_MANIFEST=str(path))


@pytest.mark.parametrize("value", ["", " ", "md5-AAAA", "sha384-AAAA", "sha384-", "x"])
def test_an_integrity_that_browsers_ignore_is_refused_with_its_file(
    tmp_path: Path, value: str
) -> None:
    path = tmp_path / "integrity.json"
    path.write_text(json.dumps({"static": {"a.js": value}}))
    with pytest.raises(ConfigError, match=r"'a\.js' of 'static'"):
        make_app(SecureHeaders(), SECURE_MANIFEST=str(path))


def test_a_manifest_without_a_name_is_a_usage_error(serving: flask.Flask) -> None:
    result = serving.test_cli_runner().invoke(args=["secure", "manifest"])
    assert result.exit_code == 2
