"""Uploads of a kind, detected from their content."""

from __future__ import annotations

import codecs
import collections.abc as cabc
import dataclasses as dc
import json
import os
import tomllib
import typing as t

import pydantic
import pydantic_core
from pydantic_core import core_schema

from flaskware_core import DeclarationError

from .containers import COMPOUND
from .containers import COMPOUNDS
from .containers import kinds_inside
from .containers import ZIP
from .containers import ZIPPED
from .upload import receive_within
from .upload import Upload

_SAMPLE = 1 << 16
# Kinds of text, which have no signature, and their types.
_TEXTS = {
    "csv": "text/csv", "ics": "text/calendar", "json": "application/json",
    "md": "text/markdown", "toml": "application/toml", "txt": "text/plain",
    "vcf": "text/vcard", "yaml": "application/yaml",
}  # fmt: skip
# Of a text, the kinds that are more than any text.
_GRAMMARS: dict[str, cabc.Callable[[str], object]] = {
    "ics": lambda text: _begin(text, "BEGIN:VCALENDAR"),
    "json": json.loads,
    "toml": tomllib.loads,
    "vcf": lambda text: _begin(text, "BEGIN:VCARD"),
}
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dc.dataclass(frozen=True)
class File:
    """Accepts only uploads of a kind; goes into ``Annotated[Upload, ...]``.

    puremagic detects the kind from the content; the name and the type from the client
    are ignored. Documents of office programs are recognised by what is inside of them.
    Text is in UTF-8, in UTF-16 with a byte order mark, or in Windows-1252 (Latin-1),
    without control characters such as U+0000; see ``Upload.encoding``. Needs
    ``flaskware-forms[files]``. For pictures use :class:`Image`.

    :param kinds: The accepted kinds, as endings of names: ``"pdf"``, ``"zip"``,
        ``"docx"``, ``"csv"``.
    :param max_bytes: The maximum size of the file in bytes.
    :raises DeclarationError: for a kind that looks like other kinds, such as a format
        of its own in a ZIP.
    """

    kinds: tuple[str, ...]
    max_bytes: int

    def __init__(self, *kinds: str, max_bytes: int = 5 << 20) -> None:
        if not kinds or any(not kind.isalnum() or not kind.islower() for kind in kinds):
            raise DeclarationError(
                "File() takes endings of names without a dot, in lower case, such as"
                ' File("pdf", "csv"); given:'
                f" {', '.join(map(repr, kinds)) or 'none'}."
            )
        _refuse_shared(kinds)
        object.__setattr__(self, "kinds", kinds)
        object.__setattr__(self, "max_bytes", max_bytes)

    @property
    def accept(self) -> str:
        """The ``accept`` attribute of the control."""
        return ",".join(f".{kind}" for kind in self.kinds)

    def __get_pydantic_core_schema__(
        self, source: object, handler: pydantic.GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        _puremagic()
        return core_schema.no_info_before_validator_function(
            self._receive, handler(source)
        )

    def _receive(self, value: object) -> Upload:
        upload = receive_within(value, self.max_bytes)
        kind = self._kind_of(upload)
        if kind is None:
            raise pydantic_core.PydanticCustomError(
                "upload_kind",
                "Choose a file of the kind {kinds}.",
                {"kinds": ", ".join(name.upper() for name in self.kinds)},
            )
        stem, suffix = os.path.splitext(upload.filename)  # noqa: PTH122
        if suffix.lower() != f".{kind}":
            upload.filename = f"{stem or 'file'}.{kind}"
        return upload

    def _kind_of(self, upload: Upload) -> str | None:
        types = _types_of(upload)
        inside = kinds_inside(upload.open())
        wished = upload.filename.rpartition(".")[2].lower()
        for kind in sorted(self.kinds, key=lambda kind: kind != wished):
            if kind in _TEXTS:
                encoding = None if inside is not None else _encoding_of(upload.open())
                if encoding is not None and _is_of(kind, upload, encoding):
                    upload.encoding = encoding
                    upload.content_type = _TEXTS[kind]
                    return kind
            elif kind in (types if inside is None else inside):
                upload.content_type = types.get(kind) or "application/octet-stream"
                return kind
        return None


def _types_of(upload: Upload) -> dict[str, str]:
    """The types of the kinds whose signature a file has."""
    magic = _puremagic()
    try:
        found: list[t.Any] = magic.magic_stream(upload.open())
    except (magic.PureError, ValueError):
        return {}
    # The most likely first.
    return {
        str(each.extension).removeprefix("."): str(each.mime_type)
        for each in reversed(found)
    }


def _refuse_shared(kinds: tuple[str, ...]) -> None:
    for kind in kinds:
        heads = {
            each.byte_match
            for each in _puremagic().magic_header_array
            if each.extension == f".{kind}" and each.offset == 0
        }
        for shared, known in ((ZIP, ZIPPED), (COMPOUND, COMPOUNDS)):
            alike = heads and all(head.startswith(shared) for head in heads)
            if alike and kind not in known:
                raise DeclarationError(
                    f"File({kind!r}) begins like other files, and File() does not look"
                    " inside."
                    f" Of such files, it knows: {', '.join(sorted(known))}."
                )


def _encoding_of(stream: t.IO[bytes]) -> str | None:
    """Return the encoding of a text; ``None`` for anything but text.

    Nothing can tell apart the encodings of one byte for each character, so they count
    as Windows-1252, which browsers read Latin-1 as (WHATWG Encoding, section 4.2).
    charset-normalizer guesses between them by the frequency of letters, which in a
    table of names and numbers it often gets wrong.
    """
    head = stream.read(3)
    marked = next((name for mark, name in _MARKS.items() if head.startswith(mark)), "")
    candidates = [marked] if marked else ["utf-8", "cp1252"]
    return next((name for name in candidates if _decodes(stream, name)), None)


def _decodes(stream: t.IO[bytes], encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    stream.seek(0)
    try:
        while piece := stream.read(_SAMPLE):
            text = decoder.decode(piece)
            if any(c < " " and c not in "\t\r\n\f" for c in text):
                return False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _is_of(kind: str, upload: Upload, encoding: str) -> bool:
    grammar = _GRAMMARS.get(kind)
    if grammar is None:
        return True
    try:
        grammar(upload.read().decode(encoding))
    except (ValueError, RecursionError):
        return False
    return True


def _begin(text: str, start: str) -> None:
    if not text.lstrip().upper().startswith(start):
        raise ValueError


def _puremagic() -> t.Any:
    try:
        import puremagic
    except ImportError:
        raise ImportError(
            "File() detects kinds with puremagic, which is not installed."
            " Run `pip install 'flaskware-forms[files]'`."
        ) from None
    return puremagic
