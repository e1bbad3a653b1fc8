"""A decoded radiograph to the uint8 square that is kept: grey range, then size. Decoding is decode.py's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from radspark.images.decode import decode_radiograph
from radspark.images.grey import DEFAULT_LIMITS, GreyImage, ImageLimits
from radspark.settings import PreparationSettings

Greys = npt.NDArray[np.uint8]


def read_radiograph(
    data: bytes, settings: PreparationSettings, *, limits: ImageLimits = DEFAULT_LIMITS
) -> npt.NDArray[np.uint8]:
    """Decode and prepare one file: uint8 (size, size), bright where the body absorbs most.

    Raises:
        UnreadableImageError: says why, with nothing of the file's name or its patient.
    """
    return prepare_image(decode_radiograph(data, limits=limits), settings)


def prepare_image(image: GreyImage, settings: PreparationSettings) -> npt.NDArray[np.uint8]:
    """Map greys to 0..255 and resize with Pillow's antialiased BILINEAR, rounding once.

    Returns:
        uint8 (size, size). Where neither range nor depth changes, exactly `Image.resize` of the 8-bit image.
    """
    height, width = image.pixels.shape
    inner_width, inner_height = fit_size(width, height, settings)
    greys = choose_greys(image, settings)
    source = Image.fromarray(image.pixels if greys is None else greys[image.pixels])
    resized = np.asarray(source.resize((inner_width, inner_height), Image.Resampling.BILINEAR))
    return _pad(resized if greys is None else _round(resized), settings.size)


def choose_greys(image: GreyImage, settings: PreparationSettings) -> npt.NDArray[np.float32] | None:
    """(max_value + 1,): the grey, 0 to 255, of each pixel value; None where the pixels are those greys already.

    An image of one value has no range of its own; under `own_range` it keeps that of its stored bits.
    """
    if settings.grey_range == "auto" and image.window is not None:
        return (255 * image.window).astype(np.float32)
    low, high = 0, image.max_value
    if settings.grey_range == "own_range" and image.pixels.min() < image.pixels.max():
        low, high = int(image.pixels.min()), int(image.pixels.max())
    if (low, high) == (0, 255) and image.pixels.dtype == np.uint8:
        return None
    values = np.arange(image.max_value + 1, dtype=np.float64)
    return np.clip((values - low) * (255 / (high - low)), 0, 255).astype(np.float32)


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
