"""What decoding yields: a grey image with its scale, and the limits on what is decoded at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radspark.errors import UnreadableImageError


@dataclass(frozen=True)
class GreyImage:
    """One radiograph, bright where the body absorbs most."""

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    """(H, W), 0 to `max_value`."""
    max_value: int
    """The value that means full scale, by the bits that the file stores."""
    window: npt.NDArray[np.float64] | None = None
    """(max_value + 1,): the grey in [0, 1] at which the file itself asks to show each value; None where it does not."""


@dataclass(frozen=True)
class ImageLimits:
    """The largest image that is decoded. Checked on the file's length and header, before any pixel is.

    Radiographs are far below the defaults: a 43 x 43 cm detector at 0.1 mm has 18 million pixels in 37 MB.
    At these limits decoding and preparing one image stays below 700 MB.
    """

    max_bytes: int = 64 * 2**20
    """Length of the file."""
    max_pixels: int = 50_000_000
    max_side: int = 30_000
    """Longer side in pixels."""

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
