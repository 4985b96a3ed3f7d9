"""Uploads of a kind, detected from their content."""

from __future__ import annotations

import dataclasses as dc
import os
import typing as t

import pydantic
import pydantic_core
from pydantic_core import core_schema

from .upload import receive_within
from .upload import Upload

# Kinds without a signature of their own; any text is one of them.
_TEXTS = frozenset({"txt", "csv", "json", "md", "ics", "vcf", "yaml", "toml"})
_SAMPLE = 1 << 16


@dc.dataclass(frozen=True)
class File:
    """Accepts only uploads of a kind; goes into ``Annotated[Upload, ...]``.

    puremagic detects the kind from the content; the name and the type from the client
    are ignored. Text is UTF-8 without control characters such as U+0000. Needs
    ``flaskware-forms[files]``. For pictures, which are opened too, use :class:`Image`.

    :param kinds: The accepted kinds, as endings of names: ``"pdf"``, ``"zip"``,
        ``"docx"``, ``"csv"``.
    :param max_bytes: The maximum size of the file in bytes.
    """

    kinds: tuple[str, ...]
    max_bytes: int

    def __init__(self, *kinds: str, max_bytes: int = 5 << 20) -> None:
        if not kinds or any(not kind.isalnum() or not kind.islower() for kind in kinds):
            raise ValueError(
                "File() takes endings of names without a dot, in lower case, such as"
                ' File("pdf", "csv"); given:'
                f" {', '.join(map(repr, kinds)) or 'none'}."
            )
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
        magic = _puremagic()
        try:
            found: list[t.Any] = magic.magic_stream(upload.open())
        except (magic.PureError, ValueError):
            found = []
        endings = {str(each.extension).removeprefix(".") for each in found}
        # Several kinds begin alike, such as everything based on ZIP.
        wished = upload.filename.rpartition(".")[2].lower()
        for kind in sorted(self.kinds, key=lambda kind: kind != wished):
            if kind in endings:
                types = [e.mime_type for e in found if e.extension == f".{kind}"]
                upload.content_type = types[0] or "application/octet-stream"
                return kind
            if kind in _TEXTS and _is_text(upload):
                upload.content_type = "text/plain"
                return kind
        return None


def _is_text(upload: Upload) -> bool:
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")()
    stream = upload.open()
    try:
        while piece := stream.read(_SAMPLE):
            text = decoder.decode(piece)
            if any(c < " " and c not in "\t\r\n\f" for c in text):
                return False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _puremagic() -> t.Any:
    try:
        import puremagic
    except ImportError:
        raise ImportError(
            "File() detects kinds with puremagic, which is not installed."
            " Run `pip install 'flaskware-forms[files]'`."
        ) from None
    return puremagic
