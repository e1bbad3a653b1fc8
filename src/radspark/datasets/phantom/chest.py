"""The layers of one chest before exposure: air, tissue, bones, vessels; findings change them in place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radspark.datasets.phantom.anatomy import Anatomy
from radspark.datasets.phantom.geometry import LEFT, RIGHT, Array, Frame, Sheet, blur, ellipse, resize, ribbon
from radspark.datasets.phantom.skeleton import draw_bones, draw_spine, draw_vessels

AIR_SHARE = 0.70
"""Share of an aerated lung's thickness that is air."""


@dataclass
class Chest:
    """What lies in the beam. Soft layers have half the resolution of fine ones. Thickness in millimetres of tissue."""

    anatomy: Anatomy
    soft: Frame
    fine: Frame
    x: Array
    """Millimetres at each soft pixel."""
    y: Array
    lungs: dict[int, Array]
    """Share of each soft pixel that lies within the lung of a side."""
    air: Array
    """Thickness of air."""
    tissue: Array
    """Thickness of everything else that is soft."""
    markings: Array
    """Share of the vessels that can be seen, at each soft pixel."""
    vessels: Array
    """Fine layer."""
    lines: Array
    """Fine layer of bones and of whatever findings draw sharply."""

    def inside(self, side: int | None = None) -> Array:
        """The lung of a side, or both."""
        return self.lungs[side] if side else self.lungs[RIGHT] + self.lungs[LEFT]

    def fill_air(self, share: Array, *, hide_markings: float = 1.0) -> None:
        """Replace a share of the air by fluid; vessels in it lose their contrast."""
        self.air *= 1.0 - share
        self.markings *= 1.0 - hide_markings * share

    def add_lines(self, sheet: Sheet, *, within: Array | None = None) -> None:
        """Add what was drawn on a fine sheet, cut to a soft mask."""
        layer = sheet.array()
        self.lines += layer if within is None else layer * resize(within, self.fine.side)

    def soft_sheet(self) -> Sheet:
        return Sheet(self.soft)

    def fine_sheet(self) -> Sheet:
        return Sheet(self.fine)

    def distance(self, center: tuple[float, float]) -> Array:
        """Millimetres of each soft pixel from a point."""
        return np.asarray(np.hypot(self.x - np.float32(center[0]), self.y - np.float32(center[1])))

    def thickness(self) -> Array:
        """The sum of all layers, float32 at fine resolution."""
        soft = resize(self.tissue - self.air, self.fine.side)
        visible = resize(np.clip(self.markings, 0.0, 1.0), self.fine.side)
        return np.asarray(soft + self.vessels * visible + self.lines)


def build_chest(anatomy: Anatomy, frame: Frame) -> Chest:
    """A chest without disease."""
    soft = frame.at(max(frame.side // 2, 1))
    x, y = soft.grid()
    lungs = {side: _lung_mask(anatomy, soft, side) for side in (RIGHT, LEFT)}
    tissue = _trunk(anatomy, soft) + draw_spine(anatomy, soft)
    heart, mediastinum = _filled(soft, anatomy.heart(), 45.0), _filled(soft, anatomy.mediastinum(), 0.0)
    blocked = np.maximum(0.93 * mediastinum, 0.80 * _bulge(heart, soft))
    air = _air(anatomy, soft, lungs) * (1.0 - blocked)
    _add_airways(anatomy, soft, air)
    _add_belly(anatomy, soft, air, lungs)
    return Chest(
        anatomy=anatomy,
        soft=soft,
        fine=frame,
        x=x,
        y=y,
        lungs=lungs,
        air=air,
        tissue=tissue,
        markings=np.clip(lungs[RIGHT] + lungs[LEFT], 0, 1) * (1.0 - 0.8 * mediastinum),
        vessels=draw_vessels(anatomy, frame),
        lines=draw_bones(anatomy, frame),
    )


def _filled(frame: Frame, outline: Array, depth: float, *, softness_mm: float = 1.6) -> Array:
    sheet = Sheet(frame)
    sheet.fill(outline, depth=depth)
    return blur(sheet.array(), softness_mm * frame.pixels_per_mm)


def _bulge(mask: Array, frame: Frame) -> Array:
    """A mask as the thickness of a rounded body: full in the middle, thin at the rim."""
    return mask * np.clip(0.55 + 0.9 * (blur(mask, 16.0 * frame.pixels_per_mm) - 0.5), 0.0, 1.0)


def _lung_mask(anatomy: Anatomy, frame: Frame, side: int) -> Array:
    return _filled(frame, anatomy.lung(side), 0.0, softness_mm=1.2)


def _air(anatomy: Anatomy, frame: Frame, lungs: dict[int, Array]) -> Array:
    """Air is deepest in the middle of a lung and thins toward the chest wall."""
    both = np.clip(lungs[RIGHT] + lungs[LEFT], 0.0, 1.0)
    cavity = Sheet(frame)
    for side in (RIGHT, LEFT):
        floor = np.asarray([(side * anatomy.half_width, 2.0 * anatomy.height), (0.0, 2.0 * anatomy.height), (0.0, 0.0)])
        cavity.fill(np.concatenate([anatomy.walls[side], floor]))
    deep = np.clip(blur(cavity.array(), 17.0 * frame.pixels_per_mm) * 2.0 - 1.0, 0.0, 1.0)
    chest_depth = anatomy.physique.depth - 1.4 * anatomy.physique.fat - 45.0
    depth = np.float32(AIR_SHARE * chest_depth * anatomy.air_gain)
    return np.asarray(both * (0.42 + 0.58 * deep) * depth)


def _trunk(anatomy: Anatomy, frame: Frame) -> Array:
    """Trunk, neck, shoulders, arms and breasts: thick in the middle, thin at the skin."""
    body = anatomy.physique
    sheet = Sheet(frame)
    sheet.fill(anatomy.trunk())
    mask = blur(sheet.array(), 1.0 * frame.pixels_per_mm)
    depth = np.clip(blur(mask, 30.0 * frame.pixels_per_mm) * 2.0 - 1.0, 0.0, 1.0) ** 0.6
    _, y = frame.grid()
    taper = np.clip(1.0 - np.clip(-y - 10.0, 0.0, None) / 260.0, 0.4, 1.0) + np.clip(y / anatomy.height - 0.9, 0, 0.3)
    tissue = mask * (0.12 + 0.88 * depth) * taper * np.float32(body.depth)
    arms = Sheet(frame)
    for side in (-1, 1):
        arms.fill(ribbon(anatomy.arm(side), 82.0 + body.fat))
    limb = blur(arms.array(), 1.5 * frame.pixels_per_mm)
    tissue = np.maximum(tissue, limb * (0.25 + 0.75 * blur(limb, 14.0 * frame.pixels_per_mm)) * np.float32(95.0))
    if body.breast:
        tissue += _breasts(anatomy, frame)
    return tissue


def _breasts(anatomy: Anatomy, frame: Frame) -> Array:
    """Two shadows, thickest above their sharp lower rim."""
    x, y = frame.grid()
    radius = np.float32(anatomy.physique.breast)
    total = np.zeros_like(x)
    for side in (RIGHT, LEFT):
        center_x = side * 0.66 * anatomy.half_width
        center_y = 0.80 * anatomy.height - 0.25 * radius
        reach = np.hypot((x - center_x) / 1.15, np.where(y < center_y, (y - center_y) * 0.6, y - center_y)) / radius
        total += np.sqrt(np.clip(1.0 - reach**2, 0.0, None)) * (0.75 * radius)
    return blur(total, 1.0 * frame.pixels_per_mm)


def _add_airways(anatomy: Anatomy, frame: Frame, air: Array) -> None:
    """Trachea and the two main bronchi."""
    h, shift = anatomy.height, anatomy.shift * 0.5
    carina = (shift, 0.34 * h)
    sheet = Sheet(frame)
    sheet.stroke(np.asarray([(shift * 0.4, -0.5 * h), carina]), 26.0, width_mm=16.0)
    for side in (RIGHT, LEFT):
        x, y = anatomy.hilum(side)
        sheet.stroke(np.asarray([carina, (0.75 * x, y)]), 14.0, width_mm=11.0)
    layer = blur(sheet.array(), 1.6 * frame.pixels_per_mm)
    air += layer * (air < 30.0)


def _add_belly(anatomy: Anatomy, frame: Frame, air: Array, lungs: dict[int, Array]) -> None:
    """The stomach's bubble under the left dome, and gas in the bowel."""
    rng = np.random.default_rng(anatomy.physique.vessel_seed + 1)
    sheet = Sheet(frame)
    x = (0.36 + 0.2 * rng.random()) * anatomy.half_width
    y = anatomy.dome_top(LEFT) + 24.0 + 10.0 * rng.random()
    radius = rng.uniform(9.0, 22.0)
    sheet.fill(ellipse((x, y), (1.3 * radius, 0.75 * radius)), rng.uniform(20.0, 60.0))
    for _ in range(int(rng.integers(0, 5))):
        spot = (rng.uniform(-0.8, 0.8) * anatomy.half_width, anatomy.height + rng.uniform(75.0, 130.0))
        sheet.fill(ellipse(spot, (rng.uniform(6, 15), rng.uniform(5, 10)), tilt=rng.uniform(0, 3)), rng.uniform(10, 35))
    air += blur(sheet.array(), 2.2 * frame.pixels_per_mm) * (1.0 - lungs[LEFT])
