"""PNG files to grey. kornia-rs decodes plain 8-bit files, in a third of Pillow's time, and Pillow all others.

The checks that Pillow leaves out (checksums, size first) are here.
"""

from __future__ import annotations

import functools
import io
import struct
import zlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from kornia_rs.io import decode_image_png_u8
from PIL import Image, ImageOps

from radspark.errors import UnreadableImageError
from radspark.images.color import measure_color, measure_color_of
from radspark.images.foreign import foreign_decoder
from radspark.images.grey import EncodedImage, GreyImage, ImageLimits
from radspark.settings import PreparationSettings

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PLAIN_COLORS: Final = {0: "mono", 2: "rgb", 6: "rgba"}
"""Color types (PNG specification 11.2.1) that kornia-rs is given, by its names."""
_NOT_PLAIN: Final = frozenset({b"eXIf", b"acTL", b"tRNS"})
"""Chunks that turn, move or see through the picture."""
_OF_THE_PICTURE: Final = _NOT_PLAIN | {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"fcTL"}
"""No decoder sees others: text and color profiles say nothing of the greys, some expand without limit, and an empty
chunk of 12 bytes takes a decoder more."""


def is_png(data: bytes) -> bool:
    """True if the bytes begin as a PNG file does."""
    return data.startswith(SIGNATURE)


def open_png(data: bytes, limits: ImageLimits, settings: PreparationSettings) -> EncodedImage:
    """A PNG file, which has no header to speak of."""
    return EncodedImage(functools.partial(decode_png, data, limits, sixteen_bit=settings.sixteen_bit))


def decode_png(data: bytes, limits: ImageLimits, *, sixteen_bit: str = "full") -> GreyImage:
    """Decode grey (1 to 16 bits), palette, RGB, and any of them with alpha; interlaced or not.

    Color becomes grey by ITU-R 601 luma, which leaves R = G = B exactly as it is. Alpha is ignored: the files that have
    it (some of NIH's) are opaque throughout. Color and alpha of 16 bits are read by their upper 8, as Pillow does.
    An EXIF orientation is honored, as by any viewer.

    Args:
        sixteen_bit: what is white in 16-bit grey (`PreparationSettings.sixteen_bit`).

    Raises:
        UnreadableImageError: truncated, a wrong checksum, over the limits, animated, or damaged.
    """
    width, height = read_png_size(data)
    limits.check_size(width, height)
    kinds, data = keep_picture(data)
    plain = _decode_plain(data, width, height, kinds)
    if plain is not None:
        return plain
    with foreign_decoder("PNG whose pixel data is damaged."), Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        if getattr(image, "is_animated", False):
            raise UnreadableImageError("PNG with several frames; a radiograph has one.")
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("I"):
            return _scale_16_bit(np.asarray(image, dtype=np.uint16), sixteen_bit)
        grey = image if image.mode == "L" else image.convert("L")
        return GreyImage(np.asarray(grey), 255, color_share=measure_color(image))


def _decode_plain(data: bytes, width: int, height: int, kinds: frozenset[bytes]) -> GreyImage | None:
    """8-bit grey, RGB and RGBA by kornia-rs; None where Pillow must look, at errors too."""
    bit_depth, color_type, _, _, interlace = data[24:29]
    if bit_depth != 8 or color_type not in _PLAIN_COLORS or interlace or kinds & _NOT_PLAIN:
        return None
    try:
        pixels: npt.NDArray[Any] = decode_image_png_u8(data, (height, width), _PLAIN_COLORS[color_type])
    except Exception:  # noqa: BLE001  whatever it refuses is Pillow's, which says why
        return None
    if color_type == 0:
        return GreyImage(pixels.reshape(height, width), 255)
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    return GreyImage(grey, 255, color_share=measure_color_of(pixels))


def _scale_16_bit(pixels: npt.NDArray[np.uint16], sixteen_bit: str) -> GreyImage:
    """16-bit greys with what is white in them."""
    bits = 16 if sixteen_bit == "full" else max(8, int(pixels.max()).bit_length())
    return GreyImage(pixels, (1 << bits) - 1)


def read_png_size(data: bytes) -> tuple[int, int]:
    """Width and height that the header announces (PNG specification 11.2.1)."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise UnreadableImageError("PNG without a whole header: the file is truncated or damaged.")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def keep_picture(data: bytes) -> tuple[frozenset[bytes], bytes]:
    """A file's chunks that make up the picture: their kinds, and the file of them alone.

    All chunks must be whole and meet their checksum; Pillow does not check those of the pixels.

    Raises:
        UnreadableImageError: says whether the file is cut short or changed.
    """
    view = memoryview(data)
    start = len(SIGNATURE)
    kind = b""
    kinds = set()
    kept = io.BytesIO()
    kept.write(SIGNATURE)
    while kind != b"IEND":
        if start + 12 > len(data):
            raise UnreadableImageError("PNG cut short: the file is truncated.")
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + 8 + length
        if end + 4 > len(data):
            raise UnreadableImageError("PNG cut short: the file is truncated.")
        if zlib.crc32(view[start + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise UnreadableImageError("PNG with a wrong checksum: the file was damaged after it was written.")
        if kind in _OF_THE_PICTURE:
            kinds.add(kind)
            kept.write(view[start : end + 4])
        start = end + 4
    return frozenset(kinds), kept.getvalue()
