"""PNG files to grey. Pillow decodes; the checks that Pillow leaves out (checksums, size first) are here."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

from radspark.errors import UnreadableImageError
from radspark.images.foreign import foreign_decoder
from radspark.images.grey import GreyImage, ImageLimits

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def is_png(data: bytes) -> bool:
    """True if the bytes begin as a PNG file does."""
    return data.startswith(SIGNATURE)


def decode_png(data: bytes, limits: ImageLimits) -> GreyImage:
    """Decode grey (1 to 16 bits), palette, RGB, and any of them with alpha; interlaced or not.

    Color becomes grey by ITU-R 601 luma, which leaves R = G = B exactly as it is. Alpha is ignored: the files that have
    it (some of NIH's) are opaque throughout. Color and alpha of 16 bits are read by their upper 8, as Pillow does.
    An EXIF orientation is honored, as by any viewer.

    Raises:
        UnreadableImageError: truncated, a wrong checksum, over the limits, animated, or damaged.
    """
    width, height = read_png_size(data)
    limits.check_size(width, height)
    check_png_chunks(data)
    with foreign_decoder("PNG whose pixel data is damaged."), Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        if getattr(image, "is_animated", False):
            raise UnreadableImageError("PNG with several frames; a radiograph has one.")
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("I"):
            return GreyImage(np.asarray(image, dtype=np.uint16), 65535)
        return GreyImage(np.asarray(image if image.mode == "L" else image.convert("L")), 255)


def read_png_size(data: bytes) -> tuple[int, int]:
    """Width and height that the header announces (PNG specification 11.2.1)."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise UnreadableImageError("PNG without a whole header: the file is truncated or damaged.")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def check_png_chunks(data: bytes) -> None:
    """Check that every chunk is whole and meets its checksum; Pillow does not check those of the pixels.

    Raises:
        UnreadableImageError: says whether the file is cut short or changed.
    """
    view = memoryview(data)
    start = len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if start + 12 > len(data):
            raise UnreadableImageError("PNG cut short: the file is truncated.")
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + 8 + length
        if end + 4 > len(data):
            raise UnreadableImageError("PNG cut short: the file is truncated.")
        if zlib.crc32(view[start + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise UnreadableImageError("PNG with a wrong checksum: the file was damaged after it was written.")
        start = end + 4
