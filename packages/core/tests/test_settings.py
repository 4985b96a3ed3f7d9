from __future__ import annotations

import datetime as dt
import pickle
import typing as t

import pydantic
import pytest

from flaskware_core import ConfigError
from flaskware_core import Sensitive
from flaskware_core import Settings

URL = "smtp://localhost"


def refused(settings: type[Settings], **config: t.Any) -> str:
    with pytest.raises(ConfigError) as caught:
        settings.from_config(config)
    return str(caught.value)


def test_values_are_read_by_prefix_and_typed(mail_settings):
    settings = mail_settings.from_config({"MAIL_URL": URL, "MAIL_PORT": "26", "X": 1})
    assert (settings.url, settings.port, settings.mode) == (URL, 26, "send")


def test_settings_are_frozen(mail_settings):
    settings = mail_settings.from_config({"MAIL_URL": URL})
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        settings.port = 3


def test_arguments_win_over_config(mail_settings):
    settings = mail_settings.from_config({"MAIL_URL": URL, "MAIL_PORT": 1}, {"port": 2})
    assert settings.port == 2


def test_a_missing_key_is_named_with_what_to_write(mail_settings):
    assert refused(mail_settings) == (
        "1 problem in the configuration of flaskware-mail:\n"
        "\n"
        "  MAIL_URL\n"
        "    expected  a value\n"
        "    given     nothing: the key is required\n"
        "    write     MAIL_URL = 'smtp://localhost'"
    )


def test_a_wrong_type_shows_what_was_given(mail_settings):
    assert refused(mail_settings, MAIL_URL=URL, MAIL_PORT="many").endswith(
        "  MAIL_PORT\n"
        "    expected  a valid integer\n"
        "    given     'many'\n"
        "    write     MAIL_PORT = 25"
    )


def test_a_value_out_of_bounds_says_the_bound(mail_settings):
    assert "expected  greater than 0" in refused(
        mail_settings, MAIL_URL=URL, MAIL_PORT=0
    )


def test_a_choice_lists_the_choices(mail_settings):
    assert "expected  'off', 'log' or 'send'\n    given     'sned'" in refused(
        mail_settings, MAIL_URL=URL, MAIL_MODE="sned"
    )


def test_a_misspelled_choice_gets_the_closest():
    class LockSettings(Settings):
        prefix = "LOCK_"
        level: t.Literal["READ", "WRITE"] | dict[str, t.Literal["READ"]] | None = (
            pydantic.Field(default=None, examples=["WRITE"])
        )

    assert refused(LockSettings, LOCK_LEVEL="raed").endswith("LOCK_LEVEL = 'READ'")
    assert refused(LockSettings, LOCK_LEVEL="xyz").endswith("LOCK_LEVEL = 'WRITE'")


def test_a_duration_or_a_list_is_asked_for_in_words():
    class ClockSettings(Settings):
        prefix = "CLOCK_"
        pause: dt.timedelta = dt.timedelta(seconds=1)
        zones: tuple[str, ...] = ()

    text = refused(ClockSettings, CLOCK_PAUSE="15 minutes", CLOCK_ZONES="utc")
    assert "expected  a number of seconds, or a timedelta" in text
    assert "expected  a list or tuple" in text


def test_an_unknown_key_names_the_closest(mail_settings):
    assert refused(mail_settings, MAIL_URL=URL, MAIL_PROT=1).endswith(
        "  MAIL_PROT\n    unknown configuration key; did you mean MAIL_PORT?"
    )


def test_an_unknown_key_like_no_other_gets_the_list(mail_settings):
    assert (
        "unknown configuration key; known: MAIL_URL, MAIL_PORT, MAIL_MODE"
        in refused(mail_settings, MAIL_URL=URL, MAIL_XQZ=1)
    )


def test_a_key_in_the_wrong_case_is_unknown_and_corrected(mail_settings):
    message = refused(mail_settings, MAIL_URL=URL, MAIL_Port=1)
    assert "MAIL_Port\n" in message
    assert "did you mean MAIL_PORT?" in message


def test_an_unknown_argument_names_the_closest(mail_settings):
    with pytest.raises(ConfigError, match="prot=…") as caught:
        mail_settings.from_config({"MAIL_URL": URL}, {"prot": 1})
    assert "unknown argument; did you mean port?" in str(caught.value)


def test_a_wrong_argument_is_named_as_an_argument(mail_settings):
    with pytest.raises(ConfigError, match="port=…") as caught:
        mail_settings.from_config({"MAIL_URL": URL}, {"port": "x"})
    assert "write     port=25" in str(caught.value)


def test_a_replaced_key_says_what_to_write(mail_settings):
    assert refused(mail_settings, MAIL_URL=URL, MAIL_SERVER="a").endswith(
        "  MAIL_SERVER\n"
        "    expected  nothing: the key has no effect here\n"
        '    write     MAIL_URL = "smtp://localhost"'
    )


def test_keys_of_others_are_left_alone(mail_settings):
    class CookieSettings(Settings):
        prefix = "SESSION_"

    mail_settings.from_config({"MAIL_URL": URL, "MAIL_MAN": "x"})
    CookieSettings.from_config({"SESSION_COOKIE_NAME": "x"})


def test_a_contradiction_names_both_keys(mail_settings):
    assert refused(
        mail_settings, MAIL_URL=URL, MAIL_TLS=True, MAIL_START_TLS=True
    ).endswith(
        "  MAIL_TLS and MAIL_START_TLS\n"
        "    expected  at most one of them\n"
        "    given     both True\n"
        "    write     MAIL_START_TLS = False"
    )


def test_every_problem_is_listed_at_once(mail_settings):
    with pytest.raises(ConfigError) as caught:
        mail_settings.from_config(
            {"MAIL_URL": 3, "MAIL_PROT": 1, "MAIL_MODE": "x", "MAIL_BINDS": {"a": "b"}}
        )
    assert [problem.key for problem in caught.value.problems] == [
        "MAIL_PROT",
        "MAIL_URL",
        "MAIL_MODE",
        "MAIL_BINDS['a']",
    ]
    assert str(caught.value).startswith("4 problems in the configuration of")


def test_a_union_tells_each_alternative_once():
    class UnionSettings(Settings):
        prefix = "U_"
        either: int | list[int] = 3

    message = refused(UnionSettings, U_EITHER="x")
    assert "expected  a valid integer or a valid list" in message
    assert message.count("U_EITHER\n") == 1


@pytest.mark.parametrize(
    "value",
    [
        "postgresql//me:hunter2@db",
        "://hunter2@",
        "hunter2",
        "hunter2://x",
        b"hunter2",
        ["hunter2"],
        {"password": "hunter2"},
        {"deep": {"api_token": "hunter2"}},
        "smtp:/hunter2",
    ],
)
def test_no_secret_is_printed_by_an_error(mail_settings, value):
    class StrictSettings(mail_settings):
        distribution = "flaskware-strict"
        url: t.Annotated[str, Sensitive(), pydantic.Field(max_length=1)]
        other: t.Annotated[int, Sensitive()] = 1
        deep: dict[str, t.Annotated[int, Sensitive()]] = pydantic.Field(default={})

    for key in ("URL", "OTHER", "DEEP"):
        message = refused(StrictSettings, **{"MAIL_URL": "x", f"MAIL_{key}": value})
        shown = message.replace("'hunter2://…'", "")  # a scheme is no secret
        assert "hunter2" not in shown


@pytest.mark.parametrize(
    "value",
    [
        "redis://user:hunter2@host/0",
        "postgresql+psycopg://me:hunter2@host/db",
        "sqlserver://host?password=hunter2",
        "//me:hunter2@host",
        {"url": "redis://user:hunter2@host"},
        {"DB_PASSWORD": "hunter2"},
        ["redis://user:hunter2@host"],
    ],
)
def test_credentials_are_hidden_in_values_not_marked_sensitive(mail_settings, value):
    assert "hunter2" not in refused(mail_settings, MAIL_URL=URL, MAIL_PORT=value)


def test_how_a_hidden_url_begins_is_shown_as_it_was_written(mail_settings):
    class StoreSettings(mail_settings):
        url: t.Annotated[str, Sensitive()] = pydantic.Field(pattern="^redis://")

    message = refused(StoreSettings, MAIL_URL="redis//:hunter2@host")
    assert "given     'redis//…' (the rest is hidden)" in message


def test_a_secret_type_counts_as_sensitive():
    class KeySettings(Settings):
        prefix = "KEY_"
        one: pydantic.SecretStr = pydantic.SecretStr("x")
        many: list[pydantic.SecretStr] = pydantic.Field(default=[])

    assert KeySettings.is_sensitive("one")
    assert KeySettings.is_sensitive("many")
    assert "hunter2" not in refused(KeySettings, KEY_ONE=["hunter2"])


def test_repr_hides_what_is_sensitive(mail_settings):
    settings = mail_settings.from_config({"MAIL_URL": "smtp://me:hunter2@host"})
    assert "hunter2" not in repr(settings)
    assert "url='smtp://…' (the rest is hidden)" in repr(settings)


def test_the_cause_of_an_error_is_not_printed_with_it(mail_settings):
    with pytest.raises(ConfigError) as caught:
        mail_settings.from_config({"MAIL_URL": 3})
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


def test_an_error_survives_a_process_boundary(mail_settings):
    with pytest.raises(ConfigError) as caught:
        mail_settings.from_config({})
    copy = pickle.loads(pickle.dumps(caught.value))
    assert copy.problems == caught.value.problems
    assert str(copy) == str(caught.value)
