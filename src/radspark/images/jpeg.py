"""JPEG files to grey, by Pillow."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image, ImageOps

from radspark.errors import UnreadableImageError
from radspark.images.codestream import read_jpeg_size
from radspark.images.color import measure_color
from radspark.images.foreign import foreign_decoder
from radspark.images.grey import EncodedImage, GreyImage, ImageLimits
from radspark.settings import PreparationSettings


def is_jpeg(data: bytes) -> bool:
    """True if the bytes begin as a JPEG file does."""
    return data.startswith(b"\xff\xd8\xff")


def open_jpeg(data: bytes, limits: ImageLimits, _settings: PreparationSettings) -> EncodedImage:
    """A JPEG file, which has no header to speak of."""
    return EncodedImage(functools.partial(decode_jpeg, data, limits))


def decode_jpeg(data: bytes, limits: ImageLimits) -> GreyImage:
    """Decode grey or color JPEG of 8 bits; color becomes grey by ITU-R 601 luma, and an EXIF orientation is honored.

    CMYK is refused: it is meant for print, and how its inks became grey cannot be known.

    Raises:
        UnreadableImageError: truncated, over the limits, CMYK, several pictures, of more than 8 bits, or damaged.
    """
    size = read_jpeg_size(data)
    if size is None:
        raise UnreadableImageError("JPEG without a frame header: the file is truncated or damaged.")
    limits.check_size(*size)
    reason = "JPEG that cannot be decoded: it is truncated, damaged, or not of 8 bits."
    with foreign_decoder(reason), Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        if image.mode not in ("L", "RGB"):
            raise UnreadableImageError(f"JPEG in {image.mode} color; grey and RGB are read.")
        if getattr(image, "n_frames", 1) > 1:
            raise UnreadableImageError("JPEG with several pictures; a radiograph is one.")
        ImageOps.exif_transpose(image, in_place=True)
        grey = image if image.mode == "L" else image.convert("L")
        return GreyImage(np.asarray(grey), 255, color_share=measure_color(image))
