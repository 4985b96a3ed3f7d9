from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import select

from noticeboard import create_app
from noticeboard.extensions import db
from noticeboard.models import Event
from noticeboard.models import User
from noticeboard.seed import PASSWORD


def test_signing_up_stores_no_password_and_starts_a_session(app, client, post):
    fields = {"name": "Zoë", "email": "Zoe@Example.org", "password": "long enough 1"}
    assert post(client, "/sign-up", **fields).status_code == 303
    assert "Sign out" in client.get("/").text
    with app.app_context():
        user = db.session.scalars(select(User).where(User.name == "Zoë")).one()
        assert user.email == "zoe@example.org"
        assert "long enough" not in user.password_hash


def test_what_happened_is_kept_in_the_second_database(app, ada):
    with app.app_context():
        (event,) = db.session.scalars(select(Event)).all()
        assert event.what == "signed in"
    own = {"event", "alembic_version", "alembic_version_record"}
    assert set(tables(app, "audit")) == own
    assert "event" not in tables(app, None)


def tables(app, bind):
    import sqlalchemy as sa

    with app.app_context():
        return sa.inspect(db.engines[bind]).get_table_names()


def test_a_form_with_errors_shows_what_was_typed_but_never_the_password(client, post):
    reply = post(client, "/sign-up", name="Zoë", email="zoe", password="hunter2")
    assert reply.status_code == 422
    assert 'value="Zoë"' in reply.text
    assert "hunter2" not in reply.text


def test_an_email_is_taken_in_any_case(client, post):
    reply = post(
        client, "/sign-up", name="Eve", email="ADA@example.org", password="x" * 12
    )
    assert reply.status_code == 422
    assert "There is an account with this email" in reply.text


def test_a_wrong_password_and_an_unknown_email_get_the_same_answer(client, post):
    wrong = post(client, "/sign-in", email="ada@example.org", password="no")
    unknown = post(client, "/sign-in", email="nobody@example.org", password="no")
    assert wrong.status_code == unknown.status_code == 422
    assert "Email or password is wrong." in wrong.text
    assert "Email or password is wrong." in unknown.text


def test_a_post_without_token_is_refused(client):
    client.get("/sign-in")
    data = {"email": "ada@example.org", "password": PASSWORD}
    assert 400 <= client.post("/sign-in", data=data).status_code < 500
    assert "Sign out" not in client.get("/").text


def test_another_devices_session_can_be_revoked_but_not_somebody_elses(app, ada, post):
    phone, ben = app.test_client(), app.test_client()
    post(phone, "/sign-in", email="ada@example.org", password=PASSWORD)
    post(ben, "/sign-in", email="ben@example.org", password=PASSWORD)
    page = ada.get("/devices/").text
    (handle,) = re.findall(r'name="device" value="((?!others)[^"]+)"', page)

    post(ben, "/devices/end", page="/devices/", device=handle)
    assert phone.get("/devices/").status_code == 200

    post(ada, "/devices/end", page="/devices/", device=handle)
    assert phone.get("/devices/").location == "/sign-in"
    assert ada.get("/devices/").status_code == 200
    assert ben.get("/devices/").status_code == 200


def test_a_sign_in_goes_on_to_where_one_was_going(client, post):
    assert client.get("/notices/new?from=mail").location == "/sign-in"
    reply = post(client, "/sign-in", email="ada@example.org", password=PASSWORD)
    assert reply.location == "/notices/new?from=mail"


def test_a_sign_in_goes_nowhere_else(client, post):
    client.get("/sign-in?next=https://evil.example&going_to=//evil.example")
    reply = post(client, "/sign-in", email="ada@example.org", password=PASSWORD)
    assert reply.location == "/"


def test_signing_out_ends_the_session_on_the_server(app, ada, post):
    cookies = [(c.key, c.value) for c in ada._cookies.values()]
    post(ada, "/sign-out", page="/")
    thief = app.test_client()
    for key, value in cookies:
        thief.set_cookie(key, value)
    assert thief.get("/devices/").location == "/sign-in"


def test_devices_need_a_sign_in(client):
    assert client.get("/devices/").location == "/sign-in"


def test_two_who_sign_up_with_one_email_at_once_get_one_account(app, post):
    import threading

    together = threading.Barrier(4)
    found = []

    def sign_up(number: int) -> None:
        client = app.test_client()
        client.get("/sign-up")
        together.wait()
        reply = post(
            client, "/sign-up", name=f"No {number}", email="same@example.org",
            password="x" * 12,
        )  # fmt: skip
        found.append(reply.status_code)

    threads = [threading.Thread(target=sign_up, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [303, 422, 422, 422]


def test_asking_again_and_again_for_what_needs_a_sign_in_keeps_the_session_small(
    client,
):
    for _ in range(5):
        client.get("/devices/")
    assert client.get("/sign-in").text.count("Please sign in first.") == 1


def test_processes_that_start_at_once_have_one_key(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        apps = list(
            pool.map(lambda _: create_app(instance_path=str(tmp_path)), range(8))
        )
    assert len({app.secret_key for app in apps}) == 1
    assert len(apps[0].secret_key) == 64
