"""What a picture may cost before it is unpacked."""

from __future__ import annotations

import io
import typing as t

import PIL.Image
import pydantic
import pytest

from flaskware_forms import Image
from flaskware_forms import Upload
from flaskware_forms._uploads.jpeg import CostlyJpeg
from flaskware_forms._uploads.jpeg import MAX_JUNK
from flaskware_forms._uploads.jpeg import MAX_MARKERS
from flaskware_forms._uploads.jpeg import MAX_SCANS
from flaskware_forms._uploads.jpeg import read_jpeg

SOS = b"\xff\xda"
EOI = b"\xff\xd9"


class Model(pydantic.BaseModel):
    a: t.Annotated[Upload, Image("png", "jpeg", "gif", "webp")]


class Large(pydantic.BaseModel):
    a: t.Annotated[Upload, Image("jpeg", max_pixels=100_000_000)]


class Small(pydantic.BaseModel):
    a: t.Annotated[Upload, Image("jpeg", "webp", max_pixels=4096)]


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


def cut(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG that claims a size, without the data of its last scan.

    What is not refused by its markers is refused by the decoder, for its end.
    """
    marker = b"\xff\xc2" if b"\xff\xc2" in jpeg else b"\xff\xc0"
    at = jpeg.index(marker) + 5
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    jpeg = jpeg[:at] + size + jpeg[at + 4 :]
    at = jpeg.rindex(SOS)
    return jpeg[: at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")]


def with_scans(number: int) -> bytes:
    """A grey progressive JPEG of so many scans, of which the last is repeated."""
    jpeg = encode("L", progressive=True)
    scan = jpeg[jpeg.rindex(SOS) : -len(EOI)]
    return jpeg[: -len(EOI)] + scan * (number - jpeg.count(SOS)) + EOI


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("restart", [{}, {"restart_marker_blocks": 1}])
def test_what_encoders_write_is_accepted(mode, progressive, restart):
    jpeg = encode(mode, progressive=progressive, **restart)
    assert code(jpeg) is None
    found = read_jpeg(io.BytesIO(jpeg))
    assert found is not None
    assert found.pixels == 64 * 64
    assert found.components == len(mode)
    assert found.progressive is progressive
    assert found.scans == jpeg.count(SOS)


def test_a_picture_with_a_preview_after_it_is_accepted():
    stream = io.BytesIO()
    frames = [PIL.Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    frames[0].save(stream, "MPO", save_all=True, append_images=frames[1:])
    assert code(stream.getvalue()) is None
    # What comes after the end is not decoded, and costs nothing.
    assert code(encode() + SOS * 1000) is None


def test_as_many_scans_as_allowed_are_decoded_and_one_more_is_refused():
    assert code(with_scans(MAX_SCANS)) is None
    assert code(with_scans(MAX_SCANS + 1)) == "image_unreadable"
    with pytest.raises(CostlyJpeg):
        read_jpeg(io.BytesIO(with_scans(MAX_SCANS + 1)))


# 250 MB, divided by what one pixel takes: 4 for what is unpacked, and 2 for each sample
# of a JPEG in several scans.
@pytest.mark.parametrize(
    ("jpeg", "accepted", "refused"),
    [
        (encode(), (8160, 6120), (8192, 6144)),
        (encode("CMYK"), (7000, 7000), (7000, 7200)),
        (encode("L", progressive=True), (7000, 7000), (7000, 7200)),
        (encode(progressive=True, subsampling="4:2:0"), (5900, 6000), (6000, 6000)),
        (encode(progressive=True, subsampling="4:4:4"), (4900, 5000), (5100, 5000)),
        (encode("CMYK", progressive=True), (5200, 4000), (5220, 4000)),
        # 25 times over are 40 megapixels.
        (with_scans(25), (8000, 5000), (8000, 5001)),
    ],
    ids=["baseline", "cmyk", "grey", "4:2:0", "4:4:4", "progressive cmyk", "scans"],
)
def test_a_jpeg_that_costs_too_much_is_refused_before_it_is_unpacked(
    jpeg, accepted, refused
):
    assert code(cut(jpeg, *accepted)) == "image_unreadable"
    assert code(cut(jpeg, *refused)) == "image_too_large"


def test_more_pixels_allow_for_more_of_every_kind():
    jpeg = encode(progressive=True, subsampling="4:4:4")
    assert code(cut(jpeg, 9900, 5000), Large) == "image_unreadable"
    assert code(cut(jpeg, 10_100, 5000), Large) == "image_too_large"


def test_few_pixels_may_be_of_any_kind():
    assert code(encode("CMYK", progressive=True), Small) is None
    assert code(encode(kind="WEBP"), Small) is None
    assert code(cut(encode(), 65, 64), Small) == "image_too_large"


def test_a_webp_that_takes_too_much_memory_is_refused():
    stream = io.BytesIO()
    PIL.Image.new("RGB", (4000, 3700)).save(stream, "WEBP", quality=1, method=0)
    assert code(stream.getvalue()) == "image_too_large"


@pytest.mark.parametrize(
    "prefix",
    [
        b"\xff\xfe\x00\x02" * (MAX_MARKERS + 1),
        b"\xff" * (MAX_JUNK + 1),
        b"\xff\xd0" * MAX_JUNK,
        (b"\xff\xfe\x00\x02" + b"a" * (MAX_JUNK // 2)) * 3,
    ],
    ids=["comments", "padding", "restarts", "junk"],
)
def test_what_is_slow_to_look_through_is_refused_before_pillow_does(prefix):
    jpeg = b"\xff\xd8" + prefix + encode()[2:]
    with pytest.raises(CostlyJpeg):
        read_jpeg(io.BytesIO(jpeg))
    assert code(jpeg) == "image_unreadable"


@pytest.mark.parametrize("end", range(3, 700, 7))
def test_a_jpeg_cut_anywhere_is_unreadable(end):
    assert code(encode()[:end]) == "image_unreadable"


@pytest.mark.parametrize("components", [0, 4, 255])
def test_a_frame_of_odd_components_is_no_error_of_the_server(components):
    jpeg = encode()
    at = jpeg.index(b"\xff\xc0") + 9
    odd = jpeg[:at] + bytes([components]) + b"\0" * 12 + jpeg[at + 13 :]
    assert code(odd) == "image_unreadable"


def test_a_marker_across_two_blocks_is_seen():
    # The gap moves the second scan over the border of what is read at once.
    for gap in range(65_530, 65_540):
        jpeg = encode("L")[: -len(EOI)] + b"a" * gap + SOS + b"\0\x08\x01" + b"a" * 5
        found = read_jpeg(io.BytesIO(jpeg))
        assert found is not None
        assert found.scans == 2


def test_of_an_animation_only_the_first_frame_is_unpacked(monkeypatch):
    frames = [PIL.Image.new("RGB", (64, 64), (n, 0, 0)) for n in range(20)]
    shown: list[int] = []
    for kind in ("GIF", "PNG", "WEBP"):
        stream = io.BytesIO()
        frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
        with PIL.Image.open(stream) as picture:
            plugin = type(picture)
        seek = plugin.seek
        with monkeypatch.context() as patch:
            patch.setattr(
                plugin, "seek", lambda self, n, s=seek: (shown.append(n), s(self, n))
            )
            assert code(stream.getvalue()) is None
        assert set(shown) <= {0}
