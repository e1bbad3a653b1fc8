"""Bones and lung vessels as layers of extra thickness, in millimetres of soft tissue."""

from __future__ import annotations

import numpy as np

from radspark.datasets.phantom.anatomy import Anatomy
from radspark.datasets.phantom.geometry import LEFT, RIGHT, Array, Frame, Sheet, blur, ellipse, ribbon, smooth_open

NUM_RIBS = 10
NUM_GENERATIONS = 6
POSTERIOR, ANTERIOR = -70.0, 75.0
"""Depth of spine and breast bone."""


def draw_bones(anatomy: Anatomy, frame: Frame) -> Array:
    """Ribs, clavicles, shoulder blades and arms, float32 (H, W)."""
    back, front, limbs = Sheet(frame), Sheet(frame), Sheet(frame)
    for side in (RIGHT, LEFT):
        for number in range(NUM_RIBS):
            _draw_rib(anatomy, back, front, side, number)
        _draw_shoulder(anatomy, back, limbs, side)
        _draw_clavicle(anatomy, front, side)
    return (back.array() + front.array() + limbs.array()) * np.float32(anatomy.physique.bone)


def _draw_rib(anatomy: Anatomy, back: Sheet, front: Sheet, side: int, number: int) -> None:
    """One rib: a band from the spine to the side wall on `back`, and its return to the front on `front`."""
    body, h = anatomy.physique, anatomy.height
    start = (number * body.rib_pitch - 0.045) * h
    slope = body.rib_slope * (14.0 + 2.6 * number)
    bend_y = start + slope + 14.0
    edge = float(np.abs(anatomy.wall_x(side, np.clip(bend_y + 6, 0.04 * h, None)))) + 5.0
    bow = body.scoliosis * np.sin(np.pi * number / NUM_RIBS)
    path = smooth_open(
        [
            (side * 17.0 + bow, start),
            (side * (0.32 * edge + 8), start - 3.0 + 0.08 * slope),
            (side * 0.70 * edge, start + 0.42 * slope),
            (side * 0.93 * edge, start + 0.85 * slope + 2),
            (side * edge, bend_y + 10.0),
        ],
        samples=24,
    )
    _draw_band(back, path, np.linspace(10.0, 12.0, len(path)), fill=8.0, edge=15.0, depth=POSTERIOR * 0.6)
    if number > 7:
        return
    fall = body.rib_slope * (26.0 + 5.5 * number)
    inner = 0.34 + 0.055 * number
    path = smooth_open(
        [
            (side * edge, bend_y + 6.0),
            (side * 0.96 * edge, bend_y + 0.35 * fall + 8),
            (side * (0.5 + 0.5 * inner) * edge, bend_y + 0.80 * fall + 8),
            (side * inner * edge, bend_y + fall + 6.0),
        ],
        samples=20,
    )
    _draw_band(front, path, np.linspace(11.0, 15.0, len(path)), fill=4.5, edge=8.0, depth=ANTERIOR * 0.6)


def _draw_band(sheet: Sheet, path: Array, widths: Array, *, fill: float, edge: float, depth: float) -> None:
    """A bone: spongy inside, brighter cortex along both edges."""
    outline = ribbon(path, widths)
    sheet.fill(outline, fill, depth=depth)
    half = len(outline) // 2
    sheet.stroke(outline[:half], edge * 0.85, width_mm=1.3, depth=depth)
    sheet.stroke(outline[half:], edge, width_mm=1.6, depth=depth)


def _draw_clavicle(anatomy: Anatomy, sheet: Sheet, side: int) -> None:
    reach = anatomy.half_width + 0.5 * anatomy.physique.fat
    low = 10.0 if anatomy.view == "PA" else -6.0
    path = smooth_open(
        [
            (side * 14.0, 0.10 * anatomy.height + low * 0.3),
            (side * 0.38 * reach, 0.045 * anatomy.height + low * 0.3),
            (side * 0.75 * reach, -0.055 * anatomy.height),
            (side * 1.08 * reach, -0.045 * anatomy.height),
        ],
        samples=24,
    )
    _draw_band(sheet, path, np.linspace(18.0, 12.0, len(path)), fill=13.0, edge=24.0, depth=ANTERIOR * 0.7)


def _draw_shoulder(anatomy: Anatomy, blade: Sheet, arm: Sheet, side: int) -> None:
    """Shoulder blade (over the lung in AP, beside it in PA), head and shaft of the arm bone."""
    outer = anatomy.half_width + anatomy.physique.fat + 18.0
    inner = outer - (62.0 if anatomy.view == "AP" else 34.0)
    h = anatomy.height
    corners = np.asarray([(side * (inner + 10), 0.06 * h), (side * outer, 0.10 * h), (side * (inner + 20), 0.56 * h)])
    arm.fill(corners, 4.0, depth=POSTERIOR)
    arm.stroke(corners[[0, 2]], 9.0, width_mm=2.5, depth=POSTERIOR)
    arm.stroke(corners[[1, 2]], 14.0, width_mm=4.0, depth=POSTERIOR)
    spine = np.asarray([(side * (inner + 14), 0.13 * h), (side * (outer + 22.0), -0.03 * h)])
    blade.stroke(spine, 9.0, width_mm=7.0, depth=POSTERIOR)
    shaft = anatomy.arm(side)
    _draw_band(arm, shaft, np.full(len(shaft), 23.0), fill=15.0, edge=30.0, depth=0.0)
    arm.fill(ellipse((float(shaft[0, 0]), float(shaft[0, 1]) - 4.0), (22.0, 24.0), tilt=side * 0.4), 15.0)


def draw_spine(anatomy: Anatomy, frame: Frame) -> Array:
    """Vertebrae with discs between and a spinous process in each, float32 (H, W)."""
    sheet = Sheet(frame)
    pitch = anatomy.physique.rib_pitch * anatomy.height
    for number in range(-8, 16):
        bow = anatomy.physique.scoliosis * np.sin(np.pi * np.clip(number, 0, 10) / 10)
        width = 15.0 + 0.5 * max(number, 0)
        top, bottom = number * pitch - 0.44 * pitch, number * pitch + 0.40 * pitch
        box = np.asarray([(bow - width, top), (bow + width, top), (bow + width, bottom), (bow - width, bottom)])
        sheet.fill(box, 11.0, depth=POSTERIOR)
        for side in (RIGHT, LEFT):
            sheet.fill(ellipse((bow + side * (width - 5), top + 0.4 * pitch), (3.0, 4.2)), 17.0, depth=POSTERIOR)
        sheet.fill(ellipse((bow, bottom - 2), (2.5, 6.0)), 18.0, depth=POSTERIOR * 1.4)
    return blur(sheet.array(), 1.4 * frame.pixels_per_mm) * np.float32(anatomy.physique.bone)


def draw_vessels(anatomy: Anatomy, frame: Frame) -> Array:
    """Lung markings that fork and taper from the hila, float32 (H, W); not yet cut to the lungs."""
    sheet = Sheet(frame)
    rng = np.random.default_rng(anatomy.physique.vessel_seed)
    for starts, ends, widths in _grow_vessels(anatomy, rng):
        sheet.segments(starts, ends, 2.1 * widths + 2.5, widths_mm=widths)
    for side in (RIGHT, LEFT):
        x, y = anatomy.hilum(side)
        sheet.fill(ellipse((x, y), (7.0, 14.0), tilt=side * 0.5), 16.0)
    return sheet.array() * np.float32(anatomy.vessel_gain)


def _grow_vessels(anatomy: Anatomy, rng: np.random.Generator) -> list[tuple[Array, Array, Array]]:
    """Generations of (starts, ends, widths), the finest first so that wider ones cover them."""
    angles = np.deg2rad([-80.0, -58.0, -30.0, -2.0, 24.0, 48.0, 72.0])
    generations = []
    for side in (RIGHT, LEFT):
        points = np.tile(np.asarray(anatomy.hilum(side)), (len(angles), 1)) + rng.normal(0, 5, (len(angles), 2))
        heading = angles + rng.normal(0, 0.08, len(angles))
        widths = np.asarray([4.2, 3.8, 4.0, 4.4, 5.0, 5.6, 5.6]) * rng.uniform(0.8, 1.1, len(angles))
        length = 0.125 * anatomy.height
        for _ in range(NUM_GENERATIONS):
            reach = length * rng.uniform(0.7, 1.3, len(points))[:, None]
            ends = points + reach * np.stack([side * np.cos(heading), np.sin(heading)], axis=1)
            generations.append((points, ends, widths))
            spread = rng.uniform(0.15, 0.5, len(points))
            heading = np.concatenate([heading - spread, heading + 0.6 * spread])
            widths = np.concatenate([widths * 0.62, widths * 0.78])
            points = np.concatenate([ends, ends])
            length *= 0.86
    return sorted(generations, key=lambda generation: float(generation[2].mean()))
