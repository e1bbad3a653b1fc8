"""Frames from millimetres to pixels, smooth outlines, and sheets to draw them on; knows no anatomy.

Coordinates are millimetres in the patient: x grows to the image's right (the patient's left), y downward, and the
origin lies in the midline at the height of the lung apices. A side is -1 (the patient's right lung, on the image's
left) or +1. Depth is millimetres in front of the coronal mid-plane; a patient who is turned shifts by depth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.interpolate import CubicSpline
from scipy.special import expit

Array = npt.NDArray[Any]

RIGHT, LEFT = -1, 1
"""The patient's right lung stands on the image's left."""


@dataclass(frozen=True)
class Frame:
    """Where the detector stood: maps millimetres in the patient to pixels."""

    side: int
    """Pixels along each edge."""
    field_mm: float
    """Millimetres along each edge."""
    center: tuple[float, float]
    """What is seen in the middle of the image, in millimetres."""
    roll: float = 0.0
    """Radians in the image plane."""
    yaw: float = 0.0
    """Radians about the patient's long axis."""

    @property
    def pixels_per_mm(self) -> float:
        return self.side / self.field_mm

    def at(self, side: int) -> Frame:
        """The same view at another resolution."""
        return replace(self, side=side)

    def project(self, points: Array, *, depth: float = 0.0) -> Array:
        """Pixel coordinates (n, 2) of points (n, 2) in millimetres."""
        cos, sin = math.cos(self.roll) * self.pixels_per_mm, math.sin(self.roll) * self.pixels_per_mm
        origin = np.asarray([self.center[0] - depth * math.sin(self.yaw), self.center[1]])
        return np.asarray((points - origin) @ np.asarray([[cos, sin], [-sin, cos]]) + self.side / 2)

    def grid(self) -> tuple[Array, Array]:
        """Millimetres x and y of every pixel's middle, float32 (side, side), at depth 0."""
        ticks = (np.arange(self.side, dtype=np.float32) + 0.5 - self.side / 2) / self.pixels_per_mm
        u, v = ticks[None, :], ticks[:, None]
        cos, sin = math.cos(self.roll), math.sin(self.roll)
        x = u * cos + v * sin + self.center[0]
        y = v * cos - u * sin + self.center[1]
        return x.astype(np.float32), y.astype(np.float32)


class Sheet:
    """One float layer of an image, drawn on in millimetres; later strokes cover earlier ones."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._image = Image.new("F", (frame.side, frame.side))
        self._draw = ImageDraw.Draw(self._image)

    def fill(self, outline: Array, value: float = 1.0, *, depth: float = 0.0) -> None:
        """A closed polygon."""
        self._draw.polygon(self.frame.project(outline, depth=depth).ravel().tolist(), fill=_ink(value))

    def stroke(self, path: Array, value: float = 1.0, *, width_mm: float, depth: float = 0.0) -> None:
        """An open line; never thinner than a pixel, a thinner one is fainter instead."""
        width = width_mm * self.frame.pixels_per_mm
        points = self.frame.project(path, depth=depth).ravel().tolist()
        self._draw.line(points, fill=_ink(value * min(1.0, width)), width=max(1, round(width)), joint="curve")

    def segments(self, starts: Array, ends: Array, values: Array, *, widths_mm: Array) -> None:
        """Many straight strokes."""
        widths = widths_mm * self.frame.pixels_per_mm
        lines = np.hstack([self.frame.project(starts), self.frame.project(ends)]).tolist()
        inks, pixels = (values * np.minimum(1.0, widths)).tolist(), np.maximum(1, np.rint(widths)).astype(int).tolist()
        for line, ink, width in zip(lines, inks, pixels, strict=True):
            self._draw.line(line, fill=_ink(ink), width=width)

    def array(self) -> Array:
        """The layer as float32 (side, side)."""
        return np.array(self._image, dtype=np.float32)


def _ink(value: float) -> int:
    """Pillow draws floats on a float image, which its annotations do not know."""
    return cast("int", value)


def smooth_open(points: list[tuple[float, float]], *, samples: int = 40) -> Array:
    """A smooth curve (samples, 2) through the points, from the first to the last."""
    return np.asarray(_spline(len(points), samples, False) @ np.asarray(points))


def smooth_closed(points: list[tuple[float, float]], *, samples: int = 80) -> Array:
    """A smooth closed outline (samples, 2) through the points."""
    return np.asarray(_spline(len(points), samples, True) @ np.asarray(points))


@cache
def _spline(num_points: int, samples: int, is_closed: bool) -> Array:
    """The matrix (samples, num_points) of a cubic spline, which is linear in its points."""
    unit = np.eye(num_points)
    if is_closed:
        spline = CubicSpline(np.arange(num_points + 1), np.vstack([unit, unit[:1]]), bc_type="periodic")
        return np.asarray(spline(np.linspace(0, num_points, samples, endpoint=False)))
    return np.asarray(CubicSpline(np.arange(num_points), unit)(np.linspace(0, num_points - 1, samples)))


def ellipse(center: tuple[float, float], radii: tuple[float, float], *, tilt: float = 0.0) -> Array:
    """The outline (48, 2) of an ellipse, tilted by radians."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    u, v = radii[0] * np.cos(angle), radii[1] * np.sin(angle)
    cos, sin = math.cos(tilt), math.sin(tilt)
    return np.stack([center[0] + u * cos - v * sin, center[1] + u * sin + v * cos], axis=1)


def ribbon(path: Array, widths_mm: Array | float) -> Array:
    """The outline of a band of the given width along a path."""
    tangent = np.gradient(path, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    half = np.broadcast_to(np.asarray(widths_mm) / 2, len(path))[:, None]
    return np.concatenate([path + normal * half, (path - normal * half)[::-1]])


def blur(layer: Array, sigma_pixels: float) -> Array:
    """Gaussian blur; a wide one is done at a lower resolution, where it cannot be told apart."""
    side = len(layer)
    factor = 4 if sigma_pixels >= 6 and side % 4 == 0 else 1
    if factor == 1:
        return np.asarray(ndimage.gaussian_filter(layer, sigma_pixels, truncate=3.0, mode="nearest"))
    small = layer.reshape(side // factor, factor, side // factor, factor).mean(axis=(1, 3))
    return resize(ndimage.gaussian_filter(small, sigma_pixels / factor, truncate=3.0, mode="nearest"), side)


def above(distance: Array, *, softness: float) -> Array:
    """A soft step: 0 where distance is far below zero, 1 where far above."""
    return np.asarray(expit(distance / np.float32(softness)))


def resize(layer: Array, side: int) -> Array:
    """Bilinear to (side, side), float32."""
    if len(layer) == side:
        return layer
    image = Image.fromarray(layer.astype(np.float32, copy=False))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def mottle(rng: np.random.Generator, side: int, *, grain_pixels: float) -> Array:
    """A smooth random texture (side, side) of mean 0 and standard deviation 1, with spots of about one grain."""
    cells = max(4, round(side / grain_pixels))
    coarse = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
    fine = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    return np.asarray((fine - fine.mean()) / max(float(fine.std()), 1e-6))
