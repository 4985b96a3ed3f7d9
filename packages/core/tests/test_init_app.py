from __future__ import annotations

import gc
import subprocess
import sys
import sysconfig
import typing as t
from pathlib import Path

import flask
import pytest
import quart

from flaskware_core import AlreadyInitialised
from flaskware_core import check_connections
from flaskware_core import ConfigError
from flaskware_core import Extension
from flaskware_core import Misuse
from flaskware_core import NotInitialised
from flaskware_core import Settings
from flaskware_core.testing import make_app

URL = "smtp://localhost"


class PostSettings(Settings):
    prefix = "POST_"
    distribution = "flaskware-post"
    box: int


def test_an_extension_is_found_under_its_name(mail_class):
    mail = mail_class()
    app = make_app(mail, MAIL_URL=URL)
    assert app.extensions["mail"] is mail


def test_the_constructor_initialises_at_once(mail_class):
    app = make_app(MAIL_URL=URL)
    mail = mail_class(app, port=7)
    assert mail.settings_of(app).port == 7


def test_state_is_that_of_the_current_app(mail_class):
    mail = mail_class()
    app = make_app(mail, MAIL_URL=URL)
    app.test_client().get("/")
    with app.app_context():
        assert mail.state.sent == [URL]
        assert mail.settings.url == URL


def test_state_outside_of_a_context_says_what_to_write(mail_class):
    with pytest.raises(NotInitialised) as caught:
        _ = mail_class().state
    assert str(caught.value) == (
        "Mail was used where no app is active: neither in a request, nor in a command"
        " of `flask`. Write `with app.app_context():` around it."
    )


def test_state_on_a_foreign_app_says_what_to_call(mail_class):
    app = make_app()
    with app.app_context(), pytest.raises(NotInitialised, match=r"Call `init_app"):
        _ = mail_class().state


def test_another_object_than_the_initialised_one_is_told_apart(mail_class):
    app = make_app(mail_class(), MAIL_URL=URL)
    with app.app_context(), pytest.raises(NotInitialised, match="another Mail object"):
        _ = mail_class().state


def test_initialising_twice_names_both_places(mail_class):
    mail = mail_class()
    app = make_app(MAIL_URL=URL)
    mail.init_app(app)
    with pytest.raises(AlreadyInitialised) as caught:
        mail.init_app(app)
    first, second = (
        int(part.split()[0].strip(".,")) for part in str(caught.value).split(".py:")[1:]
    )
    assert second == first + 2
    assert str(caught.value).count("test_init_app.py") == 2


def test_the_place_is_outside_of_every_package_of_the_family(mail_class):
    inside: dict[str, t.Any] = {"__name__": "flaskware_mail._rooms.deep"}
    exec("def initialise(mail, app): mail.init_app(app)", inside)
    mail, app = mail_class(), make_app(MAIL_URL=URL)
    inside["initialise"](mail, app)
    with pytest.raises(AlreadyInitialised) as caught:
        inside["initialise"](mail, app)
    assert str(caught.value).count("test_init_app.py") == 2


def test_the_flask_command_prints_a_misuse_with_its_place(mail_class, capsys):
    with pytest.raises(Misuse) as caught:
        mail_class(object())
    line = caught.traceback[0].lineno + 1
    caught.value.show()
    assert capsys.readouterr().err == (
        "Error: Mail takes an app, such as flask.Flask(__name__), not an object of type"
        f" 'object'.\n  at {__file__}:{line}\n"
    )
    assert isinstance(caught.value, TypeError)


def test_a_place_that_the_message_names_is_not_printed_again(mail_class, capsys):
    app = make_app(mail_class(), MAIL_URL=URL)
    with pytest.raises(AlreadyInitialised) as caught:
        mail_class(app)
    caught.value.show()
    assert capsys.readouterr().err.count(caught.value.place) == 1


@pytest.mark.parametrize(
    ("folder", "is_printed"),
    [(f"{sys.prefix}/app", True), (sysconfig.get_path("purelib"), False)],
)
def test_a_place_in_a_library_is_not_printed_and_one_below_the_prefix_is(
    mail_class, capsys, folder, is_printed
):
    with pytest.raises(Misuse) as caught:
        mail_class(object())
    caught.value.place = f"{folder}/board.py:3"
    caught.value.show()
    assert ("board.py:3" in capsys.readouterr().err) is is_printed


def test_problems_of_extensions_that_come_later_are_in_the_same_list(mail_class):
    class Post(Extension[PostSettings, None]):
        name = "post"

    waiting = Post(), Post()
    with pytest.raises(ConfigError) as caught:
        make_app(mail_class(), MAIL_PROT=1, POST_BOX="x", POST_BXO=1)
    keys = [problem.key for problem in caught.value.problems]
    assert keys == ["MAIL_PROT", "MAIL_URL", "POST_BXO", "POST_BOX"]
    assert "flaskware-mail, flaskware-post:" in str(caught.value)
    del waiting


def test_keys_that_are_missing_for_a_later_extension_are_not_in_the_list(mail_class):
    class Post(Extension[PostSettings, None]):
        name = "post"

    waiting = Post()
    with pytest.raises(ConfigError) as caught:
        make_app(mail_class(), MAIL_URL=1)
    assert [problem.key for problem in caught.value.problems] == ["MAIL_URL"]
    del waiting


def test_a_predecessor_under_the_same_name_is_refused(mail_class):
    app = make_app(MAIL_URL=URL)
    app.extensions["mail"] = object()
    with pytest.raises(AlreadyInitialised, match="not both"):
        mail_class().init_app(app)


def test_the_state_is_closed_once_its_app_is_forgotten(mail_class):
    mail = mail_class()
    app, other = make_app(mail, MAIL_URL=URL), make_app(mail, MAIL_URL=URL)
    state = mail.state_of(app)
    del app
    gc.collect()
    assert state.sent == ["closed"]
    assert mail.state_of(other).sent == []


def test_a_method_that_closes_may_come_from_any_base(mail_class):
    class Closing:
        def _close(self, state: t.Any) -> None:
            state.sent.append("closed by the base")

    class Mail(Closing, mail_class):
        pass

    mail = Mail()
    app = make_app(mail, MAIL_URL=URL)
    state = mail.state_of(app)
    del app
    gc.collect()
    assert state.sent == ["closed by the base"]


def test_a_bad_configuration_leaves_nothing_behind(mail_class):
    mail = mail_class()
    app = make_app()
    with pytest.raises(ConfigError):
        mail.init_app(app)
    assert "mail" not in app.extensions
    app.config["MAIL_URL"] = URL
    mail.init_app(app)
    assert mail.settings_of(app).url == URL


def test_initialising_after_the_first_request_is_refused_by_flask(mail_class):
    app = make_app(MAIL_URL=URL)
    app.test_client().get("/")
    with pytest.raises(AssertionError, match="first request"):
        mail_class().init_app(app)
    assert "mail" not in app.extensions


def test_a_bad_key_of_core_is_refused_too(mail_class):
    with pytest.raises(ConfigError, match="FLASKWARE_TRUSTED_ORIGINS") as caught:
        make_app(
            mail_class(),
            MAIL_URL=URL,
            FLASKWARE_TRUSTED_ORIGINS=["https://a.example/path"],
        )
    assert "an origin: scheme, host and port only" in str(caught.value)


def test_connections_are_checked_only_when_asked(mail_class):
    app = make_app(mail_class(), MAIL_URL="smtp://down")
    with pytest.raises(ConfigError, match="a server that answers"):
        check_connections(app)
    check_connections(make_app(mail_class(), MAIL_URL=URL))


def test_the_flask_command_prints_a_config_error_without_traceback(tmp_path: Path):
    (tmp_path / "app.py").write_text(
        "import flask\n"
        "from flaskware_core import CoreSettings\n"
        "def create_app():\n"
        "    app = flask.Flask(__name__)\n"
        "    app.config['FLASKWARE_SILENCED_CHEKS'] = []\n"
        "    CoreSettings.from_config(app.config)\n"
        "    return app\n"
    )
    for command in (["run", "--port", "0"], ["doctor"]):
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "app", *command],
            cwd=tmp_path, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "did you mean FLASKWARE_SILENCED_CHECKS?" in done.stderr


async def _quart_roundtrip(app: quart.Quart) -> None:
    await app.test_client().get("/")


def test_a_hook_attaches_to_quart_as_a_coroutine(mail_class):
    import asyncio

    mail = mail_class()
    app = quart.Quart("test")
    app.config["MAIL_URL"] = URL
    mail.init_app(app)
    asyncio.run(_quart_roundtrip(app))
    assert mail.state_of(app).sent == [URL]

    async def inside() -> list[str]:
        async with app.app_context():
            return list(mail.state.sent)

    assert asyncio.run(inside()) == [URL]


def test_an_app_without_extensions_runs_nothing_of_ours():
    app = flask.Flask("plain")
    assert app.extensions == {}
    assert app.before_request_funcs == {}
    assert app.after_request_funcs == {}


def test_what_is_no_app_is_refused(mail_class):
    with pytest.raises(TypeError, match=r"Mail takes an app, such as .* type 'str'"):
        mail_class("app")


@pytest.mark.parametrize("key", ["12345678901234567890", "true", '["a"]'])
def test_a_secret_key_that_is_no_text_is_refused_and_not_shown(
    mail_class, monkeypatch, key
):
    monkeypatch.setenv("FLASK_SECRET_KEY", key)
    app = flask.Flask(__name__)
    app.config.from_prefixed_env()
    app.config["MAIL_URL"] = URL
    with pytest.raises(ConfigError) as caught:
        mail_class(app)
    assert caught.value.problems[0].key == "SECRET_KEY"
    assert "text or bytes" in str(caught.value)
    assert key not in str(caught.value)


@pytest.mark.parametrize("key", [None, "text", b"bytes"])
def test_a_secret_key_of_text_or_bytes_or_none_is_taken(mail_class, key):
    app = flask.Flask(__name__)
    app.config.update(MAIL_URL=URL, SECRET_KEY=key)
    assert mail_class(app).settings_of(app).url == URL
