from __future__ import annotations

import json
import re
import sys
import typing as t

import annotated_types as at
import pydantic
import pytest
from forms_models import GRID
from forms_models import PAY
from forms_models import TREE
from openapi_spec_validator import OpenAPIV31SpecValidator
from sqlalchemy import orm
from werkzeug.routing import IntegerConverter
from werkzeug.routing import UnicodeConverter

from flaskware_core.testing import make_app
from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Image
from flaskware_forms import openapi_blueprint
from flaskware_forms import Steps
from flaskware_forms import Upload
from flaskware_forms._interop.openapi import document


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


REST = ["tags", "home", "homes"]
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
    assert operation["parameters"][0]["schema"] == {"type": "integer", "minimum": 0}
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
    found = [item for item in operation["parameters"] if item["in"] == "path"]
    kinds = {item["name"]: item["schema"]["type"] for item in found}
    assert kinds == {"count": "integer", "text": "string"}


@pytest.mark.parametrize(
    ("argument", "schema"),
    [
        ("<int:a>", {"type": "integer", "minimum": 0}),
        ("<int(signed=True):a>", {"type": "integer"}),
        ("<int(min=2, max=9):a>", {"type": "integer", "minimum": 2, "maximum": 9}),
        ("<float:a>", {"type": "number", "minimum": 0}),
        ("<uuid:a>", {"type": "string", "format": "uuid"}),
        ("<any(x,'y z'):a>", {"type": "string", "enum": ["x", "y z"]}),
        ("<a>", {"type": "string", "minLength": 1}),
        ("<path:a>", {"type": "string", "minLength": 1}),
        (
            "<string(minlength=2,maxlength=3):a>",
            {"type": "string", "minLength": 2, "maxLength": 3},
        ),
        (
            "<string(length=4):a>",
            {"type": "string", "minLength": 4, "maxLength": 4},
        ),
    ],
)
def test_an_argument_has_the_bounds_of_its_converter(argument, schema):
    app = make_app(Forms())
    view = PROFILE.handles(lambda form, **arguments: "")
    app.add_url_rule(f"/{argument}", "a", view)
    for operation in document_of(app)["paths"]["/{a}"].values():
        assert operation["parameters"][0]["schema"] == schema
        assert "404" in operation["responses"]


def document_of(app):
    return document(app, title="T", version="1")


def responses(spec, methods=("POST",), **config):
    app = make_app(Forms(), **config)
    app.add_url_rule("/", "a", spec.handles(lambda form: ""), methods=[*methods])
    found = document_of(app)
    OpenAPIV31SpecValidator(found).validate()
    return found, found["paths"]["/"][methods[0].lower()]


def test_the_answers_are_those_that_a_form_can_give():
    every = {"201", "204", "303", "400", "403", "413", "415", "422"}
    assert set(responses(FormSpec(Home, name="h"))[1]["responses"]) == every
    # What has been put was there before, so nothing is created.
    put = responses(FormSpec(Home, name="h"), ["PUT"])[1]["responses"]
    assert set(put) == every - {"201"} | {"200"}
    assert set(put["200"]["content"]) == {"application/json"}
    # A row was added, or another button pressed.
    assert set(responses(PROFILE)[1]["responses"]) == every | {"200"}
    assert "403" not in responses(PROFILE, WTF_CSRF_ENABLED=False)[1]["responses"]


def test_a_conflict_is_an_answer_where_the_class_counts_versions():
    class Base(orm.DeclarativeBase):
        pass

    class Row(Base):
        __tablename__ = "rows"
        id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
        city: orm.Mapped[str]
        version: orm.Mapped[int] = orm.mapped_column()
        __mapper_args__ = {"version_id_col": version}  # noqa: RUF012

    spec = FormSpec.for_model(Row, Home, name="row")
    assert "409" in responses(spec)[1]["responses"]


@pytest.mark.parametrize(
    ("config", "rule", "token"),
    [
        ({}, True, True),
        ({"FORMS_CSRF_STRATEGY": "headers"}, True, False),
        ({"WTF_CSRF_ENABLED": False}, False, False),
    ],
)
def test_the_rule_of_csrf_is_that_of_the_app(config, rule, token):
    found, operation = responses(PROFILE, **config)
    assert ("Sec-Fetch-Site" in found["info"].get("description", "")) is rule
    names = [each["name"] for each in operation.get("parameters", ())]
    assert names == (["X-CSRFToken"] if token else [])
    for kind, content in operation["requestBody"]["content"].items():
        properties = content["schema"].get("properties", {})
        assert ("csrf_token" in properties) is (token and "json" not in kind)


def test_a_body_is_required_if_a_field_is():
    class Free(pydantic.BaseModel):
        tags: list[str] = []
        news: bool = False

    assert PROFILE.openapi_body()["required"] is True
    assert FormSpec(Free, name="free").openapi_body()["required"] is False


def test_the_pages_of_a_form_are_described_one_by_one():
    steps = Steps(Profile, name="s", pages={"a": ["name", "age"], "b": REST})
    app = make_app(Forms())
    app.add_url_rule("/join/<step>", "join", steps.handles(lambda flow, step: ""))
    paths = document_of(app)["paths"]
    assert set(paths) == {"/join/a", "/join/b"}
    body = paths["/join/a"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert set(body["schema"]["properties"]) == {"name", "age", "csrf_token"}
    assert "parameters" not in paths["/join/a"]["get"]


def test_a_search_has_parameters_and_no_body():
    class Search(pydantic.BaseModel):
        page: t.Annotated[int, at.Ge(1)] = 1

    found = responses(FormSpec(Search, name="s", method="get"), ["GET"])[1]
    assert "requestBody" not in found
    (parameter,) = found["parameters"]
    assert (parameter["name"], parameter["in"]) == ("page", "query")
    assert parameter["schema"]["minimum"] == 1


def test_the_docstring_of_a_view_is_its_summary():
    app = make_app(Forms())

    @app.post("/")
    @PROFILE.handles
    def view(form):
        """Change a profile.

        Only your own.
        """

    operation = document_of(app)["paths"]["/"]["post"]
    assert operation["summary"] == "Change a profile."
    assert operation["description"] == "Only your own."


def test_the_page_shows_the_document_with_what_the_app_itself_serves():
    app = make_app(Forms())
    app.add_url_rule("/", "a", PROFILE.handles(lambda form: ""))
    app.register_blueprint(openapi_blueprint(title="A shop"), url_prefix="/docs")
    client = app.test_client()
    page = client.get("/docs/")
    assert "<title>A shop</title>" in page.text
    assert "/" in client.get("/docs/openapi.json").get_json()["paths"]
    served = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(served) >= 4
    for url in served:
        assert url.startswith("/")
        with client.get(url) as response:
            assert response.status_code == 200, url


def test_the_missing_library_of_the_page_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "flask_swagger_ui", None)
    with pytest.raises(ImportError, match=r"flaskware-forms\[openapi\]"):
        openapi_blueprint()


def test_the_document_goes_into_a_file(app, tmp_path):
    file = tmp_path / "openapi.json"
    arguments = ["forms", "openapi", "--output", str(file), "--title", "T"]
    result = app.test_cli_runner().invoke(args=[*arguments, "--version", "7"])
    assert "5 paths" in result.output
    info = json.loads(file.read_text())["info"]
    assert (info["title"], info["version"]) == ("T", "7")


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
    # The first row stands for all of them.
    rows = {"homes-0.city"}
    assert set(form["properties"]) == {"name", "age", "tags", "home.city"} | rows
    assert "homes-1 is next" in form["description"]
    assert "absent" in form["description"]
    assert form["properties"]["name"]["maxLength"] == 40
    # A blank is none.
    assert {"const": ""} in form["properties"]["age"]["anyOf"]
    multipart = body["content"]["multipart/form-data"]
    assert multipart["encoding"] == {"tags": {"style": "form", "explode": True}}


def test_the_fields_of_a_model_that_may_be_left_out_come_together():
    class Street(pydantic.BaseModel):
        street: str
        number: int
        note: str = ""

    class Person(pydantic.BaseModel):
        home: Street
        work: Street | None = None

    body = FormSpec(Person, name="p").openapi_body()["content"]["multipart/form-data"]
    assert body["schema"]["required"] == ["home.street", "home.number"]
    assert body["schema"]["dependentRequired"] == {
        "work.street": ["work.number"],
        "work.number": ["work.street"],
        "work.note": ["work.number", "work.street"],
    }


def test_files_are_sent_in_multipart_only_with_their_kinds():
    body = ALBUM.openapi_body()
    assert list(body["content"]) == ["multipart/form-data"]
    assert body["content"]["multipart/form-data"]["encoding"] == {
        "cover": {"contentType": "image/png, image/jpeg"},
        "rest": {"contentType": "application/octet-stream"},
    }


def test_a_union_is_described_by_its_cases():
    form = PAY.openapi_body()["content"]["multipart/form-data"]["schema"]
    kinds = ["card", "iban", "bank-transfer"]
    assert form["properties"]["by.kind"] == {"enum": kinds}
    assert "by.kind" in form["required"]
    unions = [each["oneOf"] for each in form["allOf"]]
    by = next(o for o in unions if "by.kind" in o[0]["properties"])
    lengths = [o["properties"].get("by.number", {}).get("minLength") for o in by]
    assert lengths == [4, 6, 6]
    assert by[0]["required"] == ["by.kind", "by.number"]


def test_json_schema_is_that_of_what_comes_in():
    schema = PROFILE.json_schema()
    assert schema["required"] == ["name"]
    assert schema["properties"]["name"]["minLength"] == 2
