"""Uploaded files, and what is asked of their content."""

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
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg"),
    "gif": (".gif",),
    "webp": (".webp",),
}


_PIXELS = 50_000_000
# Five bytes a pixel are 250 MB: what a photo of 50 megapixels takes, and a fourth more.
_BYTES_PER_PIXEL = 5
# Of one component each. A progressive photo of 50 megapixels has about fourteen.
_PASSES_PER_PIXEL = 20
# libwebp keeps two canvases, from which two copies are made, beside what it decodes.
_WEBP_BYTES_PER_PIXEL = 17


class Upload:
    """A file that came with a form.

    Its content is where the server put it, in memory or in a temporary file, and is
    gone once the request is over: :meth:`save` what should stay.
    """

    __slots__ = ("_stream", "content_type", "filename", "size")

    filename: str
    """A name without directories or special characters, safe to join to a path."""

    content_type: str
    """What an :class:`Image` turned out to be; for other files, what the client
    claims."""

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
        """Copy the content to a file, piece by piece, and return its path.

        :param path: The file to write, or a directory, which then gets a file of
            this upload's name.
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
    return {
        "filename": upload.filename,
        "content_type": upload.content_type,
        "size": upload.size,
    }


def _receive(value: object, info: pydantic.ValidationInfo) -> Upload:
    limits: cabc.Mapping[str, int] = info.context or {}
    return receive_within(value, limits.get("max_upload_size"))


def receive_within(value: object, limit: int | None) -> Upload:
    """The upload that a form got, if it is one and not too large."""
    if isinstance(value, Upload):
        return value
    if not isinstance(value, FileStorage):
        raise pydantic_core.PydanticCustomError("upload_type", "Choose a file.")
    stream = t.cast("t.IO[bytes]", value.stream)
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    _refuse_large(size, limit)
    return Upload(
        stream,
        filename=secure_filename(value.filename or "") or "file",
        content_type=value.mimetype or "application/octet-stream",
        size=size,
    )


def _refuse_large(size: int, limit: int | None) -> None:
    if limit is not None and size > limit:
        raise pydantic_core.PydanticCustomError(
            "upload_too_large",
            "Choose a file of at most {limit}.",
            {"limit": readable_size(limit)},
        )


def readable_size(size: int) -> str:
    """A number of bytes as people write it."""
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size} bytes"


@dc.dataclass(frozen=True, init=False)
class Image:
    """Asks that an upload be a picture, and opens it to make sure.

    Write ``Annotated[Upload, Image("png", "jpeg", max_bytes=2 << 20)]``. The name the
    client gives and the type it claims count for nothing. Needs
    ``flaskware-forms[images]``.

    :param formats: What may come in.
    :param max_bytes: The size of the file at most.
    :param max_pixels: Width times height at most, told from the header before the
        picture is unpacked. It bounds memory as well: 250 MB for a picture with the
        default of 50 megapixels, and five bytes a pixel for more. What takes more to
        unpack, as progressive JPEG (7 to 12 bytes) and WebP (17 bytes) do, has fewer
        pixels then. A JPEG that is gone over more than 100 times is none.
    """

    formats: tuple[ImageFormat, ...]
    max_bytes: int
    max_pixels: int

    def __init__(
        self,
        *formats: ImageFormat,
        max_bytes: int = 5 << 20,
        max_pixels: int = _PIXELS,
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
        # Phones append a preview to a JPEG, which Pillow then calls MPO.
        return t.cast("ImageFormat", "jpeg" if kind == "mpo" else kind)

    def _refuse_costly_jpeg(self, upload: Upload) -> None:
        if "jpeg" not in self.formats:
            return
        from .jpeg import read_jpeg

        if (jpeg := read_jpeg(upload.open())) is not None:
            self._refuse_pixels(jpeg.pixels, jpeg.memory, jpeg.passes)

    def _refuse_pixels(self, pixels: int, memory: float, passes: int = 0) -> None:
        """Refuse more pixels than are allowed at what each of them costs."""
        most = self.max_pixels
        # A small max_pixels is about the picture, and not about the server.
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
