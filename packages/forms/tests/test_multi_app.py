from __future__ import annotations

import pydantic

from flaskware_forms import FormSpec


class Model(pydantic.BaseModel):
    tags: list[str]


def test_two_apps_share_a_form_and_nothing_else(make_site):
    spec = FormSpec(Model, name="m")
    small = make_site(spec, FORMS_MAX_ENTRIES=2)
    large = make_site(spec)
    body = {"tags": ["a", "b", "c"]}
    assert small.post(body).status_code == 400
    assert large.post(body).status_code == 303
    assert small.data is None
    assert large.data.tags == ["a", "b", "c"]


def test_what_one_app_trusts_another_does_not(make_site):
    spec = FormSpec(Model, name="m")
    origin = "https://partner.example"
    one = make_site(spec, FLASKWARE_TRUSTED_ORIGINS=[origin])
    other = make_site(spec)
    body, headers = {"tags": "a"}, {"Origin": origin}
    assert one.client.post("/", data=body, headers=headers).status_code == 303
    assert other.client.post("/", data=body, headers=headers).status_code == 403


def test_one_extension_object_serves_two_apps():
    from flaskware_core.testing import make_app
    from flaskware_forms import Forms

    forms = Forms()
    first, second = make_app(forms, FORMS_MAX_DEPTH=2), make_app(forms)
    assert forms.settings_of(first).max_depth == 2
    assert forms.settings_of(second).max_depth == 8
