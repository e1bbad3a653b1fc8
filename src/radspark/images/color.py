"""How much of a picture is colored, to tell photographs and screenshots from radiographs saved in color modes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

COLORED: Final = 32
"""Channels further apart than this, of 255, are a color to the eye; the tint of a film or of a scanner stays below."""
_STEP: Final = 8


def measure_color(image: Image.Image) -> float:
    """Share of the pixels that are colored, looking at every eighth in both directions."""
    if image.mode in ("1", "L", "LA") or image.mode.startswith("I"):
        return 0.0
    return measure_color_of(np.asarray(image if image.mode in ("RGB", "RGBA") else image.convert("RGB")))


def measure_color_of(colors_HWC: npt.NDArray[Any]) -> float:
    """The same of uint8 (H, W, 3 or more): red, green, blue."""
    red, green, blue = (colors_HWC[::_STEP, ::_STEP, channel] for channel in range(3))
    most, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return float((most - least > COLORED).mean())
