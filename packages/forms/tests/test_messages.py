from __future__ import annotations

import string
import typing as t

import pydantic_core
import pytest
from pydantic_core import _pydantic_core

from flaskware_forms._messages import language
from flaskware_forms._messages import MESSAGES


def test_every_error_of_pydantic_has_a_sentence():
    known = set(t.get_args(pydantic_core.core_schema.ErrorType))
    assert known - set(MESSAGES) == set()


@pytest.mark.parametrize(
    "error", _pydantic_core.list_all_errors(), ids=lambda error: error["type"]
)
def test_a_sentence_needs_nothing_that_its_error_does_not_tell(error):
    context = error.get("example_context") or {}
    message = language("en").message(error["type"], context)
    assert message
    assert "{" not in message
    parts = string.Formatter().parse(message)
    assert not [name for _, name, _, _ in parts if name]
