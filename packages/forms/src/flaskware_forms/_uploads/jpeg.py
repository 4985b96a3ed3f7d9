"""The cost of decoding a JPEG, read from its markers (ITU-T T.81, annex B)."""

from __future__ import annotations

import dataclasses as dc
import re
import typing as t

_BLOCK = 1 << 16
# The markers with a length after them, which never occur in the data of a scan.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
_EOI = 0xD9
_SOS = 0xDA
# Of the codes 0xC0 to 0xCF, these are no frames: DHT, JPG and DAC.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})

MAX_SCANS = 100
"""The maximum number of scans. Encoders of progressive JPEGs write about ten, and
eighteen for a picture in CMYK."""

MAX_MARKERS = 4096
"""The maximum number of markers; photos have a few dozen."""

MAX_JUNK = 1 << 16
"""The maximum number of bytes outside markers before the first scan. Encoders write
none, and Pillow reads them one by one."""


class CostlyJpeg(ValueError):
    """A JPEG made to be slow, or one without a picture."""


@dc.dataclass(slots=True)
class Jpeg:
    """The frame and the scans of a JPEG."""

    pixels: int = 0
    components: int = 0
    samples: float = 0.0
    """Of all components, for each pixel: 3 without chroma subsampling, 1.5 with
    4:2:0."""
    progressive: bool = False
    scans: int = 0
    passes: int = 0
    """The components of every scan, added up."""

    @property
    def memory(self) -> float:
        """The bytes that unpacking takes for each pixel.

        Pillow keeps one for grey and four for anything else. A picture of several scans
        is kept as coefficients of two bytes too, until the last scan.
        """
        whole = self.scans == 1 and self.passes == self.components
        coefficients = 0.0 if whole and not self.progressive else 2 * self.samples
        return (1 if self.components == 1 else 4) + coefficients


def read_jpeg(stream: t.IO[bytes]) -> Jpeg | None:
    """Read a JPEG up to its end, without unpacking it.

    :return: ``None`` for a file that is not a JPEG.
    :raises CostlyJpeg: for more scans or markers than any encoder writes, or no scan.
    """
    stream.seek(0)
    if stream.read(3) != b"\xff\xd8\xff":
        return None
    jpeg = Jpeg()
    position, markers, junk = 2, 0, 0
    while True:
        stream.seek(position)
        block = stream.read(_BLOCK)
        found = _MARKER.search(block)
        if not jpeg.scans:
            junk += found.start() if found else len(block)
        if junk > MAX_JUNK or markers > MAX_MARKERS or jpeg.scans > MAX_SCANS:
            raise CostlyJpeg
        if found is None and len(block) > 1:
            # The last byte may be the first half of a marker.
            position += len(block) - 1
            continue
        # A decoder ignores everything after this end.
        if found is None or found[1][0] == _EOI:
            break
        position += found.end()
        stream.seek(position)
        # Enough for a frame of four components.
        head = stream.read(20)
        _read_segment(jpeg, found[1][0], head)
        markers += 1
        position += max(2, int.from_bytes(head[:2], "big"))
    if not jpeg.scans:
        raise CostlyJpeg
    return jpeg


def _read_segment(jpeg: Jpeg, code: int, head: bytes) -> None:
    if code == _SOS:
        jpeg.scans += 1
        jpeg.passes += max([1, *head[2:3]])
    elif code in _FRAMES:
        jpeg.progressive |= code in _PROGRESSIVE
        _read_frame(jpeg, head)


def _read_frame(jpeg: Jpeg, head: bytes) -> None:
    # length (2), precision (1), height (2), width (2), number of components (1), and
    # for each its number, its sampling factors in four bits each, and its table
    if len(head) < 11 or head[7] == 0:
        return
    height, width = int.from_bytes(head[3:5], "big"), int.from_bytes(head[5:7], "big")
    factors = [(byte >> 4, byte & 15) for byte in head[9 : 8 + 3 * head[7] : 3]]
    widest = max(across for across, _ in factors) * max(down for _, down in factors)
    jpeg.components = head[7]
    jpeg.pixels = max(jpeg.pixels, width * height)
    jpeg.samples = sum(across * down for across, down in factors) / max(1, widest)
