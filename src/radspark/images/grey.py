"""What decoding yields: a grey image with its scale, and the limits on what is decoded at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radspark.errors import UnreadableImageError
from radspark.images.header import DicomHeader

Codes = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GreyImage:
    """One radiograph, bright where the body absorbs most. A table has an entry for each of the max_value + 1 codes."""

    pixels: Codes
    """(H, W): codes, 0 to `max_value`."""
    max_value: int
    """The largest code that the file's stored bits hold."""
    window: Floats | None = None
    """Table: the grey in [0, 1] at which the file itself asks to show each code; None where it does not."""
    scale: Floats | None = None
    """Table: the grey in [0, 1] of each code by the whole range of the stored bits; None means code / max_value."""
    padding: npt.NDArray[np.bool_] | None = None
    """Table: the codes that stand for no exposure, around a cut-out picture; None where the file names none."""
    color_share: float = 0.0
    """Share of the pixels that had a distinct color in the file."""


@dataclass(frozen=True)
class EncodedImage:
    """A file whose kind and header are known and whose pixels are not decoded yet."""

    decode: Callable[[], GreyImage]
    """Raises UnreadableImageError."""
    header: DicomHeader | None = None
    """None for formats that have none."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageLimits:
    """The most that one file may take. Size is checked on the file's length and header, before any pixel is decoded.

    Radiographs are far below the defaults: a 43 x 43 cm detector at 0.1 mm has 18 million pixels in 37 MB.
    At these limits decoding and preparing one image stays below 700 MB.
    """

    max_bytes: int = 64 * 2**20
    """Length of the file, and of what a deflated one expands to."""
    max_pixels: int = 50_000_000
    max_side: int = 30_000
    """Longer side in pixels."""
    max_seconds: float = 60.0
    """Time on the clock for one file, where decoding runs isolated."""
    max_memory: int = 2**30
    """Bytes that decoding may add to its process, where it runs isolated."""

    def check_bytes(self, num_bytes: int) -> None:
        """Raise UnreadableImageError if a file is too long to be read."""
        if num_bytes > self.max_bytes:
            raise UnreadableImageError(
                f"file of {num_bytes / 2**20:,.1f} MiB; the limit is {self.max_bytes / 2**20:,.1f} MiB (max_bytes)."
            )

    def check_size(self, width: int, height: int) -> None:
        """Raise UnreadableImageError if a header announces no pixels or more than may be decoded."""
        if width < 1 or height < 1:
            raise UnreadableImageError(f"image of {width} x {height} pixels: it holds no picture.")
        if width * height > self.max_pixels or max(width, height) > self.max_side:
            raise UnreadableImageError(
                f"image of {width} x {height} pixels; the limits are {self.max_pixels / 1e6:g} million pixels "
                f"(max_pixels) and {self.max_side} on a side (max_side)."
            )


DEFAULT_LIMITS = ImageLimits()
