"""Templates and how they write numbers; what is written is in `writing` and `comparison`."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from radspark import __version__
from radspark.metrics import Interval

_LARGEST_EXAMPLE = 320
"""Side in pixels; a card of the sheet is never wider."""
_MINUS = "\N{MINUS SIGN}"


def render(template: str, **values: Any) -> str:
    """A page as text."""
    environment = Environment(
        loader=PackageLoader("radspark.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    return environment.get_template(template).render(version=__version__, **values)


def format_score(value: float | None, digits: int = 3) -> str:
    """A figure with fixed decimals, or a dash."""
    # An end just below 0 keeps its sign, −0.000: on which side of 0 it lies is what an interval is read for.
    return "–" if value is None else f"{value:.{digits}f}".replace("-", _MINUS)


def _format_signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}".replace("-", _MINUS)


def _format_range(interval: Interval | None) -> str:
    if interval is None:
        return ""
    low, high = format_score(interval.low), format_score(interval.high)
    return f"{low} to {high}" if _MINUS in low else f"{low}–{high}"


def _format_signed_range(interval: Interval | None) -> str:
    return "" if interval is None else f"{_format_signed(interval.low)} to {_format_signed(interval.high)}"


def _format_p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _format_duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _encode_png(pixels_HW: npt.NDArray[np.uint8]) -> str:
    """As a data URL, reduced to what the page shows."""
    image = Image.fromarray(pixels_HW)
    image.thumbnail((_LARGEST_EXAMPLE, _LARGEST_EXAMPLE), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


FILTERS: dict[str, Callable[..., Any]] = {
    "score": format_score,
    "signed": _format_signed,
    "range": _format_range,
    "range_signed": _format_signed_range,
    "p_value": _format_p_value,
    "count": lambda number: f"{number:,}",
    "words": lambda name: name.replace("_", " "),
    "rate": lambda number: f"{number:.2e}" if number < 1e-3 else f"{number:.4g}",
    "duration": _format_duration,
    "png": _encode_png,
}
"""How templates write values."""
