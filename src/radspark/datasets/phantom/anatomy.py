"""A body and how it stood before the detector: sizes, outlines of lungs, heart, mediastinum and trunk.

Bones and vessels are drawn in `skeleton.py`, disease in `airspace.py`, `pleura.py` and `shape.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from radspark.datasets.phantom.geometry import LEFT, RIGHT, Array, smooth_closed, smooth_open

LATERAL_WALL = ((0.15, 0.05), (0.37, 0.0), (0.58, 0.06), (0.76, 0.22), (0.89, 0.45), (0.96, 0.68), (1.0, 0.92))
"""Inside of the chest wall from apex to base: x in half widths, y in lung heights."""


@dataclass(frozen=True)
class Physique:
    """What stays the same in all images of a patient. Lengths in millimetres."""

    sex: str
    half_width: float
    """Midline to the inside of the chest wall at its widest."""
    lung_height: float
    """Apex to the top of the right hemidiaphragm, at full inspiration."""
    fat: float
    """Soft tissue outside the ribs."""
    depth: float
    """Front to back of the trunk."""
    heart_ratio: float
    """Cardiothoracic ratio in a PA view."""
    heart_tilt: float
    """0: upright drop heart; 1: lying heart."""
    knob: float
    """Radius of the aortic knob."""
    mediastinum: float
    """Half width above the heart."""
    breast: float
    """Radius; 0 draws none."""
    rib_slope: float
    rib_pitch: float
    """Distance between ribs along the spine."""
    bone: float
    """Density of bone, 1 in a young adult."""
    scoliosis: float
    """Sideways bow of the spine."""
    vessel_seed: int


def draw_physique(rng: np.random.Generator, *, sex: str, age: int) -> Physique:
    """A random patient; men are larger, the old have a wider aorta and paler bones."""
    man = sex == "M"
    scale = rng.normal(1.0, 0.055)
    fat = 8.0 + 30.0 * rng.beta(1.6, 3.0)
    return Physique(
        sex=sex,
        half_width=(139.0 if man else 126.0) * scale,
        lung_height=(232.0 if man else 212.0) * scale * rng.normal(1.0, 0.05),
        fat=fat,
        depth=(215.0 if man else 195.0) * scale + 1.4 * fat,
        heart_ratio=rng.uniform(0.39, 0.485),
        heart_tilt=rng.uniform(0.0, 1.0),
        knob=11.0 + 0.09 * max(age - 30, 0) + rng.uniform(0, 3),
        mediastinum=rng.uniform(24.0, 31.0),
        breast=0.0 if man else rng.uniform(48.0, 78.0),
        rib_slope=rng.uniform(0.8, 1.3),
        rib_pitch=rng.uniform(0.096, 0.108),
        bone=rng.uniform(0.85, 1.15) * (1.0 - 0.003 * max(age - 50, 0)),
        scoliosis=rng.normal(0.0, 4.0),
        vessel_seed=int(rng.integers(2**31)),
    )


@dataclass(frozen=True)
class Anatomy:
    """The chest of one image, after breath, view and disease have shaped it. Lengths in millimetres."""

    physique: Physique
    view: str
    half_width: float
    height: float
    """Apex to the top of the right dome."""
    raised: tuple[float, float]
    """How much the right and the left dome stand above their usual place."""
    sulcus: float
    """How far the costophrenic angle lies below the dome; small in a flat diaphragm."""
    heart_ratio: float
    shift: float = 0.0
    """Of mediastinum and heart, to the image's right."""
    vessel_gain: float = 1.0
    air_gain: float = 1.0

    def dome_top(self, side: int) -> float:
        """Height of the diaphragm's dome; the left one stands lower."""
        return self.height - self.raised[0 if side == RIGHT else 1] + (9.0 if side == LEFT else 0.0)

    @cached_property
    def walls(self) -> dict[int, Array]:
        """Inside of the chest wall (n, 2) on each side, from the apex to the costophrenic angle."""
        walls = {}
        for side in (RIGHT, LEFT):
            bottom = (1.0, (self.dome_top(side) + self.sulcus) / self.height)
            points = [(side * x * self.half_width, y * self.height) for x, y in (*LATERAL_WALL, bottom)]
            walls[side] = smooth_open(points)
        return walls

    def wall_x(self, side: int, y: Array | float) -> Array:
        """Signed x of the chest wall at heights y below the apex."""
        wall = self.walls[side]
        top = int(np.argmin(wall[:, 1]))
        return np.asarray(np.interp(y, wall[top:, 1], wall[top:, 0]))

    def diaphragm(self, side: int, x: Array) -> Array:
        """Height of the diaphragm at signed x."""
        top = 0.5 * self.half_width
        across = np.abs(x) - top
        lateral = np.clip(across / (self.half_width - top), 0.0, 1.0)
        medial = np.clip(-across / top, 0.0, 1.0)
        fall = self.sulcus * (1 - np.sqrt(1 - 0.985 * lateral**2)) / (1 - np.sqrt(0.015))
        return np.asarray(self.dome_top(side) + fall + 0.42 * self.sulcus * medial**2)

    def lung(self, side: int) -> Array:
        """Outline of a lung; heart and mediastinum are cut from it later."""
        x = side * np.linspace(self.half_width, 8.0, 40)
        dome = np.stack([x, self.diaphragm(side, x)], axis=1)
        medial = np.asarray([(side * 8.0, 0.5 * self.height), (side * 12.0, 0.1 * self.height)])
        return np.concatenate([self.walls[side], dome, medial])

    def hilum(self, side: int) -> tuple[float, float]:
        """Where vessels enter a lung; the left one stands higher."""
        return side * 34.0 + self.shift * 0.7, 0.44 * self.height - (9.0 if side == LEFT else 0.0)

    @property
    def heart_edges(self) -> tuple[float, float]:
        """Signed x of the heart's right and left border."""
        width = 2 * self.half_width * self.heart_ratio
        return self.shift - 0.34 * width, self.shift + 0.66 * width

    def heart(self) -> Array:
        """Outline of the heart: right atrium, apex at the lower left, pulmonary trunk on top."""
        right, left = self.heart_edges
        center, tilt = self.shift, self.physique.heart_tilt
        base = 0.5 * (self.dome_top(RIGHT) + self.dome_top(LEFT))
        top = 0.37 * self.height
        drop = base - top
        return smooth_closed(
            [
                (center - 18, top),
                (center + 0.92 * (right - center), top + 0.42 * drop),
                (right, top + 0.70 * drop),
                (center + 0.75 * (right - center), base + 6),
                (center + 10, base + 16),
                (center + 0.70 * (left - center), base + 14 - 6 * tilt),
                (left, base - 14 - 12 * tilt),
                (center + 0.80 * (left - center), top + (0.50 - 0.06 * tilt) * drop),
                (center + 0.47 * (left - center), top + 0.22 * drop),
                (center + 22, top - 4),
            ]
        )

    def mediastinum(self) -> Array:
        """Outline of great vessels and spine: cava on the right, aortic knob and pulmonary trunk on the left."""
        half, knob, center = self.physique.mediastinum, self.physique.knob, self.shift
        h = self.height
        return smooth_closed(
            [
                (center * 0.3 - 0.8 * half, -0.30 * h),
                (center * 0.5 - 0.85 * half, 0.05 * h),
                (center - half, 0.25 * h),
                (center - half - 2, 0.44 * h),
                (center - 0.72 * half, 0.70 * h),
                (center - 0.80 * half, 1.25 * h),
                (center + 0.85 * half, 1.25 * h),
                (center + 0.80 * half, 0.65 * h),
                (center + half + 4, 0.43 * h),
                (center + half + 1, 0.345 * h),
                (center + half + knob - 6, 0.265 * h),
                (center + half - 2, 0.18 * h),
                (center * 0.5 + 0.8 * half, 0.05 * h),
                (center * 0.3 + 0.8 * half, -0.30 * h),
            ],
            samples=120,
        )

    def trunk(self) -> Array:
        """Outline of neck, shoulders and trunk."""
        skin = self.half_width + 13.0 + self.physique.fat
        neck = 50.0 + 0.4 * self.physique.fat
        right = [(-neck, -150.0), (-neck, -75.0), (-neck - 28.0, -50.0), (-skin - 22.0, -28.0), (-skin - 62.0, 20.0)]
        low = [(-skin - 6.0, 95.0), (-skin, 170.0), (-skin + 4.0, 260.0), (-skin - 6.0, 460.0)]
        outline = smooth_open([*right, *low])
        return np.concatenate([outline, (outline * [-1.0, 1.0])[::-1]])

    def arm(self, side: int) -> Array:
        """Middle line of the upper arm, held away from the trunk."""
        skin = self.half_width + 13.0 + self.physique.fat
        out = 95.0 if self.view == "PA" else 38.0
        return np.asarray(
            [(side * (skin + 18.0), 18.0), (side * (skin + 0.5 * out + 20), 110.0), (side * (skin + out + 22), 330.0)]
        )
