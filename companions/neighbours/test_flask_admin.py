"""Flask-Admin: its views on `db`, its scripts and questions under the policy."""

from __future__ import annotations

import family
import pytest
from browser import chromium
from browser import violations
from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as until
from selenium.webdriver.support.wait import WebDriverWait

from flaskware_core.testing import serving
from flaskware_secure.testing import assert_nonces
from flaskware_secure.testing import csp_of

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def made(tmp_path):
    app, extensions = family.create_app(tmp_path, SECURE_NONCES_BELOW=["/admin/"])
    Admin(app, name="Names").add_view(ModelView(family.User, extensions.db))
    return app, extensions


def test_a_model_view_of_db_lists_adds_edits_and_deletes(client):
    new = client.post("/admin/user/new/", data={"name": "Ann"}, headers=SAME_ORIGIN)
    assert new.status_code == 302
    assert "Ann" in client.get("/admin/user/").text
    client.post("/admin/user/edit/?id=1", data={"name": "Eve"}, headers=SAME_ORIGIN)
    assert client.get("/names").json["names"] == ["Eve"]
    client.post("/admin/user/delete/", data={"id": "1"}, headers=SAME_ORIGIN)
    assert client.get("/names").json["names"] == []


def test_a_post_without_a_token_from_elsewhere_is_refused(client):
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}):
        answer = client.post("/admin/user/new/", data={"name": "x"}, headers=headers)
        assert answer.status_code in {400, 403}
    assert client.get("/names").json["names"] == []


def test_each_script_has_the_nonce_and_each_handler_its_hash(client):
    client.post("/admin/user/new/", data={"name": "Ann"}, headers=SAME_ORIGIN)
    answer = client.get("/admin/user/")
    assert "onclick=" in answer.text
    assert "'unsafe-hashes'" in csp_of(answer)["script-src-attr"]
    for element in answer.text.split("<script")[1:]:
        assert element.lstrip().startswith("nonce=")
    assert_nonces(client.get("/page"))


def test_chromium_asks_before_a_row_is_deleted(app, client):
    for name in ("Ann", "Bob"):
        client.post("/admin/user/new/", data={"name": name}, headers=SAME_ORIGIN)
    with serving(app) as address, chromium() as driver:
        driver.get(f"{address}/admin/user/")
        wait = WebDriverWait(driver, 60)

        def delete():
            found = driver.find_elements(By.CSS_SELECTOR, "form.icon button")
            found[0].click()
            return wait.until(until.alert_is_present())

        question = delete()
        assert "Are you sure" in question.text
        question.dismiss()
        assert client.get("/names").json["names"] == ["Ann", "Bob"]
        delete().accept()
        wait.until(lambda _: len(client.get("/names").json["names"]) == 1)
        assert violations(driver) == []
