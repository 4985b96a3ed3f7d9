"""Flask-Babel: lazy labels and its locale, in forms with errors too."""

from __future__ import annotations

import typing as t

import family
import flask
import pytest
from annotated_types import Len
from babel.messages import mofile
from babel.messages.catalog import Catalog
from flask_babel import Babel
from flask_babel import lazy_gettext
from pydantic import BaseModel

from flaskware_forms import FormSpec
from flaskware_forms import Ui


class Person(BaseModel):
    name: t.Annotated[
        str, Len(2, 40), Ui(label=lazy_gettext("Name"), hint=lazy_gettext("Any"))
    ]


person_form = FormSpec(Person, name="person")
WORDS = {"Name": "Nom", "Any": "Au choix"}


@pytest.fixture
def app(tmp_path):
    folder = tmp_path / "translations" / "fr" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    catalog = Catalog(locale="fr")
    for word, translated in WORDS.items():
        catalog.add(word, translated)
    with (folder / "messages.mo").open("wb") as file:
        mofile.write_mo(file, catalog)
    babel = Babel()
    app, _ = family.create_app(
        tmp_path,
        before=lambda app: babel.init_app(
            app, locale_selector=lambda: flask.request.args.get("lang", "en")
        ),
        BABEL_TRANSLATION_DIRECTORIES=str(tmp_path / "translations"),
    )

    @app.route("/person", methods=["GET", "POST"])
    @person_form.handles
    def person(form):
        if data := form.submit():
            return {"name": data.name}
        return form.respond("page.html")

    return app


SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize(("lang", "label"), [("en", "Name"), ("fr", "Nom")])
def test_a_lazy_label_is_in_the_language_of_the_request(client, lang, label):
    assert f">{label}" in client.get(f"/person?lang={lang}").text


@pytest.mark.parametrize(
    ("lang", "error"),
    [("en", "Name: Write at least 2 characters."), ("fr", "Nom: Écrivez au moins 2")],
)
def test_an_invalid_post_has_its_error_in_that_language(client, lang, error):
    answer = client.post(
        f"/person?lang={lang}", data={"name": "x"}, headers=SAME_ORIGIN
    )
    assert answer.status_code == 422
    assert error in answer.text


def test_a_client_of_json_gets_its_error_in_that_language(client):
    answer = client.post("/person?lang=fr", json={"name": "x"}, headers=SAME_ORIGIN)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["detail"].startswith("Écrivez")
