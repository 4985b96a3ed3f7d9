from __future__ import annotations

from flaskware_core.testing import make_app


def test_two_apps_never_see_each_other(mail_class):
    mail = mail_class()
    first = make_app(mail, MAIL_URL="smtp://first")
    second = make_app(mail, MAIL_URL="smtp://second")
    first.test_client().get("/")
    assert mail.state_of(first).sent == ["smtp://first"]
    assert mail.state_of(second).sent == []
    with first.app_context():
        with second.app_context():
            assert mail.settings.url == "smtp://second"
        assert mail.settings.url == "smtp://first"


def test_nothing_of_an_app_is_kept_on_the_extension_object(mail_class):
    mail = mail_class()
    before = dict(vars(mail))
    make_app(mail, MAIL_URL="smtp://first")
    assert vars(mail) == before


def test_two_objects_serve_two_apps(mail_class):
    one, two = mail_class(port=1), mail_class(port=2)
    first, second = (make_app(mail, MAIL_URL="smtp://x") for mail in (one, two))
    assert one.settings_of(first).port == 1
    assert two.settings_of(second).port == 2
