"""Uploaded files, and pictures among them."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import os
import shutil
import typing as t
from pathlib import Path

import pydantic
import pydantic_core
from pydantic_core import core_schema
from werkzeug.datastructures import FileStorage
from werkzeug.utils import secure_filename

ImageFormat: t.TypeAlias = t.Literal["png", "jpeg", "gif", "webp"]

_SUFFIXES: dict[ImageFormat, tuple[str, ...]] = {
    "png": (".png",), "jpeg": (".jpg", ".jpeg"), "gif": (".gif",), "webp": (".webp",),
}  # fmt: skip
_PIXELS = 50_000_000
# Five bytes per pixel are 250 MB: a photo of 50 megapixels, and a quarter more.
_BYTES_PER_PIXEL = 5
# Of one component each. A progressive photo of 50 megapixels has about fourteen.
_PASSES_PER_PIXEL = 20
# libwebp keeps two canvases and two copies of them beside the decoded picture.
_WEBP_BYTES_PER_PIXEL = 17


class Upload:
    """A file that came with a form.

    Its content is in memory or in a temporary file, and is deleted after the request.
    Use :meth:`save` to keep it.
    """

    __slots__ = ("_stream", "content_type", "filename", "size")

    filename: str
    """A name without directories or special characters, safe to join to a path."""

    content_type: str
    """The detected type of an :class:`Image` or a :class:`File`; for other files, the
    type from the client."""

    size: int
    """The number of bytes."""

    def __init__(
        self, stream: t.IO[bytes], *, filename: str, content_type: str, size: int
    ) -> None:
        self._stream = stream
        self.filename = filename
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
        """Copy the content to a file in pieces, and return its path.

        :param path: The file to write, or a directory for a file of this name.
        """
        target = Path(path)
        if target.is_dir():
            target /= self.filename
        with target.open("wb") as file:
            shutil.copyfileobj(self.open(), file)
        return target

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
        filename=secure_filename(value.filename or "") or "file",
        content_type=value.mimetype or "application/octet-stream",
        size=size,
    )


def readable_size(size: int) -> str:
    """A number of bytes as people write it."""
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size} bytes"


@dc.dataclass(frozen=True, init=False)
class Image:
    """Accepts only pictures as uploads, and opens them to make sure.

    Write ``Annotated[Upload, Image("png", "jpeg", max_bytes=2 << 20)]``. The name
    and the type from the client are ignored. Needs ``flaskware-forms[images]``.

    :param formats: The accepted formats.
    :param max_bytes: The maximum size of the file in bytes.
    :param max_pixels: The maximum of width times height, read from the header before
        the picture is unpacked. It bounds memory too: 250 MB with the default of 50
        megapixels, and five bytes per pixel above that. Formats that need more memory,
        such as progressive JPEG (7 to 12 bytes) and WebP (17 bytes), are limited to
        fewer pixels. A JPEG with more than 100 scans is refused.
    """

    formats: tuple[ImageFormat, ...]
    max_bytes: int
    max_pixels: int

    def __init__(
        self, *formats: ImageFormat, max_bytes: int = 5 << 20, max_pixels: int = _PIXELS
    ) -> None:
        unknown = [name for name in formats if name not in _SUFFIXES]
        if unknown or not formats:
            raise ValueError(
                f"Image() takes one or more of {', '.join(map(repr, _SUFFIXES))};"
                f" given: {', '.join(map(repr, unknown)) or 'nothing'}."
            )
        object.__setattr__(self, "formats", formats)
        object.__setattr__(self, "max_bytes", max_bytes)
        object.__setattr__(self, "max_pixels", max_pixels)

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
        kind = self._open(upload)
        upload.content_type = f"image/{kind}"
        stem, suffix = os.path.splitext(upload.filename)  # noqa: PTH122
        if suffix.lower() not in _SUFFIXES[kind]:
            upload.filename = f"{stem or 'image'}{_SUFFIXES[kind][0]}"
        return upload

    def _open(self, upload: Upload) -> ImageFormat:
        pillow = _pillow()
        wanted = [name.upper() for name in self.formats]
        try:
            self._refuse_costly_jpeg(upload)
            with pillow.open(upload.open(), formats=wanted) as picture:
                kind = str(picture.format).lower()
                width, height = picture.size
                cost = _WEBP_BYTES_PER_PIXEL if kind == "webp" else 0
                self._refuse_pixels(width * height, cost)
                picture.load()
        except pydantic_core.PydanticCustomError:
            raise
        except (pillow.DecompressionBombError, pillow.DecompressionBombWarning):
            raise _too_many_pixels(self.max_pixels) from None
        except Exception:  # noqa: BLE001 - on hostile bytes, decoders raise anything
            raise pydantic_core.PydanticCustomError(
                "image_unreadable",
                "Choose a picture in the format {formats}.",
                {"formats": " or ".join(name.upper() for name in self.formats)},
            ) from None
        # Phones append a preview to a JPEG, and Pillow calls the result MPO.
        return t.cast("ImageFormat", "jpeg" if kind == "mpo" else kind)

    def _refuse_costly_jpeg(self, upload: Upload) -> None:
        if "jpeg" not in self.formats:
            return
        from .jpeg import read_jpeg

        if (jpeg := read_jpeg(upload.open())) is not None:
            self._refuse_pixels(jpeg.pixels, jpeg.memory, jpeg.passes)

    def _refuse_pixels(self, pixels: int, memory: float, passes: int = 0) -> None:
        """Refuse more pixels than are allowed at the cost of each."""
        most = self.max_pixels
        # A small max_pixels limits the picture, not the memory of the server.
        bound = max(most, _PIXELS)
        if memory:
            most = min(most, int(bound * _BYTES_PER_PIXEL / memory))
        if passes:
            most = min(most, bound * _PASSES_PER_PIXEL // passes)
        if pixels > most:
            raise _too_many_pixels(most)


def _too_many_pixels(most: int) -> pydantic_core.PydanticCustomError:
    return pydantic_core.PydanticCustomError(
        "image_too_large",
        "Choose a picture of at most {pixels} megapixels.",
        {"pixels": f"{most / 1_000_000:.3g}"},
    )


def _pillow() -> t.Any:
    try:
        import PIL.Image
    except ImportError:
        raise ImportError(
            "Image() opens pictures with Pillow, which is not installed."
            " Run `pip install 'flaskware-forms[images]'`."
        ) from None
    return PIL.Image
