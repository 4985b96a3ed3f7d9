"""Config keys from variables and from the files that variables name."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import flask
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaskware_core import ConfigError
from flaskware_core import from_environment


@pytest.fixture
def config() -> flask.Config:
    return flask.Flask(__name__).config


def test_a_variable_sets_a_key_and_a_file_sets_it_too(config, tmp_path, monkeypatch):
    (tmp_path / "key").write_text("0123456789\n")
    monkeypatch.setenv("FLASK_MAIL_PORT", "26")
    monkeypatch.setenv("FLASK_SECRET_KEY_FILE", str(tmp_path / "key"))
    from_environment(config)
    assert config["MAIL_PORT"] == 26
    # Text, though it has nothing but digits.
    assert config["SECRET_KEY"] == "0123456789"
    assert "SECRET_KEY_FILE" not in config


def test_a_file_may_hold_a_list_or_a_mapping(config, tmp_path, monkeypatch):
    (tmp_path / "old").write_text('["one", "two"]')
    (tmp_path / "binds").write_text('{"audit": "sqlite://"}')
    monkeypatch.setenv("SHOP_SECRET_KEY_FALLBACKS_FILE", str(tmp_path / "old"))
    monkeypatch.setenv("SHOP_BINDS_FILE", str(tmp_path / "binds"))
    from_environment(config, prefix="SHOP")
    assert config["SECRET_KEY_FALLBACKS"] == ["one", "two"]
    assert config["BINDS"] == {"audit": "sqlite://"}


def test_a_relative_path_starts_in_the_working_directory(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("key").write_text("s3cret")
    monkeypatch.setenv("FLASK_SECRET_KEY_FILE", "key")
    from_environment(config)
    assert config["SECRET_KEY"] == "s3cret"


def test_what_the_command_reads_is_no_key(config, tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("FLASK_DEBUG=1")
    monkeypatch.setenv("FLASK_ENV_FILE", str(tmp_path / ".env"))
    from_environment(config)
    assert "ENV" not in config


def test_every_variable_that_cannot_be_read_is_listed(config, tmp_path, monkeypatch):
    (tmp_path / "latin").write_bytes("Schlüssel".encode("latin-1"))
    monkeypatch.setenv("FLASK_A_FILE", str(tmp_path / "missing"))
    monkeypatch.setenv("FLASK_B_FILE", str(tmp_path / "latin"))
    monkeypatch.setenv("FLASK_C", "1")
    monkeypatch.setenv("FLASK_C_FILE", str(tmp_path / "c"))
    monkeypatch.setenv("FLASK_BINDS__audit_FILE", str(tmp_path / "audit"))
    monkeypatch.setenv("FLASK_D_FILE", str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        from_environment(config)
    message = str(caught.value)
    assert message.startswith("5 problems in the configuration of the environment")
    assert "FLASK_A_FILE\n    expected  the path of a text file\n" in message
    assert "missing': No such file or directory" in message
    assert "latin': not UTF-8" in message
    assert "FLASK_C and FLASK_C_FILE" in message
    assert "write     unset FLASK_C\n" in message
    assert "write     FLASK_BINDS_FILE, with the mapping as JSON" in message


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0")))
def test_a_text_comes_back_from_a_file(text):
    if text[:1] in {"[", "{"}:
        try:
            json.loads(text)
        except ValueError:
            pass
        else:
            return
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder, "secret")
        path.write_text(f"{text}\n", "utf-8")
        patch.setenv("FLASK_SECRET_KEY_FILE", str(path))
        config = flask.Flask(__name__).config
        from_environment(config)
        assert config["SECRET_KEY"] == text
