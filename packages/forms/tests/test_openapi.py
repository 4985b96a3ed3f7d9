from __future__ import annotations

import json
import typing as t

import annotated_types as at
import pydantic
import pytest
from forms_models import GRID
from forms_models import PAY
from forms_models import TREE
from openapi_spec_validator import OpenAPIV31SpecValidator
from werkzeug.routing import IntegerConverter
from werkzeug.routing import UnicodeConverter

from flaskware_core.testing import make_app
from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Image
from flaskware_forms import Upload


class Home(pydantic.BaseModel):
    city: t.Annotated[str, at.MinLen(1)]


class Profile(pydantic.BaseModel):
    name: t.Annotated[str, at.Len(2, 40)]
    age: int | None = None
    tags: list[str] = []
    home: Home | None = None
    homes: list[Home] = []


class Album(pydantic.BaseModel):
    cover: t.Annotated[Upload, Image("png", "jpeg")]
    rest: list[Upload] = []


PROFILE = FormSpec(Profile, name="profile")
ALBUM = FormSpec(Album, name="album")


@pytest.fixture
def app():
    app = make_app(Forms())
    for spec in (PROFILE, ALBUM, PAY, TREE, GRID):

        def view(form: Bound[t.Any], **arguments: t.Any) -> str:
            return ""

        app.add_url_rule(
            f"/{spec.name}/<int:id>/<name>",
            spec.name,
            spec.handles(view),
            methods=["GET", "POST", "PUT"],
        )
    return app


def test_the_document_of_an_app_is_valid(app):
    printed = app.test_cli_runner().invoke(args=["forms", "openapi"]).output
    document = json.loads(printed)
    OpenAPIV31SpecValidator(document).validate()
    assert set(document["paths"]) == {
        f"/{name}/{{id}}/{{name}}"
        for name in ("profile", "album", "pay", "tree", "grid")
    }
    operation = document["paths"]["/profile/{id}/{name}"]["post"]
    assert operation["parameters"][0]["schema"] == {"type": "integer"}
    assert operation["operationId"] == "profile.post"
    assert "requestBody" not in document["paths"]["/profile/{id}/{name}"]["get"]


def test_an_argument_is_described_by_the_class_of_its_converter():
    class Positive(IntegerConverter):
        pass

    app = make_app(Forms())
    app.url_map.converters |= {"number": Positive, "int": UnicodeConverter}
    view = PROFILE.handles(lambda form, **arguments: "")
    app.add_url_rule("/<number:count>/<int:text>", "a", view, methods=["POST"])
    printed = app.test_cli_runner().invoke(args=["forms", "openapi"]).output
    operation = json.loads(printed)["paths"]["/{count}/{text}"]["post"]
    kinds = {item["name"]: item["schema"]["type"] for item in operation["parameters"]}
    assert kinds == {"count": "integer", "text": "string"}


def test_the_document_goes_into_a_file(app, tmp_path):
    file = tmp_path / "openapi.json"
    arguments = ["forms", "openapi", "--output", str(file), "--title", "T"]
    result = app.test_cli_runner().invoke(args=[*arguments, "--version", "7"])
    assert "5 paths" in result.output
    assert json.loads(file.read_text())["info"] == {"title": "T", "version": "7"}


def test_an_app_without_forms_has_a_valid_document():
    app = make_app(Forms())
    printed = app.test_cli_runner().invoke(args=["forms", "openapi"]).output
    OpenAPIV31SpecValidator(json.loads(printed)).validate()


def test_a_form_is_described_as_a_browser_sends_it():
    body = PROFILE.openapi_body()
    assert set(body["content"]) == {
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    }
    form = body["content"]["application/x-www-form-urlencoded"]["schema"]
    assert form["required"] == ["name"]
    assert set(form["properties"]) == {"name", "age", "tags", "home.city"}
    assert form["properties"]["name"]["maxLength"] == 40
    assert form["properties"]["age"]["type"] == "integer"
    assert list(form["patternProperties"]) == [r"^homes-\d+\.city$"]
    multipart = body["content"]["multipart/form-data"]
    assert multipart["encoding"] == {"tags": {"style": "form", "explode": True}}


def test_files_are_sent_in_multipart_only_with_their_kinds():
    body = ALBUM.openapi_body()
    assert list(body["content"]) == ["multipart/form-data"]
    assert body["content"]["multipart/form-data"]["encoding"] == {
        "cover": {"contentType": "image/png, image/jpeg"},
        "rest": {"contentType": "application/octet-stream"},
    }


def test_the_fields_of_a_union_are_described_once_each():
    form = PAY.openapi_body()["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["by.kind"] == {"enum": ["card", "iban", "bank-transfer"]}
    lengths = [o["minLength"] for o in form["properties"]["by.number"]["anyOf"]]
    assert lengths == [4, 6]
    assert r"^more-\d+\.kind$" in form["patternProperties"]


def test_json_schema_is_that_of_what_comes_in():
    schema = PROFILE.json_schema()
    assert schema["required"] == ["name"]
    assert schema["properties"]["name"]["minLength"] == 2
