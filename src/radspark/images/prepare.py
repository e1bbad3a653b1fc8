"""One file's bytes to the uint8 square that is kept: decoded, judged, grey range, size. Decoding is decode.py's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from radspark.errors import UnreadableImageError
from radspark.images.decode import open_radiograph
from radspark.images.grey import DEFAULT_LIMITS, GreyImage, ImageLimits
from radspark.images.header import DicomHeader
from radspark.images.kinds import COLOR_RULES, GREY_RULES, HEADER_RULES, judge
from radspark.images.quarter import can_quarter, quarter
from radspark.settings import PreparationSettings

Greys = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Reading:
    """What one file gave: a prepared radiograph, or the error that says why there is none."""

    pixels: Greys | None = None
    """(size, size), bright where the body absorbs most."""
    error: str | None = None
    warnings: tuple[str, ...] = ()
    header: DicomHeader | None = None
    """Of a DICOM that could be parsed, readable as a radiograph or not; with its identifiers."""


def read_radiograph(data: bytes, settings: PreparationSettings, *, limits: ImageLimits = DEFAULT_LIMITS) -> Greys:
    """Decode and prepare one file: uint8 (size, size), bright where the body absorbs most.

    Raises:
        UnreadableImageError: says why, with nothing of the file's name or its patient.
    """
    reading = read_file(data, settings, limits=limits)
    if reading.pixels is None:
        raise UnreadableImageError(reading.error)
    return reading.pixels


def read_file(data: bytes, settings: PreparationSettings, *, limits: ImageLimits = DEFAULT_LIMITS) -> Reading:
    """Decode, judge and prepare one file; what goes wrong, and what is odd, is part of the result."""
    header: DicomHeader | None = None
    warnings: list[str] = []
    try:
        encoded = open_radiograph(data, settings, limits=limits)
        header = encoded.header
        warnings.extend(encoded.warnings)
        if header is not None:
            warnings.extend(judge(HEADER_RULES, header, settings))
        image = encoded.decode()
        warnings.extend(judge(COLOR_RULES, image.color_share, settings))
        pixels = prepare_image(image, settings)
        warnings.extend(judge(GREY_RULES, pixels, settings))
    except UnreadableImageError as error:
        return Reading(error=str(error), warnings=tuple(warnings), header=header)
    return Reading(pixels, warnings=tuple(warnings), header=header)


def prepare_image(image: GreyImage, settings: PreparationSettings) -> Greys:
    """Map greys to 0..255 and resize with Pillow's antialiased BILINEAR, rounding once.

    Returns:
        uint8 (size, size). Where neither range nor depth changes, exactly `Image.resize` of the 8-bit image.
    """
    height, width = image.pixels.shape
    inner_width, inner_height = fit_size(width, height, settings)
    greys = choose_greys(image, settings)
    if greys is None and can_quarter(image.pixels, inner_width, inner_height):
        return _pad(quarter(image.pixels), settings.size)
    source = Image.fromarray(image.pixels if greys is None else greys[image.pixels])
    resized = np.asarray(source.resize((inner_width, inner_height), Image.Resampling.BILINEAR))
    return _pad(resized if greys is None else _round(resized), settings.size)


def choose_greys(image: GreyImage, settings: PreparationSettings) -> npt.NDArray[np.float32] | None:
    """Table: the grey, 0 to 255, of each code; None where the pixels are those greys already. Padding is black.

    An image of one value has no range of its own; under `own_range` it keeps that of its stored bits.
    """
    if settings.grey_range == "auto" and image.window is not None:
        shares = image.window
    else:
        own = _find_own_range(image) if settings.grey_range == "own_range" else None
        if own in (None, (0.0, 1.0)) and image.scale is None and image.padding is None and _is_8_bit(image):
            return None
        shares = np.arange(image.max_value + 1) / image.max_value if image.scale is None else image.scale
        if own is not None:
            shares = np.clip((shares - own[0]) / (own[1] - own[0]), 0.0, 1.0)
    greys = (255 * shares).astype(np.float32)
    if image.padding is not None:
        greys[image.padding] = 0
    return greys


def _is_8_bit(image: GreyImage) -> bool:
    return image.max_value == 255 and image.pixels.dtype == np.uint8


def _find_own_range(image: GreyImage) -> tuple[float, float] | None:
    """The least and the largest grey, in [0, 1], of the pixels that are not padding; None if they are one."""
    if image.scale is None and image.padding is None:
        low, high = int(image.pixels.min()) / image.max_value, int(image.pixels.max()) / image.max_value
    else:
        present = np.zeros(image.max_value + 1, dtype=np.bool_)
        present[image.pixels] = True
        if image.padding is not None:
            present &= ~image.padding
        codes = np.flatnonzero(present)
        if not len(codes):
            return None
        greys = codes / image.max_value if image.scale is None else image.scale[codes]
        low, high = float(greys.min()), float(greys.max())
    return None if low == high else (low, high)


def fit_size(width: int, height: int, settings: PreparationSettings) -> tuple[int, int]:
    """Width and height of the picture inside the square: all of it, or as much as its aspect allows."""
    if settings.aspect == "stretch":
        return settings.size, settings.size
    scale = settings.size / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _round(greys: npt.NDArray[np.float32]) -> Greys:
    return np.clip(np.rint(greys), 0, 255).astype(np.uint8)


def _pad(picture: Greys, size: int) -> Greys:
    """The picture in the middle of a black square."""
    height, width = picture.shape
    if height == width == size:
        return picture
    square = np.zeros((size, size), dtype=np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = picture
    return square
