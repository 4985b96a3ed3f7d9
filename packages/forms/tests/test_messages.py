from __future__ import annotations

import gettext
import io
import string
import typing as t
from pathlib import Path

import annotated_types as at
import flask_babel
import pydantic
import pydantic_core
import pytest
from babel.messages import mofile
from babel.messages import pofile
from pydantic_core import _pydantic_core

import flaskware_forms
from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Ui
from flaskware_forms._errors.messages import language
from flaskware_forms._errors.messages import languages
from flaskware_forms._errors.messages import MESSAGES
from flaskware_forms._errors.messages import WORDS

FOLDER = Path(flaskware_forms.__file__).parent / "translations"
TRANSLATED = sorted(languages() - {"en"})


class Model(pydantic.BaseModel):
    name: t.Annotated[str, at.Len(2, 40)]
    tags: list[str] = []


SPEC = FormSpec(Model, name="m")


def names_in(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("tag", TRANSLATED)
def test_a_catalogue_has_every_sentence_with_the_same_names_in_it(tag):
    with (FOLDER / tag / "LC_MESSAGES/flaskware_forms.po").open("rb") as file:
        catalogue = pofile.read_po(file, locale=tag)
    wanted = {*MESSAGES.values(), *WORDS}
    for said in wanted:
        ours = said if isinstance(said, str) else said[0]
        found = catalogue[ours]
        assert found is not None, ours
        texts = found.string if isinstance(found.string, tuple) else (found.string,)
        for text in texts:
            assert text
            assert names_in(text) == names_in(ours)
    assert len(catalogue) == len(wanted)


@pytest.mark.parametrize("tag", TRANSLATED)
def test_a_compiled_catalogue_is_that_of_the_text(tag):
    """Otherwise: ``pybabel compile -d <this folder> -D flaskware_forms``."""
    folder = FOLDER / tag / "LC_MESSAGES"
    with (folder / "flaskware_forms.po").open("rb") as file:
        catalogue = pofile.read_po(file, locale=tag)
    compiled = io.BytesIO()
    mofile.write_mo(compiled, catalogue)
    compiled.seek(0)
    with (folder / "flaskware_forms.mo").open("rb") as file:
        kept = gettext.GNUTranslations(file)
    fresh = gettext.GNUTranslations(compiled)
    for said in {*MESSAGES.values(), *WORDS}:
        ours = said if isinstance(said, str) else said[0]
        for count in (1, 2):
            assert kept.ngettext(ours, "", count) == fresh.ngettext(ours, "", count)


@pytest.mark.parametrize(
    ("accepted", "said"),
    [
        ("de-AT, en;q=0.5", "Schreiben Sie mindestens 2 Zeichen."),
        ("fr", "Écrivez au moins 2 caractères."),
        ("es", "Escriba al menos 2 caracteres."),
        ("xx", "Write at least 2 characters."),
        ("", "Write at least 2 characters."),
    ],
)
def test_a_client_gets_the_language_that_it_accepts(make_site, accepted, said):
    site = make_site(SPEC, FORMS_LANGUAGES=["en", "de", "fr", "es"])
    headers = {"Accept-Language": accepted}
    response = site.post(json={"name": "x"}, headers=headers)
    assert response.get_json()["errors"][0]["detail"] == said
    assert "Accept-Language" in response.headers["Vary"]


def test_the_first_language_is_used_where_there_is_but_one(make_site):
    site = make_site(SPEC, FORMS_LANGUAGES=["de"])
    response = site.post({"name": "x"}, headers={"Accept-Language": "fr"})
    assert "Name: Schreiben Sie mindestens 2 Zeichen." in response.text
    assert ">Hinzufügen</button>" in response.text
    assert "Accept-Language" not in response.headers["Vary"]


def test_a_language_without_a_translation_is_refused():
    with pytest.raises(ConfigError, match="languages with a translation: de, en, es"):
        make_app(Forms(), FORMS_LANGUAGES=["tlh"])


@pytest.mark.flask_only("Flask-Babel knows Flask alone")
def test_the_locale_of_flask_babel_decides_where_it_is_on_the_app(make_site):
    site = make_site(SPEC)
    flask_babel.Babel(site.app, locale_selector=lambda: "de_AT")
    response = site.post(json={"name": "x"})
    said = response.get_json()["errors"][0]["detail"]
    assert said == "Schreiben Sie mindestens 2 Zeichen."


def test_labels_that_are_translated_late_are_those_of_the_request(make_site):
    class Late(pydantic.BaseModel):
        name: t.Annotated[str, Ui(label=flask_babel.lazy_gettext("Name?"))]

    site = make_site(FormSpec(Late, name="late"))
    flask_babel.Babel(site.app)
    assert ">Name? <" in site.client.get("/").text


def test_a_field_has_words_of_its_own_for_an_error(make_site):
    own = {"string_too_short": "A name has {min_length} letters at least."}

    class Own(pydantic.BaseModel):
        name: t.Annotated[str, at.MinLen(2), Ui(messages=own)]

    response = make_site(FormSpec(Own, name="own")).post(json={"name": "x"})
    (error,) = response.get_json()["errors"]
    assert error["code"] == "string_too_short"
    assert error["detail"] == "A name has 2 letters at least."


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


def test_the_length_of_a_secret_is_told_in_characters(make_site):
    class Model(pydantic.BaseModel):
        password: t.Annotated[pydantic.SecretStr, at.Len(10)]

    site = make_site(FormSpec(Model, name="m"))
    response = site.post({"password": "short"})
    assert "Write at least 10 characters." in response.text
    [error] = site.post(json={"password": "short"}).get_json()["errors"]
    assert error["code"] == "too_short"
