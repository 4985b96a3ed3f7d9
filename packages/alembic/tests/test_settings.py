from __future__ import annotations

import typing as t

import pytest

from flaskware_alembic import Alembic
from flaskware_alembic import AlembicSettings
from flaskware_core import ConfigError
from flaskware_core.testing import make_app


def message_for(**config: t.Any) -> str:
    with pytest.raises(ConfigError) as caught:
        make_app(Alembic(), **config)
    return str(caught.value)


def test_a_negative_wait_is_refused_with_its_key() -> None:
    message = message_for(ALEMBIC_LOCK_TIMEOUT=-1)
    assert "ALEMBIC_LOCK_TIMEOUT" in message
    assert "greater than or equal to 0" in message
    assert "ALEMBIC_LOCK_TIMEOUT = 60" in message


def test_every_problem_is_listed_at_once() -> None:
    message = message_for(ALEMBIC_LOCK_TIMEOUT="soon", ALEMBIC_COMMAND="flask db")
    assert "2 problems in the configuration of flaskware-alembic" in message


def test_a_misspelled_key_is_answered_with_the_closest_one() -> None:
    assert "did you mean ALEMBIC_DIRECTORY?" in message_for(ALEMBIC_DIRECTOR="x")


def test_a_key_of_flask_alembic_says_what_took_its_place() -> None:
    message = message_for(ALEMBIC_CONTEXT={"compare_type": True})
    assert "ALEMBIC_COMPARE_TYPE" in message


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"did you mean lock_timeout\?"):
        Alembic(lock_timeot=3).init_app(make_app())


def test_an_argument_wins_over_the_config() -> None:
    alembic = Alembic(lock_timeout=3)
    app = make_app(alembic, ALEMBIC_LOCK_TIMEOUT=9)
    assert alembic.settings_of(app).lock_timeout == 3


def test_every_setting_says_what_it_means_and_shows_one() -> None:
    for field in AlembicSettings.model_fields.values():
        assert field.description
        assert field.examples
