"""The cost of a picture: its header by default, a process with limits on request."""

from __future__ import annotations

import io
import subprocess
import sys
import typing as t
import warnings
from pathlib import Path

import PIL.Image
import pydantic
import pytest

from flaskware_forms import Image
from flaskware_forms import Upload
from flaskware_forms._uploads import decoder
from flaskware_forms._uploads.upload import _MAX_READS

SOS = b"\xff\xda"
EOI = b"\xff\xd9"


class Model(pydantic.BaseModel):
    a: t.Annotated[Upload, Image("png", "jpeg", "gif", "webp")]


class Decoded(pydantic.BaseModel):
    a: t.Annotated[Upload, Image("png", "jpeg", "gif", "webp", decode=True)]


def code(content: bytes, model: type[pydantic.BaseModel] = Model) -> str | None:
    """Why a picture is refused."""
    upload = Upload(
        io.BytesIO(content), filename="a", content_type="", size=len(content)
    )
    try:
        model.model_validate({"a": upload})
    except pydantic.ValidationError as error:
        return error.errors()[0]["type"]
    return None


def encode(mode: str = "RGB", kind: str = "JPEG", **options: t.Any) -> bytes:
    stream = io.BytesIO()
    PIL.Image.effect_noise((64, 64), 50).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def sized(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG that claims a size."""
    marker = b"\xff\xc2" if b"\xff\xc2" in jpeg else b"\xff\xc0"
    at = jpeg.index(marker) + 5
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return jpeg[:at] + size + jpeg[at + 4 :]


def repeated(jpeg: bytes, times: int) -> bytes:
    """A progressive JPEG that has its last scan many times."""
    scan = jpeg[jpeg.rindex(SOS) : -len(EOI)]
    return jpeg[: -len(EOI)] + scan * times + EOI


PICTURES = {
    **{
        f"{mode} {progressive}": encode(mode, progressive=progressive)
        for mode in ("L", "RGB", "CMYK")
        for progressive in (False, True)
    },
    "restart markers": encode(restart_marker_blocks=1),
    "png": encode(kind="PNG"),
    "gif": encode(kind="GIF"),
    "webp": encode(kind="WEBP"),
    "webp, lossless": encode(kind="WEBP", lossless=True),
}


@pytest.mark.parametrize("name", PICTURES)
def test_what_encoders_write_is_accepted(name):
    assert code(PICTURES[name]) is None


# One process for each: a few stand for all.
@pytest.mark.parametrize("name", ["CMYK True", "png", "gif", "webp"])
def test_what_encoders_write_is_decoded_on_request(name):
    assert code(PICTURES[name], Decoded) is None
    assert code(PICTURES[name][:-60], Decoded) == "image_unreadable"


def test_a_picture_with_a_preview_after_it_is_a_jpeg():
    stream = io.BytesIO()
    frames = [PIL.Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    frames[0].save(stream, "MPO", save_all=True, append_images=frames[1:])
    content = stream.getvalue()
    assert code(content) is None
    upload = Upload(io.BytesIO(content), filename="a", content_type="", size=1)
    assert Model(a=upload).a.content_type == "image/jpeg"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_by_default_only_the_header_is_read(monkeypatch, kind):
    plugin = type(PIL.Image.open(io.BytesIO(encode(kind=kind))))

    def load(self: object) -> None:
        raise AssertionError

    monkeypatch.setattr(plugin, "load", load)
    monkeypatch.setattr(plugin, "seek", load)
    assert code(encode(kind=kind)) is None


@pytest.mark.parametrize("most", [64 * 64, 64 * 64 - 1])
def test_the_header_bounds_the_pixels(most):
    class Small(pydantic.BaseModel):
        a: t.Annotated[Upload, Image("png", "jpeg", "webp", max_pixels=most)]

    for kind in ("PNG", "JPEG", "WEBP"):
        wanted = None if most == 64 * 64 else "image_too_large"
        assert code(encode(kind=kind), Small) == wanted


@pytest.mark.parametrize("size", [(8000, 8000), (20_000, 20_000)])
def test_a_header_of_many_pixels_is_refused_whatever_pillow_warns_of(size):
    jpeg = sized(encode(), *size)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert code(jpeg) == "image_too_large"
        assert code(jpeg, Decoded) == "image_too_large"


@pytest.mark.parametrize(
    "prefix",
    [b"\xff\xfe\x00\x02" * _MAX_READS, b"\xff" * 2 * _MAX_READS],
    ids=["comments", "padding"],
)
def test_a_header_that_takes_many_reads_is_refused(prefix):
    assert code(b"\xff\xd8" + prefix + encode()[2:]) == "image_unreadable"


# In CMYK, a pixel takes 4 bytes, and 8 more while a progressive JPEG is decoded.
@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux only")
def test_a_picture_that_takes_more_memory_than_the_process_has_is_refused():
    jpeg = sized(encode("CMYK", subsampling="4:4:4", progressive=True), 7000, 7000)
    # libjpeg reports a lack of memory as it reports a broken file.
    assert code(jpeg, Decoded) in {"image_costly", "image_unreadable"}
    # By default it is not decoded.
    assert code(jpeg) is None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="time is bounded on Linux only")
def test_a_picture_that_takes_more_time_than_the_process_has_is_refused():
    grey = sized(encode("L", progressive=True), 7000, 7000)
    # Far more than the time: one processor is several times as fast as another.
    assert code(repeated(grey, 20_000), Decoded) == "image_costly"


def test_a_process_that_does_not_answer_is_stopped(monkeypatch):
    def run(*arguments: object, timeout: float, **options: object) -> None:
        assert timeout
        raise subprocess.TimeoutExpired("python", timeout)

    monkeypatch.setattr(subprocess, "run", run)
    assert code(encode(), Decoded) == "image_costly"


def test_a_process_that_does_not_start_is_an_error_and_no_refusal(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    monkeypatch.setattr(sys, "exec_prefix", "/nonexistent")
    with pytest.raises(FileNotFoundError):
        code(encode(), Decoded)
    monkeypatch.undo()
    monkeypatch.setattr(decoder, "__file__", "/nonexistent.py")
    with pytest.raises(RuntimeError, match="did not start"):
        code(encode(), Decoded)


def test_the_program_is_found_inside_of_a_server_that_embeds_python(monkeypatch):
    if not Path(sys.exec_prefix, "bin", "python3").exists():
        pytest.skip("this Python is laid out in another way")
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    assert code(encode(), Decoded) is None


def test_the_process_gets_no_secrets_of_the_app(monkeypatch):
    seen: list[t.Any] = []
    run = subprocess.run

    def watch(*arguments: t.Any, **options: t.Any) -> t.Any:
        seen.append(options["env"])
        return run(*arguments, **options)

    monkeypatch.setattr(subprocess, "run", watch)
    monkeypatch.setenv("FLASK_SECRET_KEY", "secret")
    assert code(encode(), Decoded) is None
    assert "FLASK_SECRET_KEY" not in seen[0]


@pytest.mark.parametrize("end", range(3, 160, 7))
def test_a_header_cut_anywhere_is_unreadable(end):
    assert code(encode()[:end]) == "image_unreadable"


@pytest.mark.parametrize("components", [0, 2, 255])
def test_a_frame_of_odd_components_is_no_error_of_the_server(components):
    jpeg = encode()
    at = jpeg.index(b"\xff\xc0") + 9
    odd = jpeg[:at] + bytes([components]) + b"\0" * 12 + jpeg[at + 13 :]
    assert code(odd) == "image_unreadable"
