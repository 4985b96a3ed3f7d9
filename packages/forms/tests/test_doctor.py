from __future__ import annotations

import pydantic
import pytest
from flask_wtf import CSRFProtect

from flaskware_core import examine
from flaskware_core import Level
from flaskware_core.testing import blueprint_for
from flaskware_core.testing import make_app
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Upload


class WithFile(pydantic.BaseModel):
    file: Upload


class Plain(pydantic.BaseModel):
    name: str


SPEC = FormSpec(WithFile, name="files")
PLAIN = FormSpec(Plain, name="plain")


def findings(app):
    return {f.id: f for f in examine(app).findings if f.id.startswith("forms.")}


def test_a_plain_app_has_nothing_to_tell():
    assert findings(make_app(Forms())) == {}


def test_csrf_that_is_off_is_an_error():
    found = findings(make_app(Forms(), WTF_CSRF_ENABLED=False))
    assert found["forms.csrf-off"].level is Level.ERROR


def test_csrf_that_is_not_by_default_is_a_warning():
    found = findings(make_app(Forms(), WTF_CSRF_CHECK_DEFAULT=False))
    assert list(found) == ["forms.csrf-not-by-default"]


@pytest.mark.flask_only("Flask-WTF knows Flask alone")
def test_a_second_protection_is_told():
    app = make_app(Forms())
    CSRFProtect(app)
    assert "forms.csrf-twice" in findings(app)


@pytest.mark.flask_only("Quart has a limit where the app has none")
def test_uploads_without_a_limit_of_the_app_are_told_with_the_line_to_write(make_site):
    found = findings(make_site(SPEC).app)
    assert found["forms.upload-unlimited.files"].fix == "MAX_CONTENT_LENGTH = 11534336"


def test_a_limit_that_cuts_uploads_off_is_told(make_site):
    found = findings(make_site(SPEC, MAX_CONTENT_LENGTH=1000).app)
    assert found["forms.upload-cut-off.files"].level is Level.INFO
    assert findings(make_site(SPEC, MAX_CONTENT_LENGTH=11534336).app) == {}


def test_a_form_without_protection_is_told_by_its_view_or_its_blueprint():
    forms = Forms()
    app = make_app(forms)
    blueprint = blueprint_for(app, "area")

    @app.post("/")
    @forms.exempt
    @SPEC.handles
    def open_to_all(form):
        return ""

    @blueprint.post("/in")
    @SPEC.handles
    def inside(form):
        return ""

    @app.post("/safe")
    @SPEC.handles
    def safe(form):
        return ""

    app.register_blueprint(forms.exempt(blueprint))
    assert {id for id in findings(app) if "exempt" in id} == {
        "forms.csrf-exempt.open_to_all",
        "forms.csrf-exempt.area.inside",
    }


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("static/uploads", True),
        ("static", True),
        ("uploads", False),
        ("static2", False),
        (None, False),
    ],
)
def test_an_upload_folder_that_is_served_is_an_error(folder, told):
    app = make_app(Forms(), UPLOAD_FOLDER=folder)
    found = findings(app).get("forms.upload-folder.upload_folder")
    assert (found is not None) is told


@pytest.mark.parametrize(
    ("methods", "told"),
    [(None, False), (["GET"], True), (["PUT"], False), (["GET", "POST"], False)],
)
def test_a_route_that_takes_no_post_is_told(methods, told):
    app = make_app(Forms())
    view = PLAIN.handles(lambda form: "")
    app.add_url_rule("/", "v", view, methods=methods)
    assert ("forms.no-post.v" in findings(app)) is told
