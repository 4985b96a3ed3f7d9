from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from noticeboard import create_app
from noticeboard.extensions import alembic
from noticeboard.seed import NOTICES
from noticeboard.seed import PASSWORD
from noticeboard.seed import seed
from noticeboard.walkthrough import PNG


def test_the_newest_notices_come_first_in_pages(client):
    first, third = client.get("/").text, client.get("/?page=3").text
    assert NOTICES[0][0] in first
    assert NOTICES[-1][0] not in first
    assert NOTICES[-1][0] in third
    assert "Page 1 of 3" in first


@pytest.mark.parametrize("page", ["0", "-1", "x", "4", "1000000000"])
def test_a_page_that_is_not_there_is_no_server_error(client, page):
    assert 400 <= client.get(f"/?page={page}").status_code < 500


def test_the_search_ignores_case_and_takes_signs_as_they_are(client):
    assert "Bicycle to give away" in client.get("/?q=bICYCLE").text
    assert "Nothing here yet" in client.get("/?q=%25").text
    assert "Nothing here yet" in client.get("/?q=_").text


def test_pages_keep_the_search(client):
    page = client.get("/?q=the").text
    assert "q=the" in page.split('class="pages"')[1]


def test_a_tag_lists_its_notices(client):
    page = client.get("/?tag=music").text
    assert "Choir needs two altos" in page
    assert "Piano lessons" in page
    assert "Chess" not in page


def test_writing_needs_a_sign_in(client):
    assert client.get("/notices/new").location == "/sign-in"


def test_a_notice_with_a_picture_is_shown_escaped(ada, post):
    reply = post(
        ada, "/notices/new", title="<b>Hi</b>", body="Text", tags=["one", "two", ""],
        picture=(io.BytesIO(PNG), "dot.png"),
    )  # fmt: skip
    assert reply.status_code == 303
    page = ada.get(reply.location).text
    assert "&lt;b&gt;Hi&lt;/b&gt;" in page
    assert ">one</a>" in page
    assert ">two</a>" in page
    picture = ada.get(f"{reply.location}/picture")
    assert picture.data == PNG
    assert picture.content_type == "image/png"
    assert picture.headers["X-Content-Type-Options"] == "nosniff"


def test_a_file_that_is_no_picture_is_an_error_of_its_field(ada, post):
    reply = post(
        ada, "/notices/new", title="A title", body="Text",
        picture=(io.BytesIO(b"<script>"), "dot.png"),
    )  # fmt: skip
    assert reply.status_code == 422
    assert "A title" in reply.text


def test_too_large_a_picture_is_an_error_of_its_field_and_loses_no_text(ada, post):
    reply = post(
        ada, "/notices/new", title="A title", body="My text",
        picture=(io.BytesIO(b"x" * (5 << 20)), "big.png"),
    )  # fmt: skip
    assert reply.status_code == 422
    assert 'value="A title"' in reply.text
    assert "My text</textarea>" in reply.text
    # The test client leaves the file that it sent from to the garbage collector.
    reply.request.environ["wsgi.input"].close()


def test_tags_are_kept_once(app, ada, post):
    for title in ("First", "Second"):
        post(ada, "/notices/new", title=title, body="x", tags=["Same", "same"])
    page = ada.get("/?tag=same").text
    assert "First" in page
    assert "Second" in page


def test_an_unknown_notice_or_picture_is_404(client):
    assert client.get("/notices/999").status_code == 404
    assert client.get("/notices/1/picture").status_code == 404


def test_every_page_has_a_policy_whose_nonce_it_uses(client):
    reply = client.get("/")
    policy = reply.headers["Content-Security-Policy"]
    nonce = policy.split("'nonce-")[1].split("'")[0]
    assert f'nonce="{nonce}"' in reply.text
    assert client.get("/").headers["Content-Security-Policy"] != policy
    assert "Content-Security-Policy" in client.get("/nowhere").headers
    with client.get("/static/board.css") as stylesheet:
        assert "Content-Security-Policy" in stylesheet.headers


def test_notices_with_the_same_new_tag_can_be_posted_at_once(app, post):
    import threading

    from noticeboard.seed import PASSWORD

    together = threading.Barrier(4)
    found = []

    def write(number: int) -> None:
        client = app.test_client()
        post(client, "/sign-in", email="ada@example.org", password=PASSWORD)
        together.wait()
        reply = post(
            client, "/notices/new", title=f"Notice {number}", body="x", tags=["fresh"]
        )
        found.append(reply.status_code)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [303] * 4
    assert app.test_client().get("/?tag=fresh").text.count('class="notice"') == 4


def test_a_tag_that_grows_in_small_letters_is_measured_in_them(ada, post):
    reply = post(ada, "/notices/new", title="A tag", body="Text", tags=["İ" * 13])
    assert reply.status_code == 422


def test_a_search_for_very_much_is_cut(client):
    assert client.get(f"/?q={'a' * 60_000}").status_code == 200


def test_notices_with_the_same_new_tags_do_not_stand_in_each_others_way(
    postgresql_url, tmp_path
):
    app = create_app(
        instance_path=str(tmp_path),
        TESTING=True,
        SQLALCHEMY_DATABASE_URI=postgresql_url,
    )
    with app.app_context():
        alembic.upgrade()
        seed()
    client = app.test_client()
    fields = {"email": "ada@example.org", "password": PASSWORD}
    own = {"Sec-Fetch-Site": "same-origin"}
    client.post("/sign-in", data=fields, headers=own)
    cookie = client.get_cookie("session").value

    def write(number: int) -> int:
        other = app.test_client()
        other.set_cookie("session", cookie)
        names = [f"tag{n}" for n in range(5)]
        notice = {"title": f"Notice {number}", "body": "Text", "tags": names}
        if number % 2:
            names.reverse()
        return other.post("/notices/new", json=notice, headers=own).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(write, range(24))) == [201] * 24
