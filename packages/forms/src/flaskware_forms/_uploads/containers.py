"""Kinds of file that share a signature, by what is inside of them.

A DOCX is a ZIP, and a DOC is a compound file, so their first bytes say little. From
version 2 on, puremagic looks into ZIPs too; it needs Python 3.12.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import zipfile
from xml.parsers import expat

ZIP = b"PK\x03\x04"
COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_OFFICE = "application/vnd.openxmlformats-officedocument."
_MICROSOFT = "application/vnd.ms-"
# The content type of the main part (ECMA-376, part 2, section 7.2), without its end.
_MAIN_PARTS = {
    f"{_OFFICE}wordprocessingml.document": "docx",
    f"{_OFFICE}wordprocessingml.template": "dotx",
    f"{_OFFICE}spreadsheetml.sheet": "xlsx",
    f"{_OFFICE}spreadsheetml.template": "xltx",
    f"{_OFFICE}presentationml.presentation": "pptx",
    f"{_OFFICE}presentationml.slideshow": "ppsx",
    f"{_OFFICE}presentationml.template": "potx",
    f"{_MICROSOFT}word.document.macroEnabled": "docm",
    f"{_MICROSOFT}word.template.macroEnabledTemplate": "dotm",
    f"{_MICROSOFT}excel.sheet.macroEnabled": "xlsm",
    f"{_MICROSOFT}excel.template.macroEnabled": "xltm",
    f"{_MICROSOFT}excel.sheet.binary.macroEnabled": "xlsb",
    f"{_MICROSOFT}powerpoint.presentation.macroEnabled": "pptm",
    f"{_MICROSOFT}powerpoint.slideshow.macroEnabled": "ppsm",
    f"{_MICROSOFT}powerpoint.template.macroEnabled": "potm",
    f"{_MICROSOFT}visio.drawing": "vsdx",
}
_OPEN = "application/vnd.oasis.opendocument."
# The content of the entry "mimetype" (OpenDocument 1.3, part 2, section 3.3; EPUB 3.3).
_MIMETYPES = {
    f"{_OPEN}text": "odt", f"{_OPEN}text-template": "ott",
    f"{_OPEN}spreadsheet": "ods", f"{_OPEN}spreadsheet-template": "ots",
    f"{_OPEN}presentation": "odp", f"{_OPEN}presentation-template": "otp",
    f"{_OPEN}graphics": "odg", f"{_OPEN}graphics-template": "otg",
    "application/epub+zip": "epub",
}  # fmt: skip
_ENTRIES = {"META-INF/MANIFEST.MF": "jar", "AndroidManifest.xml": "apk"}
# The stream that each program keeps its document in ([MS-DOC], [MS-XLS], [MS-PPT]).
_STREAMS: dict[str, cabc.Sequence[str]] = {
    "WordDocument": ("doc", "dot"),
    "Workbook": ("xls", "xlt"),
    "Book": ("xls", "xlt"),
    "PowerPoint Document": ("ppt", "pps", "pot"),
    "__properties_version1.0": ("msg",),
    "VisioDocument": ("vsd",),
}
_RIFF = {b"WAVE": "wav", b"AVI ": "avi", b"WEBP": "webp"}

ZIPPED = frozenset({"zip", *_MAIN_PARTS.values(), *_MIMETYPES.values()}) | frozenset(
    _ENTRIES.values()
)
"""The kinds of ZIP that are known here."""

COMPOUNDS = frozenset(kind for kinds in _STREAMS.values() for kind in kinds)
"""The kinds of compound file that are known here."""

# A directory entry has 128 bytes and begins with its name ([MS-CFB], section 2.6.1).
_ENTRY = 128
# Nothing that is read here is longer in a real document.
_MAX_PART = 1 << 20


def kinds_inside(stream: t.IO[bytes]) -> frozenset[str] | None:
    """Return the kinds that a file with a shared signature is of.

    :return: ``None`` if the signature is not shared.
    """
    stream.seek(0)
    head = stream.read(12)
    if head.startswith((ZIP, b"PK\x05\x06")):
        return _zipped(stream)
    if head.startswith(COMPOUND):
        return _compound(stream)
    if head.startswith(b"RIFF"):
        kind = _RIFF.get(head[8:])
        return frozenset({kind}) if kind else frozenset()
    return None


def _zipped(stream: t.IO[bytes]) -> frozenset[str]:
    try:
        with zipfile.ZipFile(stream) as archive:
            names = set(archive.namelist())
            found = {kind for name, kind in _ENTRIES.items() if name in names}
            if "mimetype" in names:
                text = _part(archive, "mimetype").decode("ascii", "replace").strip()
                found.add(_MIMETYPES.get(text, "zip"))
            if "[Content_Types].xml" in names:
                types = _content_types(_part(archive, "[Content_Types].xml"))
                found.update(
                    _MAIN_PARTS.get(kind.removesuffix("+xml").removesuffix(".main"), "")
                    for name, kind in types
                    if name.removeprefix("/") in names
                )
    except (zipfile.BadZipFile, expat.ExpatError, NotImplementedError, OSError,
            RuntimeError, EOFError, ValueError):  # fmt: skip
        # zipfile raises these if a ZIP is broken, encrypted or packed otherwise.
        return frozenset()
    return frozenset(found | {"zip"})


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as part:
        content = part.read(_MAX_PART + 1)
    if len(content) > _MAX_PART:
        raise ValueError(name)
    return content


def _content_types(content: bytes) -> list[tuple[str, str]]:
    """The name and the content type of each part that has its own."""
    found: list[tuple[str, str]] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag.rpartition(":")[2] == "Override":
            part = attributes.get("PartName", ""), attributes.get("ContentType", "")
            found.append(part)

    def refuse(*_: object) -> None:
        # No package has a document type, in which entities can be declared.
        raise ValueError

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(content, True)
    return found


def _compound(stream: t.IO[bytes]) -> frozenset[str]:
    """The kinds of document that a compound file has a stream of.

    The package olefile follows the chain of sectors to the directory. For a name alone
    it is enough that each entry begins at a multiple of its size.
    """
    wanted = {
        f"{name}\0".encode("utf-16-le"): kinds for name, kinds in _STREAMS.items()
    }
    found: set[str] = set()
    stream.seek(0)
    while block := stream.read(_ENTRY):
        for name, kinds in wanted.items():
            if block.startswith(name):
                found.update(kinds)
    return frozenset(found)
