from __future__ import annotations

import io
import typing as t
from concurrent import futures

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaskware_core import DeclarationError
from flaskware_core.testing import make_app
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Image
from flaskware_forms import Upload
from flaskware_forms._uploads.names import safe_filename
from flaskware_forms.testing import submit


class Profile(pydantic.BaseModel):
    name: str = ""
    avatar: t.Annotated[Upload, Image("png", "jpeg", max_bytes=4000)] | None = None
    letter: Upload | None = None
    more: list[Upload] = []


SPEC = FormSpec(Profile, name="p")


@pytest.fixture
def site(make_site):
    return make_site(SPEC, FORMS_MAX_UPLOAD_SIZE=50)


def post(site: t.Any, content: bytes, name: str = "a.png", field: str = "avatar"):
    return site.post({field: (io.BytesIO(content), name, "image/png")})


def code(response: t.Any) -> str:
    return response.get_json()["errors"][0]["code"]


@pytest.fixture
def refused(site):
    def run(content: bytes, name: str = "a.png", field: str = "avatar") -> str:
        return code(
            site.post(
                {field: (io.BytesIO(content), name)},
                headers={"Accept": "application/json"},
            )
        )

    return run


def keep(site: t.Any, seen: list[t.Any]) -> None:
    # An upload is gone when its request is over.
    original = site.app.view_functions["form"]
    spec = SPEC

    def view(form: t.Any) -> str:
        data = form.submit()
        seen.append((data.avatar.read(), data.avatar.open().read(), data.avatar))
        return "kept"

    site.app.view_functions["form"] = spec.handles(view)
    assert original is not view


@pytest.mark.parametrize("size", [400_000, 600_000])
def test_a_file_may_be_longer_than_the_memory_of_a_form(site, size):
    body = (
        b"--b\r\nContent-Disposition: form-data;"
        b' name="letter"; filename="a.txt"\r\n\r\n' + b"x" * size + b"\r\n--b--\r\n"
    )
    # As bytes: the test client would leave a file of its own open.
    response = site.post(body, content_type="multipart/form-data; boundary=b")
    assert response.status_code == 422
    assert "letter" in response.text


def test_a_picture_is_opened_and_can_be_read_again(site, picture):
    seen: list[t.Any] = []
    keep(site, seen)
    assert post(site, picture()).text == "kept"
    first, second, upload = seen[0]
    assert first == second == picture()
    assert upload.size == len(picture())
    assert upload.content_type == "image/png"


def test_the_content_decides_the_type_and_the_suffix(site, picture):
    assert post(site, picture("JPEG"), "photo.exe").status_code == 303
    assert site.data.avatar.content_type == "image/jpeg"
    assert site.data.avatar.filename == "photo.jpg"


@pytest.mark.parametrize(
    ("sent", "safe"),
    [
        ("../../etc/passwd.png", "etc_passwd.png"),
        ("C:\\temp\\a b.png", "C_temp_a_b.png"),
        ("...", "file"),
        ("", "file"),
        ("ä ö\x00.png", "ä_ö.png"),
        ("отчёт за май.png", "отчёт_за_май.png"),
        ("हिन्दी.png", "हिन्दी.png"),
        ("--rm -rf;$(x).png", "rm_-rf_x.png"),
        ("NUL.png", "_NUL.png"),
        ("com1.tar.gz", "_com1.tar.gz"),
        ("\uff2e\uff35\uff2c\uff0epng", "_NUL.png"),
        ("a\u202egnp.exe", "a_gnp.exe"),
        ("a" * 400 + ".png", "a" * 116 + ".png"),
        ("я" * 400 + ".png", "я" * 58 + ".png"),
        (".png", "png"),
        ("a." + "b" * 300, "a." + "b" * 118),
    ],
)
def test_a_name_is_made_safe(sent, safe):
    assert safe_filename(sent) == safe


@pytest.mark.parametrize("sent", ["../a b.png", "отчёт.png", "я" * 400 + ".png"])
def test_the_name_that_was_sent_is_kept_beside_the_safe_name(site, picture, sent):
    assert post(site, picture(), sent).status_code == 303
    upload = site.data.avatar
    assert (upload.filename, upload.original_filename) == (safe_filename(sent), sent)


@given(st.text(max_size=300))
def test_any_name_becomes_a_name_that_a_file_can_have(name):
    safe = safe_filename(name)
    assert safe == safe_filename(safe)
    assert 0 < len(safe.encode()) <= 121
    assert not set(safe) & set('/\\:*?"<>| \0\n')
    assert safe[0] not in ".-"
    assert safe[-1] not in ". "
    assert safe.partition(".")[0].upper() not in {"CON", "PRN", "AUX", "NUL"}


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"<script>alert(1)</script>"],
)
def test_what_is_no_picture_is_refused_whatever_its_name(refused, content):
    assert refused(content) == "image_unreadable"


def test_a_picture_of_another_format_is_refused(refused, picture):
    assert refused(picture("GIF")) == "image_unreadable"


def test_a_picture_above_its_size_is_refused(refused):
    assert refused(b"x" * 4001) == "upload_too_large"


def test_a_picture_with_too_many_pixels_is_refused_before_it_is_unpacked(
    make_site, picture
):
    class Small(pydantic.BaseModel):
        a: t.Annotated[Upload, Image("png", max_pixels=100)]

    site = make_site(FormSpec(Small, name="s"))
    response = site.post(
        {"a": (io.BytesIO(picture(size=(11, 10))), "a.png")},
        headers={"Accept": "application/json"},
    )
    assert code(response) == "image_too_large"


def test_a_file_without_a_limit_of_its_own_has_the_general_one(site, refused):
    assert refused(b"x" * 51, field="letter") == "upload_too_large"
    assert post(site, b"x" * 50, field="letter").status_code == 303


def test_a_control_left_empty_is_none(site):
    response = site.post({"avatar": (io.BytesIO(b""), "")})
    assert response.status_code == 303
    assert site.data.avatar is None


def test_a_required_file_that_is_missing_says_choose_one(make_site):
    class Must(pydantic.BaseModel):
        a: Upload

    site = make_site(FormSpec(Must, name="m"))
    response = site.post({"a": (io.BytesIO(b""), "")})
    assert "Choose a file." in response.text
    assert "required" in response.text


def test_several_files_of_one_control_are_a_list(site):
    files = [(io.BytesIO(b"1"), "a"), (io.BytesIO(b"22"), "b")]
    assert site.post({"more": files}).status_code == 303
    assert [upload.size for upload in site.data.more] == [1, 2]


def test_a_file_for_a_text_field_is_an_error_of_that_field(site, refused):
    assert refused(b"x", field="name") == "string_type"


def upload(content: bytes = b"content", name: str = "x.txt") -> Upload:
    stream = io.BytesIO(content)
    return Upload(stream, filename=name, content_type="", size=len(content))


def test_saving_writes_the_file_under_its_safe_name(tmp_path):
    class One(pydantic.BaseModel):
        a: Upload

    app = make_app(Forms())

    @app.post("/")
    @FormSpec(One, name="o").handles
    def view(form):
        data = form.submit()
        return str(data.a.save(tmp_path)) + "\n" + str(data.a.save(tmp_path / "b"))

    body = {"a": (io.BytesIO(b"content"), "../x.txt")}
    paths = submit(app.test_client(), "/", data=body).text.split("\n")
    assert paths == [str(tmp_path / "x.txt"), str(tmp_path / "b")]
    assert (tmp_path / "x.txt").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("name", ["x.txt", "x", "я" * 58 + ".png", "b.tar.gz"])
def test_saving_never_overwrites(tmp_path, name):
    contents = [b"first", b"second", b"third"]
    paths = [upload(content, name).save(tmp_path) for content in contents]
    assert paths[0].name == name
    assert [path.read_bytes() for path in paths] == contents
    assert {path.suffix for path in paths} == {paths[0].suffix}
    with pytest.raises(FileExistsError):
        upload(b"other", name).save(paths[0])
    assert paths[0].read_bytes() == b"first"


def test_saving_follows_no_link(tmp_path):
    target = tmp_path / "outside"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "x.txt").symlink_to(target)
    saved = upload().save(folder)
    assert saved.name != "x.txt"
    assert not target.exists()


def test_uploads_of_one_name_at_the_same_time_are_all_kept(tmp_path):
    contents = [str(number).encode() for number in range(40)]
    with futures.ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda content: upload(content).save(tmp_path), contents))
    assert [path.read_bytes() for path in paths] == contents


def test_a_file_that_could_not_be_copied_is_not_left(tmp_path):
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError("No space left on device")

    broken = Upload(Broken(), filename="x", content_type="", size=1)
    with pytest.raises(OSError, match="No space"):
        broken.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_limit_of_the_body_counts_the_files_that_may_come():
    from flaskware_forms import FormsSettings

    settings = FormsSettings(max_body_size=1000, max_upload_size=50)
    # one picture, one letter, and ten of a list without a length
    assert SPEC.compiled.max_body_size(settings) == 1000 + 4000 + 50 + 10 * 50


@pytest.mark.parametrize("formats", [(), ("bmp",), ("png", "svg")])
def test_a_format_that_is_not_known_is_told(formats):
    with pytest.raises(DeclarationError, match="takes one or more of 'png'"):
        Image(*formats)


def test_without_pillow_the_declaration_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"flaskware-forms\[images\]"):

        class Late(pydantic.BaseModel):
            a: t.Annotated[Upload, Image("png")]


def test_an_upload_in_an_answer_is_described_not_copied(site):
    response = site.post(
        {"letter": (io.BytesIO(b"abc"), "l.txt", "text/plain")},
        headers={"Accept": "application/json"},
    )
    assert response.status_code == 201
    assert response.get_json()["letter"] == {
        "filename": "l.txt",
        "content_type": "text/plain",
        "size": 3,
    }
