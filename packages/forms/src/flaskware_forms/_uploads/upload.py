"""Uploaded files, and pictures among them."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import os
import typing as t
from pathlib import Path

import pydantic
import pydantic_core
from pydantic_core import core_schema
from werkzeug.datastructures import FileStorage

from flaskware_core import DeclarationError

from .decoder import decode
from .names import copy_to
from .names import safe_filename

ImageFormat: t.TypeAlias = t.Literal["png", "jpeg", "gif", "webp"]

_SUFFIXES: dict[ImageFormat, tuple[str, ...]] = {
    "png": (".png",), "jpeg": (".jpg", ".jpeg"), "gif": (".gif",), "webp": (".webp",),
}  # fmt: skip
_PIXELS = 50_000_000
# Pillow reads all that is no marker of a JPEG byte by byte. Photos take a few hundred
# reads.
_MAX_READS = 20_000


class Upload:
    """A file that came with a form.

    Its content is in memory or in a temporary file, and is deleted after the request.
    Use :meth:`save` to keep it.
    """

    __slots__ = (
        "_stream", "content_type", "encoding", "filename", "original_filename", "size",
    )  # fmt: skip

    filename: str
    """A name without directories or special characters, safe to join to a path. It has
    at most 120 bytes in UTF-8; letters of every script are kept."""

    original_filename: str
    """The name as the client sent it, to be shown and never to be opened."""

    content_type: str
    """The detected type of an :class:`Image` or a :class:`File`; for other files, the
    type from the client."""

    encoding: str | None
    """The encoding of a text that a :class:`File` detected, such as ``"utf-8"``;
    ``None`` for other files."""

    size: int
    """The number of bytes."""

    def __init__(
        self,
        stream: t.IO[bytes],
        *,
        filename: str,
        content_type: str,
        size: int,
        original_filename: str | None = None,
    ) -> None:
        self._stream = stream
        self.filename = filename
        self.original_filename = (
            filename if original_filename is None else original_filename
        )
        self.encoding = None
        self.content_type = content_type
        self.size = size

    def __repr__(self) -> str:
        return f"<Upload {self.filename!r}, {self.content_type}, {self.size} bytes>"

    def open(self) -> t.IO[bytes]:
        """The content from its start, as a binary file."""
        self._stream.seek(0)
        return self._stream

    def read(self) -> bytes:
        """All of the content at once."""
        return self.open().read()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Copy the content to a new file in pieces, and return its path.

        No file is ever overwritten.

        :param path: The file to write; or a directory, for a file of this name. If the
            directory has such a file, the name gets random digits at its end.
        :raises FileExistsError: if ``path`` is a file.
        """
        return copy_to(self.open(), Path(path), self.filename)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: pydantic.GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            _receive,
            serialization=core_schema.plain_serializer_function_ser_schema(
                _describe_upload
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> dict[str, t.Any]:
        return {"type": "string", "format": "binary"}


def _describe_upload(upload: Upload) -> dict[str, object]:
    shown = ("filename", "content_type", "size")
    return {name: getattr(upload, name) for name in shown}


def _receive(value: object, info: pydantic.ValidationInfo) -> Upload:
    limits: cabc.Mapping[str, int] = info.context or {}
    return receive_within(value, limits.get("max_upload_size"))


def receive_within(value: object, limit: int | None) -> Upload:
    """Return an uploaded file, if it is not too large."""
    if isinstance(value, Upload):
        return value
    if not isinstance(value, FileStorage):
        raise pydantic_core.PydanticCustomError("upload_type", "Choose a file.")
    stream = t.cast("t.IO[bytes]", value.stream)
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    if limit is not None and size > limit:
        raise pydantic_core.PydanticCustomError(
            "upload_too_large",
            "Choose a file of at most {limit}.",
            {"limit": readable_size(limit)},
        )
    return Upload(
        stream,
        filename=safe_filename(value.filename or ""),
        original_filename=value.filename or "",
        content_type=value.mimetype or "application/octet-stream",
        size=size,
    )


def readable_size(size: int) -> str:
    """A number of bytes as people write it."""
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size} bytes"


class _Header:
    """A picture of which only the header is read, with a limited number of reads."""

    def __init__(self, stream: t.IO[bytes]) -> None:
        self._stream = stream
        self._left = _MAX_READS

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._stream, name)

    def read(self, size: int = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise OSError
        return self._stream.read(size)


@dc.dataclass(frozen=True, init=False)
class Image:
    """Accepts only pictures as uploads, and reads their headers to make sure.

    Write ``Annotated[Upload, Image("png", "jpeg", max_bytes=2 << 20)]``. The name
    and the type from the client are ignored. Needs ``flaskware-forms[images]``.

    :param formats: The accepted formats.
    :param max_bytes: The maximum size of the file in bytes.
    :param max_pixels: The maximum of width times height, as the header says.
    :param decode: Whether the first frame is decoded too, which refuses pictures that
        are cut off or broken. This happens in a process of its own with 512 MB of
        memory (on Linux) and 10 seconds of computing, and takes at least the 0.1
        seconds that such a process needs to start. A picture that needs more is
        refused.
    """

    formats: tuple[ImageFormat, ...]
    max_bytes: int
    max_pixels: int
    decode: bool

    def __init__(
        self,
        *formats: ImageFormat,
        max_bytes: int = 5 << 20,
        max_pixels: int = _PIXELS,
        decode: bool = False,
    ) -> None:
        unknown = [name for name in formats if name not in _SUFFIXES]
        if unknown or not formats:
            raise DeclarationError(
                f"Image() takes one or more of {', '.join(map(repr, _SUFFIXES))};"
                f" given: {', '.join(map(repr, unknown)) or 'nothing'}."
            )
        object.__setattr__(self, "formats", formats)
        object.__setattr__(self, "max_bytes", max_bytes)
        object.__setattr__(self, "max_pixels", max_pixels)
        object.__setattr__(self, "decode", decode)

    @property
    def accept(self) -> str:
        """The ``accept`` attribute of the control."""
        return ",".join(f"image/{name}" for name in self.formats)

    def __get_pydantic_core_schema__(
        self, source: object, handler: pydantic.GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        _pillow()
        # First this, with the picture's own limit, then the rest of the declaration.
        return core_schema.no_info_before_validator_function(
            self._receive, handler(source)
        )

    def _receive(self, value: object) -> Upload:
        upload = receive_within(value, self.max_bytes)
        kind = self._read_header(upload)
        if self.decode:
            self._decode(upload)
        upload.content_type = f"image/{kind}"
        stem, suffix = os.path.splitext(upload.filename)  # noqa: PTH122
        if suffix.lower() not in _SUFFIXES[kind]:
            upload.filename = f"{stem or 'image'}{_SUFFIXES[kind][0]}"
        return upload

    def _read_header(self, upload: Upload) -> ImageFormat:
        pillow = _pillow()
        header = _Header(upload.open())
        try:
            with pillow.open(header, formats=self._plugins) as picture:
                kind = str(picture.format).lower()
                width, height = picture.size
        except (pillow.DecompressionBombError, pillow.DecompressionBombWarning):
            raise self._too_many_pixels() from None
        except Exception:  # noqa: BLE001 - on hostile bytes, plugins raise anything
            raise self._unreadable() from None
        if width * height > self.max_pixels:
            raise self._too_many_pixels()
        # Phones append a preview to a JPEG, and Pillow calls the result MPO.
        return t.cast("ImageFormat", "jpeg" if kind == "mpo" else kind)

    def _decode(self, upload: Upload) -> None:
        outcome = decode(upload.read(), self._plugins)
        if outcome == "unreadable":
            raise self._unreadable()
        if outcome == "costly":
            raise pydantic_core.PydanticCustomError(
                "image_costly", "This picture takes too much to open. Choose another."
            )

    @property
    def _plugins(self) -> list[str]:
        return [name.upper() for name in self.formats]

    def _unreadable(self) -> pydantic_core.PydanticCustomError:
        return pydantic_core.PydanticCustomError(
            "image_unreadable",
            "Choose a picture in the format {formats}.",
            {"formats": " or ".join(self._plugins)},
        )

    def _too_many_pixels(self) -> pydantic_core.PydanticCustomError:
        return pydantic_core.PydanticCustomError(
            "image_too_large",
            "Choose a picture of at most {pixels} megapixels.",
            {"pixels": f"{self.max_pixels / 1_000_000:.3g}"},
        )


def _pillow() -> t.Any:
    try:
        import PIL.Image
    except ImportError:
        raise ImportError(
            "Image() reads pictures with Pillow, which is not installed."
            " Run `pip install 'flaskware-forms[images]'`."
        ) from None
    return PIL.Image
