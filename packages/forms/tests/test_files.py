from __future__ import annotations

import io
import sys
import typing as t
import zipfile

import annotated_types as at
import pydantic
import pytest
from forms_page import Page

from flaskware_forms import File
from flaskware_forms import FormSpec
from flaskware_forms import Upload

PDF = b"%PDF-1.7\n1 0 obj\n%%EOF\n"


class Papers(pydantic.BaseModel):
    paper: t.Annotated[Upload, File("pdf", "csv", max_bytes=2000)] | None = None
    office: t.Annotated[Upload, File("docx", "zip")] | None = None
    many: t.Annotated[list[t.Annotated[Upload, File("txt")]], at.MaxLen(2)] = []


SPEC = FormSpec(Papers, name="papers")


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "a")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("field", "content", "name", "kept", "content_type"),
    [
        ("paper", PDF, "a.pdf", "a.pdf", "application/pdf"),
        ("paper", PDF, "a.exe", "a.pdf", "application/pdf"),
        ("paper", "ä;b\n1;2\n".encode(), "a.csv", "a.csv", "text/plain"),
        ("office", zipped(), "a.zip", "a.zip", "application/zip"),
    ],
)
def test_the_content_tells_the_kind(
    make_site, field, content, name, kept, content_type
):
    site = make_site(SPEC)
    response = site.post({field: (io.BytesIO(content), name, "image/png")})
    assert response.status_code == 303
    upload = getattr(site.data, field)
    assert (upload.filename, upload.content_type) == (kept, content_type)


@pytest.mark.parametrize(
    ("field", "content"),
    [
        ("paper", b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff"),
        ("paper", b"a;b\x00c"),
        ("paper", b"\xff\xfe\xfd no text"),
        ("paper", b"cut \xc3"),
        ("office", PDF),
    ],
)
def test_another_kind_is_refused_whatever_it_is_called(make_site, field, content):
    headers = {"Accept": "application/json"}
    response = make_site(SPEC).post(
        {field: (io.BytesIO(content), "a.pdf")}, headers=headers
    )
    (error,) = response.get_json()["errors"]
    assert (error["pointer"], error["code"]) == (f"#/{field}", "upload_kind")


def test_size_and_count_are_bounded_and_both_errors_told(make_site):
    body = {
        "paper": (io.BytesIO(PDF + b" " * 3000), "a.pdf"),
        "many": [(io.BytesIO(b"x"), f"{i}.txt") for i in range(3)],
    }
    response = make_site(SPEC).post(body, headers={"Accept": "application/json"})
    errors = response.get_json()["errors"]
    assert [(e["pointer"], e["code"]) for e in errors] == [
        ("#/paper", "upload_too_large"),
        ("#/many", "too_long"),
    ]


def test_the_browser_is_told_the_kinds():
    from flaskware_core.testing import make_app
    from flaskware_forms import Forms

    with make_app(Forms()).test_request_context():
        page = Page(SPEC.bind().render())
    assert page.control("paper")["accept"] == ".pdf,.csv"
    assert page.control("many")["accept"] == ".txt"


@pytest.mark.parametrize("kinds", [(), (".pdf",), ("PDF",)])
def test_kinds_that_are_no_endings_are_refused(kinds):
    with pytest.raises(ValueError, match="endings of names"):
        File(*kinds)


def test_the_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "puremagic", None)
    with pytest.raises(ImportError, match=r"flaskware-forms\[files\]"):
        pydantic.create_model("M", f=(t.Annotated[Upload, File("pdf")], ...))
