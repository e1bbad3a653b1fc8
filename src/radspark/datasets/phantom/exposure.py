"""From thickness to film: scatter, the film's curve, noise, blur, and what lies on the patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radspark.datasets.phantom.geometry import Array, Frame, Sheet, blur, resize


@dataclass(frozen=True)
class Technique:
    """How one image was taken. Thicknesses in millimetres of tissue."""

    middle: float
    """Thickness that comes out half grey."""
    latitude: float
    """Thickness over which the film's curve climbs; small is a hard film."""
    tilt: tuple[float, float]
    """Uneven exposure across the image (heel effect), as thickness from edge to edge."""
    noise: float
    """Standard deviation at unit transmission, as thickness."""
    unsharpness: float
    """Millimetres."""
    border: tuple[float, float, float, float]
    """Share of the image cut off black by the collimator: left, top, right, bottom."""
    marker: str
    """Letter of lead on the film, or empty."""
    num_leads: int
    """Wires of an ECG monitor."""


def draw_technique(rng: np.random.Generator, *, view: str, depth_mm: float) -> Technique:
    """A random exposure; portable AP images are paler, softer and noisier."""
    portable = view == "AP"
    framed = rng.random() < 0.25
    return Technique(
        middle=depth_mm * (rng.uniform(0.42, 0.62) if portable else rng.uniform(0.48, 0.72)),
        latitude=depth_mm * (rng.uniform(0.19, 0.30) if portable else rng.uniform(0.14, 0.24)),
        tilt=(rng.normal(0, 9.0), rng.normal(0, 7.0)),
        noise=rng.uniform(1.0, 2.4) * (1.4 if portable else 1.0),
        unsharpness=rng.uniform(0.35, 0.75) * (1.3 if portable else 1.0),
        border=tuple(rng.uniform(0.0, 0.05, 4)) if framed else (0.0, 0.0, 0.0, 0.0),
        marker=str(rng.choice(["L", "R", ""], p=[0.5, 0.3, 0.2])),
        num_leads=int(rng.integers(2, 5)) if rng.random() < (0.55 if portable else 0.05) else 0,
    )


def expose(thickness: Array, technique: Technique, frame: Frame, rng: np.random.Generator) -> Array:
    """Grey values in 0 to 1, bright where the body absorbs most, float32 (H, W)."""
    side = frame.side
    thickness = thickness + _attached(technique, frame, rng)
    thickness = blur(thickness, max(technique.unsharpness * frame.pixels_per_mm, 0.3))
    ramp = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    thickness += np.float32(technique.tilt[0]) * ramp[None, :] + np.float32(technique.tilt[1]) * ramp[:, None]
    scatter = resize(blur(thickness[::4, ::4], side / 4 * 0.12), side)
    thickness = 0.88 * thickness + 0.12 * scatter
    # Fewer photons arrive behind thick parts: relative noise grows as the root of the attenuation.
    grain = np.exp(np.clip(thickness, 0, None) * np.float32(0.0025))
    noise = rng.standard_normal((side, side), dtype=np.float32)
    thickness += noise * grain * np.float32(technique.noise)
    grey = 1.0 / (1.0 + np.exp((np.float32(technique.middle) - thickness) / np.float32(technique.latitude)))
    return _collimate(_mark(grey, technique, frame, rng), technique)


def _attached(technique: Technique, frame: Frame, rng: np.random.Generator) -> Array:
    """Electrodes and their wires."""
    sheet = Sheet(frame)
    half = frame.field_mm / 2
    for _ in range(technique.num_leads):
        end = np.asarray([rng.uniform(-0.6, 0.6) * half, rng.uniform(0.0, 0.8) * half]) + frame.center
        start = np.asarray([rng.choice([-1.0, 1.0]) * half, rng.uniform(-1.0, 0.3) * half]) + frame.center
        t = np.linspace(0, 1, 20)[:, None]
        bend = np.asarray([[rng.normal(0, 45.0), rng.uniform(10, 70.0)]])
        path = start * (1 - t) + end * t + bend * 4 * t * (1 - t)
        sheet.stroke(path, 26.0, width_mm=1.3)
        angle = np.linspace(0, 2 * np.pi, 16)[:, None]
        sheet.fill(end + 4.0 * np.hstack([np.cos(angle), np.sin(angle)]), 30.0)
    return sheet.array()


GLYPHS = {
    "L": ([(0.0, 0.0), (0.0, 1.0), (0.6, 1.0)],),
    "R": ([(0.0, 1.0), (0.0, 0.0), (0.5, 0.05), (0.55, 0.3), (0.45, 0.5), (0.0, 0.52)], [(0.25, 0.52), (0.6, 1.0)]),
}


def _mark(grey: Array, technique: Technique, frame: Frame, rng: np.random.Generator) -> Array:
    """The lead letter beside a shoulder: L on the image's right, R on its left."""
    if not technique.marker:
        return grey
    side = 1.0 if technique.marker == "L" else -1.0
    flat = Frame(frame.side, frame.field_mm, (0.0, 0.0))
    corner = np.asarray([side * rng.uniform(0.36, 0.44), rng.uniform(-0.46, -0.38)]) * frame.field_mm
    height = rng.uniform(11.0, 18.0)
    sheet = Sheet(flat)
    for stroke in GLYPHS[technique.marker]:
        sheet.stroke(corner + height * np.asarray(stroke), 1.0, width_mm=2.4)
    letter = sheet.array()
    return np.asarray(grey * (1 - letter) + 0.97 * letter)


def _collimate(grey: Array, technique: Technique) -> Array:
    side = len(grey)
    left, top, right, bottom = (round(share * side) for share in technique.border)
    framed = np.full_like(grey, 0.015)
    inner = slice(top, side - bottom), slice(left, side - right)
    framed[inner] = grey[inner]
    return framed
