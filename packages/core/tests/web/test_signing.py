from __future__ import annotations

import flask
import itsdangerous
import pytest

from flaskware_core import signer


def app_with(**config) -> flask.Flask:
    app = flask.Flask("signing")
    app.config.update(config)
    return app


def test_what_is_signed_is_read_again_by_the_current_app():
    with app_with(SECRET_KEY="new").app_context():
        text = signer("mail.link").dumps([1, "two"])
        assert signer("mail.link").loads(text) == [1, "two"]


def test_a_text_is_for_one_purpose_only():
    app = app_with(SECRET_KEY="new")
    text = signer("mail.link", app=app).dumps(1)
    with pytest.raises(itsdangerous.BadData):
        signer("mail.other", app=app).loads(text)


def test_an_earlier_key_is_accepted_and_signs_no_more():
    old, new = app_with(SECRET_KEY="old"), app_with(SECRET_KEY="new")
    both = app_with(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["older", "old"])
    text = signer("mail.link", app=old).dumps(1)
    assert signer("mail.link", app=both).loads(text) == 1
    with pytest.raises(itsdangerous.BadData):
        signer("mail.link", app=new).loads(text)
    assert signer("mail.link", app=new).loads(signer("mail.link", app=both).dumps(2))


def test_an_app_without_a_key_says_what_to_set():
    with pytest.raises(RuntimeError, match=r"'signing' has no key .* SECRET_KEY"):
        signer("mail.link", app=app_with())
