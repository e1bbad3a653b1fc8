"""What every drawn finding shares: its place and severity, its random stream, and the boxes around what was drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from radspark.datasets.phantom.anatomy import Anatomy
from radspark.datasets.phantom.chest import Chest
from radspark.datasets.phantom.geometry import LEFT, RIGHT, Array, Sheet, blur, mottle


@dataclass(frozen=True)
class Lesion:
    """One finding of a patient: it stays in its place from image to image while its severity changes."""

    side: int
    severity: float
    """1 is typical; 0.7 is subtle, 1.3 is severe."""
    seed: tuple[int, ...]

    def rng(self, stage: int = 0) -> np.random.Generator:
        """The same stream in every image of the patient."""
        return np.random.default_rng((*self.seed, stage))


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the written image."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class FindingArtist:
    """How a finding reshapes the chest before it is drawn, and what it draws; returns where."""

    name: str
    draw: Callable[[Chest, Lesion], list[Box]]
    reshape: Callable[[Anatomy, Lesion], Anatomy] = lambda anatomy, _: anatomy


def boxes_of(chest: Chest, *masks: Array, level: float = 0.35) -> list[Box]:
    """Boxes around where each soft mask exceeds a share of its maximum."""
    found = []
    scale = chest.fine.side / chest.soft.side
    for mask in masks:
        high = mask > level * max(float(mask.max()), 1e-6)
        rows, columns = np.flatnonzero(high.any(axis=1)), np.flatnonzero(high.any(axis=0))
        if len(rows):
            corner, size = (columns[0], rows[0]), (np.ptp(columns) + 1, np.ptp(rows) + 1)
            found.append(Box(corner[0] * scale, corner[1] * scale, float(size[0]) * scale, float(size[1]) * scale))
    return found


def spot(chest: Chest, side: int, *, across: float, down: float) -> tuple[float, float]:
    """A point in a lung: `across` from hilum 0 to chest wall 1, `down` from apex 0 to dome 1."""
    anatomy = chest.anatomy
    y = down * anatomy.dome_top(side)
    inner = side * (30.0 + 26.0 * max(0.0, down - 0.45) * (1.6 if side == LEFT else 0.6))
    outer = float(anatomy.wall_x(side, y))
    return inner + across * (outer - inner), y


def soft_region(chest: Chest, outline: Array, *, softness_mm: float) -> Array:
    """An outline as a soft mask with blurred edges."""
    sheet = Sheet(chest.soft)
    sheet.fill(outline)
    return blur(sheet.array(), softness_mm * chest.soft.pixels_per_mm)


def grain(chest: Chest, rng: np.random.Generator, *, grain_mm: float) -> Array:
    """A mottled texture on the soft grid, mean 0, standard deviation 1."""
    return mottle(rng, chest.soft.side, grain_pixels=grain_mm * chest.soft.pixels_per_mm)


def other(side: int) -> int:
    """The opposite lung."""
    return LEFT if side == RIGHT else RIGHT
