from __future__ import annotations

import pytest

from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_forms import Forms


def problem_of(**config: object) -> str:
    with pytest.raises(ConfigError) as caught:
        make_app(Forms(), **config)
    return str(caught.value)


def test_a_bad_value_is_told_by_key_with_a_line_to_write():
    text = problem_of(FORMS_MAX_DEPTH=0)
    assert "FORMS_MAX_DEPTH" in text
    assert "greater than or equal to 1" in text
    assert "FORMS_MAX_DEPTH = 8" in text


def test_an_unknown_key_is_told_with_the_closest():
    assert "did you mean FORMS_MAX_ENTRIES?" in problem_of(FORMS_MAX_ENTRY=3)


@pytest.mark.parametrize(
    ("key", "instead"),
    [
        ("FORMS_CSRF", "WTF_CSRF_ENABLED"),
        ("FORMS_TRUSTED_ORIGINS", "FLASKWARE_TRUSTED_ORIGINS"),
    ],
)
def test_a_key_that_belongs_elsewhere_says_where(key, instead):
    assert instead in problem_of(**{key: True})


def test_an_argument_wins_over_the_config():
    forms = Forms(max_depth=3)
    app = make_app(forms, FORMS_MAX_DEPTH=5)
    assert forms.settings_of(app).max_depth == 3
