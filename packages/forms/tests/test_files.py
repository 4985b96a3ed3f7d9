from __future__ import annotations

import io
import sys
import typing as t
import zipfile

import annotated_types as at
import pydantic
import pytest
from forms_page import Page
from hypothesis import given
from hypothesis import strategies as st

from flaskware_core import DeclarationError
from flaskware_forms import File
from flaskware_forms import FormSpec
from flaskware_forms import Upload
from flaskware_forms.testing import submit

PDF = b"%PDF-1.7\n1 0 obj\n%%EOF\n"


class Papers(pydantic.BaseModel):
    table: t.Annotated[Upload, File("csv")] | None = None
    data: t.Annotated[Upload, File("json", "toml", "ics", "vcf")] | None = None
    paper: t.Annotated[Upload, File("pdf", "csv", max_bytes=2000)] | None = None
    office: t.Annotated[Upload, File("docx", "zip")] | None = None
    many: t.Annotated[list[t.Annotated[Upload, File("txt")]], at.MaxLen(2)] = []


SPEC = FormSpec(Papers, name="papers")


OFFICE = "application/vnd.openxmlformats-officedocument."
MACROS = "application/vnd.ms-word.document.macroEnabled.main+xml"
OPEN = "application/vnd.oasis.opendocument."


def zipped(**entries: str | bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in (entries or {"a.txt": "a"}).items():
            archive.writestr(name, content)
    return stream.getvalue()


def office(kind: str, part: str = "word/document.xml", **entries: str | bytes) -> bytes:
    """A package of an office program with one part."""
    types = (
        '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/'
        f'package/2006/content-types"><Override PartName="/{part}"'
        f' ContentType="{kind}"/></Types>'
    )
    return zipped(**{"[Content_Types].xml": types, part: "<x/>", **entries})


DOCX = office(f"{OFFICE}wordprocessingml.document.main+xml")
XLSX = office(f"{OFFICE}spreadsheetml.sheet.main+xml", "xl/workbook.xml")


def compound(name: str) -> bytes:
    """A compound file with a directory of one stream."""
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".ljust(512, b"\0")
    entry = f"{name}\0".encode("utf-16-le").ljust(128, b"\0")
    return head + "Root Entry\0".encode("utf-16-le").ljust(128, b"\0") + entry


@pytest.mark.parametrize(
    ("field", "content", "name", "kept", "content_type"),
    [
        ("paper", PDF, "a.pdf", "a.pdf", "application/pdf"),
        ("paper", PDF, "a.exe", "a.pdf", "application/pdf"),
        ("paper", "ä;b\n1;2\n".encode(), "a.csv", "a.csv", "text/csv"),
        ("office", zipped(), "a.zip", "a.zip", "application/zip"),
        ("office", DOCX, "a.docx", "a.docx", f"{OFFICE}wordprocessingml.document"),
        ("office", DOCX, "a.zip", "a.zip", "application/zip"),
        ("data", b'{"a": 1}', "a.exe", "a.json", "application/json"),
        ("data", b"a = 1", "a.toml", "a.toml", "application/toml"),
        ("data", b"BEGIN:VCARD\nEND:VCARD", "a", "a.vcf", "text/vcard"),
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
        ("paper", b"\xef\xbb\xbfcut \xc3"),
        ("office", PDF),
        ("data", b"{'a': 1}"),
        ("data", b"[" * 100_000),
        ("table", DOCX),
    ],
)
def test_another_kind_is_refused_whatever_it_is_called(make_site, field, content):
    headers = {"Accept": "application/json"}
    response = make_site(SPEC).post(
        {field: (io.BytesIO(content), "a.pdf")}, headers=headers
    )
    (error,) = response.get_json()["errors"]
    assert (error["pointer"], error["code"]) == (f"#/{field}", "upload_kind")


def kind_of(content: bytes, *kinds: str) -> str | None:
    """The kind that a file is taken for, of those which are accepted."""

    class Model(pydantic.BaseModel):
        file: t.Annotated[Upload, File(*kinds)]

    upload = Upload(io.BytesIO(content), filename="a", content_type="", size=1)
    try:
        return Model(file=upload).file.filename.removeprefix("a.")
    except pydantic.ValidationError:
        return None


CONTAINERS = {
    "docx": DOCX,
    "xlsx": XLSX,
    "pptx": office(f"{OFFICE}presentationml.presentation.main+xml", "p.xml"),
    "dotx": office(f"{OFFICE}wordprocessingml.template.main+xml"),
    "docm": office(MACROS),
    "xlsb": office("application/vnd.ms-excel.sheet.binary.macroEnabled.main"),
    "odt": zipped(mimetype=f"{OPEN}text"),
    "ods": zipped(mimetype=f"{OPEN}spreadsheet"),
    "epub": zipped(mimetype="application/epub+zip"),
    "jar": zipped(**{"META-INF/MANIFEST.MF": "x"}),
    "doc": compound("WordDocument"),
    "xls": compound("Workbook"),
    "ppt": compound("PowerPoint Document"),
    "msg": compound("__properties_version1.0"),
    "wav": b"RIFF\x10\0\0\0WAVEfmt ",
    "avi": b"RIFF\x10\0\0\0AVI LIST",
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_kind_inside_of_a_container_is_no_other_kind_of_it(kind):
    content = CONTAINERS[kind]
    assert kind_of(content, kind) == kind
    others = CONTAINERS.keys() - {kind}
    assert kind_of(content, *others) is None
    assert (kind_of(content, "zip") == "zip") is content.startswith(b"PK")


@pytest.mark.parametrize(
    "content",
    [
        zipped(),
        zipped(**{"word/document.xml": "<x/>"}),
        zipped(**{"[Content_Types].xml": "no XML", "word/document.xml": ""}),
        office(f"{OFFICE}wordprocessingml.document.main+xml")[:-30],
        # Its content types name a part that is missing.
        office(f"{OFFICE}wordprocessingml.document.main+xml").replace(
            b"word/document.xml", b"word/documenT.xml", 1
        ),
        zipped(**{"[Content_Types].xml": "<!DOCTYPE a><a/>", "a": ""}),
        zipped(**{"[Content_Types].xml": b"a" * (1 << 20) + b"a"}),
        compound("Other"),
        compound("WordDocument").replace(b"W\0o\0r\0d\0", b"\0W\0o\0r\0d"),
    ],
)
def test_what_only_begins_like_a_document_is_none(content):
    assert kind_of(content, "docx", "doc", "xlsx", "odt") is None


@pytest.mark.parametrize("kind", ["whl", "fbz", "msi", "xpi"])
def test_a_kind_that_nothing_tells_apart_is_refused_where_it_is_declared(kind):
    magic = pytest.importorskip("puremagic")
    if any(each.extension == f".{kind}" for each in magic.magic_header_array):
        with pytest.raises(DeclarationError, match="begins like other files"):
            File(kind)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("latin-1", "cp1252"),
        ("cp1252", "cp1252"),
    ],
)
def test_a_table_of_any_common_encoding_can_be_read(make_site, encoding, name):
    text = "Größe;Café\r\n1;é\r\n"
    site = make_site(SPEC)
    body = {"table": (io.BytesIO(text.encode(encoding)), "a.csv")}
    read: list[str] = []

    @site.app.post("/read")
    @SPEC.handles
    def view(form):
        table = form.submit().table
        assert table.encoding == name
        with io.TextIOWrapper(table.open(), table.encoding, newline="") as file:
            read.append(file.read())
        return table.content_type

    assert submit(site.client, "/read", data=body).text == "text/csv"
    assert read == [text]


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_any_text_is_a_text(encoding, text):
    assert kind_of(text.encode(encoding), "txt") == "txt"


@given(st.binary())
def test_bytes_are_a_text_or_refused_and_never_a_crash(content):
    kind_of(content, "txt", "json", "docx", "doc", "pdf", "toml", "wav")
    kind_of(b"PK\x03\x04" + content, "docx")
    kind_of(DOCX[: len(content)] + content + DOCX[len(content) :], "docx")


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
    with pytest.raises(DeclarationError, match="endings of names"):
        File(*kinds)


def test_the_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "puremagic", None)
    with pytest.raises(ImportError, match=r"flaskware-forms\[files\]"):
        pydantic.create_model("M", f=(t.Annotated[Upload, File("pdf")], ...))
