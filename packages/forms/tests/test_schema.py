from __future__ import annotations

import dataclasses as dc
import typing as t

import pydantic
import pytest

from flaskware_core import DeclarationError
from flaskware_forms import FormSpec
from flaskware_forms import Ui


class Inner(pydantic.BaseModel):
    x: int


@dc.dataclass
class Data:
    x: int


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int | str, r"M\.f is int \| str"),
        (dict, "has no control"),
        (t.Any, "has no control"),
        (tuple, "without a value"),
        (list, "lists of one type"),
        (list[bool], "for a box that is not ticked"),
        (bytes, "Write str, or Upload"),
        (list[bytes], "Write str, or Upload"),
        (pydantic.Json, "Write str, and parse it"),
        (pydantic.Json[int], "Write str, and parse it"),
        (pydantic.SecretBytes, "Write SecretStr"),
        (t.Literal["a", b"a"], "b'a', but a form and JSON have only text"),
        (list[Inner | None], "a row that nobody filled in"),
        (Data, "Write a type of one value"),
        (pydantic.RootModel[int], "RootModel"),
    ],
)
def test_a_type_without_a_form_is_refused_when_the_form_is_declared(annotation, words):
    model = pydantic.create_model("M", f=(annotation, ...))
    with pytest.raises(DeclarationError, match=words):
        FormSpec(model, name="m")


def test_a_union_of_models_that_nothing_tells_apart_is_refused():
    class Card(pydantic.BaseModel):
        number: str

    class Pay(pydantic.BaseModel):
        by: Card | Inner

    with pytest.raises(DeclarationError, match=r"Card \| Inner.*discriminator"):
        FormSpec(Pay, name="pay")


def test_a_union_told_apart_by_a_function_is_refused():
    class Pay(pydantic.BaseModel):
        by: t.Annotated[
            t.Annotated[Inner, pydantic.Tag("a")] | t.Annotated[str, pydantic.Tag("b")],
            pydantic.Discriminator(lambda value: "a"),
        ]

    with pytest.raises(DeclarationError, match="by a field that each"):
        FormSpec(Pay, name="pay")


def test_a_model_that_always_contains_itself_is_refused():
    class Loop(pydantic.BaseModel):
        below: Loop

    Loop.model_rebuild(_types_namespace={"Loop": Loop})
    with pytest.raises(DeclarationError, match="no form of it ends"):
        FormSpec(Loop, name="loop")


def test_an_alias_that_reads_like_a_nested_field_is_refused():
    class Place(pydantic.BaseModel):
        zip: str = pydantic.Field(alias="zip-code")

    class Outer(pydantic.BaseModel):
        place: Place

    FormSpec(Place, name="place")
    with pytest.raises(DeclarationError, match="alias 'zip-code'"):
        FormSpec(Outer, name="outer")


def test_choices_of_two_kinds_are_refused():
    class Both(pydantic.BaseModel):
        x: t.Annotated[t.Literal["a"], Ui(choices=lambda: ["b"])]

    with pytest.raises(DeclarationError, match="has choices of its type and"):
        FormSpec(Both, name="both")


def test_a_model_that_can_be_false_is_refused():
    class Sized(pydantic.BaseModel):
        x: int

        def __len__(self) -> int:
            return 0

    with pytest.raises(DeclarationError, match="__len__"):
        FormSpec(Sized, name="s")


@pytest.mark.parametrize("name", ["", "a b", '"><script>', "1a"])
def test_a_name_that_is_no_id_is_refused(name):
    with pytest.raises(DeclarationError, match="letters, digits and hyphens"):
        FormSpec(Inner, name=name)


def test_an_alias_names_the_control_and_the_error(make_site):
    class Aliased(pydantic.BaseModel):
        from_: int = pydantic.Field(alias="from")

    site = make_site(FormSpec(Aliased, name="a"))
    response = site.post({"from": "x"})
    assert 'href="#a-from"' in response.text
    assert site.post({"from": "3"}).status_code == 303
    assert site.data.from_ == 3


def test_constraints_are_found_behind_every_way_to_write_them(make_site):
    import annotated_types as at
    from typing_extensions import TypeAliasType

    Short = TypeAliasType("Short", t.Annotated[str, at.Len(1, 3)])

    class Model(pydantic.BaseModel):
        alias: Short
        field: str = pydantic.Field(min_length=1, max_length=3)
        group: t.Annotated[str, pydantic.StringConstraints(min_length=1, max_length=3)]
        inner: t.Annotated[str, at.Len(1, 3)] | None
        items: list[t.Annotated[str, pydantic.Field(max_length=3)]]
        counted: pydantic.conint(ge=2)

    spec = FormSpec(Model, name="m")
    with make_site(spec).app.test_request_context():
        form = spec.bind()
        for name in ("alias", "field", "group", "inner", "items"):
            assert 'maxlength="3"' in form[name].control(), name
        assert 'min="2"' in form["counted"].control()


def test_two_fields_of_one_name_are_refused():
    class Model(pydantic.BaseModel):
        a: int = pydantic.Field(1, alias="n")
        b: int = pydantic.Field(2, alias="n")

    with pytest.raises(DeclarationError, match=r"Model\.b has the alias 'n', which"):
        FormSpec(Model, name="m")
    inside = pydantic.create_model("Outer", rows=(list[Model], []))
    with pytest.raises(DeclarationError, match=r"Model\.b has the alias 'n', which"):
        FormSpec(inside, name="m")


def test_a_field_of_the_name_of_the_token_is_refused_where_there_is_one():
    model = pydantic.create_model("M", csrf_token=(str, ""))
    with pytest.raises(DeclarationError, match="a name of the form itself"):
        FormSpec(model, name="m")
    FormSpec(model, name="m", method="get")
