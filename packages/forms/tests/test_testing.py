from __future__ import annotations

import pydantic
import pytest

from flaskware_forms import FormSpec
from flaskware_forms.testing import csrf_token
from flaskware_forms.testing import submit


class Model(pydantic.BaseModel):
    name: str


SPEC = FormSpec(Model, name="m")


def test_submit_posts_as_a_page_of_the_app(make_site):
    assert submit(make_site(SPEC).client, "/", data={"name": "a"}).status_code == 303


def test_submit_keeps_headers_that_are_given(make_site):
    headers = {"Sec-Fetch-Site": "cross-site"}
    response = submit(make_site(SPEC).client, "/", data={}, headers=headers)
    assert response.status_code == 403


def test_the_token_of_a_page_is_found_and_accepted(make_site):
    client = make_site(SPEC).client
    data = {"name": "a", "csrf_token": csrf_token(client, "/")}
    assert client.post("/", data=data).status_code == 303


def test_a_page_without_a_token_is_told(make_site):
    with pytest.raises(LookupError, match="without an input named csrf_token"):
        csrf_token(make_site(SPEC, WTF_CSRF_ENABLED=False).client, "/")
