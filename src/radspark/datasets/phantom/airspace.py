"""Findings within the lung: what fills its air, what grows in it, and what scars it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from radspark.datasets.phantom.anatomy import Anatomy
from radspark.datasets.phantom.chest import Chest
from radspark.datasets.phantom.geometry import LEFT, RIGHT, Array, above, ellipse, ribbon, smooth_open
from radspark.datasets.phantom.lesion import Box, FindingArtist, Lesion, boxes_of, grain, soft_region, spot


def _draw_infiltration(chest: Chest, lesion: Lesion) -> list[Box]:
    """Several ill-defined patches of haze in one zone; vessels shine through."""
    rng = lesion.rng()
    center = spot(chest, lesion.side, across=rng.uniform(0.3, 0.7), down=rng.uniform(0.3, 0.9))
    haze = np.zeros_like(chest.air)
    for _ in range(int(rng.integers(4, 8))):
        patch = center[0] + rng.normal(0, 16.0), center[1] + rng.normal(0, 24.0)
        haze += np.exp(-((chest.distance(patch) / np.float32(rng.uniform(10.0, 19.0))) ** 2))
    haze = 1.0 - np.exp(-haze * np.exp(0.5 * grain(chest, rng, grain_mm=6.0)))
    haze *= chest.inside(lesion.side)
    chest.fill_air(np.float32(0.42 * lesion.severity) * haze, hide_markings=0.3)
    return boxes_of(chest, haze)


def _draw_consolidation(chest: Chest, lesion: Lesion) -> list[Box]:
    """Dense and even up to a straight fissure; nothing is seen through it."""
    rng = lesion.rng()
    radius = rng.uniform(28.0, 42.0) * lesion.severity**0.5
    side, upper = lesion.side, rng.random() < 0.5
    fissure = spot(
        chest, side, across=rng.uniform(0.35, 0.75), down=rng.uniform(0.28, 0.60) if upper else rng.uniform(0.45, 0.75)
    )
    slope = rng.uniform(-0.12, 0.25)
    below = chest.y - fissure[1] - slope * np.abs(chest.x - fissure[0])
    edge = above(-below if upper else below, softness=1.2)
    middle = fissure[0], fissure[1] + (-1 if upper else 1) * rng.uniform(0.2, 0.5) * radius
    body = above(radius - chest.distance(middle), softness=3.5)
    region = edge * body * chest.inside(side)
    chest.fill_air(np.float32(0.88) * region)
    return boxes_of(chest, region)


def _draw_pneumonia(chest: Chest, lesion: Lesion) -> list[Box]:
    """A segment, wedge-shaped from the hilum to the pleura, with air left in its bronchi."""
    rng = lesion.rng()
    side = lesion.side
    hilum = np.asarray(chest.anatomy.hilum(side))
    target = np.asarray(spot(chest, side, across=0.92, down=rng.uniform(0.35, 0.98)))
    axis = target - hilum
    normal = np.asarray([-axis[1], axis[0]]) * rng.uniform(0.34, 0.48) * lesion.severity**0.5
    wedge = np.stack(
        [hilum + 0.22 * axis + 0.25 * normal, target + normal, target - normal, hilum + 0.22 * axis - 0.25 * normal]
    )
    region = soft_region(chest, wedge, softness_mm=5.0) * chest.inside(side)
    region = np.clip(region * (1.0 + 0.22 * grain(chest, rng, grain_mm=9.0)), 0, 1)
    chest.fill_air(np.float32(0.62) * region)
    bronchi = chest.fine_sheet()
    for angle in (-0.34, -0.12, 0.1, 0.32):
        tip = hilum + 0.88 * axis + 1.6 * angle * normal
        middle = hilum + 0.5 * axis + 0.55 * angle * normal + rng.normal(0, 2.0, 2)
        path = smooth_open([tuple(hilum + 0.12 * axis), tuple(middle), tuple(tip)], samples=14)
        bronchi.fill(ribbon(path, np.linspace(5.5, 3.0, len(path))), -20.0)
    chest.add_lines(bronchi, within=region)
    return boxes_of(chest, region)


def _draw_edema(chest: Chest, lesion: Lesion) -> list[Box]:
    """Bat wings around both hila that spare the rim, and Kerley's B lines at the bases."""
    rng = lesion.rng()
    lines = chest.fine_sheet()
    wings = []
    for side in (RIGHT, LEFT):
        x, y = chest.anatomy.hilum(side)
        center = x + side * rng.uniform(8.0, 26.0), y + rng.uniform(-12.0, 42.0)
        across, down = (chest.x - center[0]) / rng.uniform(26, 38), (chest.y - center[1]) / rng.uniform(42, 62)
        wing = np.exp(-((across**2 + down**2) ** 1.2)) * chest.inside(side)
        texture = np.exp(0.28 * grain(chest, rng, grain_mm=9.0))
        wings.append(np.clip(rng.uniform(0.5, 1.1) * wing * texture, 0, 1.3))
        for _ in range(11):
            height = rng.uniform(0.66, 1.06) * chest.anatomy.dome_top(side)
            wall = float(chest.anatomy.wall_x(side, height))
            ends = [(wall - side * 1.0, height), (wall - side * rng.uniform(12, 20), height + rng.normal(0, 1.2))]
            lines.stroke(np.asarray(ends), 15.0, width_mm=1.5)
    chest.fill_air(np.float32(0.30 * lesion.severity) * (wings[0] + wings[1]), hide_markings=0.5)
    chest.add_lines(lines, within=np.clip(chest.inside(), 0, 1))
    return boxes_of(chest, *wings)


def _raise_dome(anatomy: Anatomy, lesion: Lesion) -> Anatomy:
    """Lost volume lifts the diaphragm and draws the heart over."""
    lift = lesion.rng(1).uniform(7.0, 18.0) * lesion.severity
    right, left = anatomy.raised
    raised = (right + lift, left) if lesion.side == RIGHT else (right, left + lift)
    return replace(anatomy, raised=raised, shift=anatomy.shift + lesion.side * 4.0)


def _draw_atelectasis(chest: Chest, lesion: Lesion) -> list[Box]:
    """Plates: straight, dense, nearly level bands above the diaphragm."""
    rng = lesion.rng()
    side = lesion.side
    bands = np.zeros_like(chest.air)
    for _ in range(int(rng.integers(2, 5))):
        x, y = spot(chest, side, across=rng.uniform(0.3, 0.62), down=rng.uniform(0.66, 0.92))
        length, slope = rng.uniform(38.0, 72.0), side * rng.uniform(-0.35, 0.25)
        t = np.linspace(-0.5, 0.5, 16)
        path = np.stack([x + t * length, y + t * length * slope + 3.0 * t**2], axis=1)
        widths = rng.uniform(4.5, 8.0) * np.sqrt(1.02 - 4 * t**2)
        bands = np.maximum(bands, soft_region(chest, ribbon(path, widths), softness_mm=1.3))
    bands *= chest.inside(side)
    chest.fill_air(np.clip(0.46 * lesion.severity * bands, 0, 0.8))
    return boxes_of(chest, bands)


def _ball(chest: Chest, center: tuple[float, float], radius: float, *, density: float) -> Array:
    """A round tumor adds the thickness of a ball."""
    ratio = chest.distance(center) / np.float32(radius)
    ball = np.sqrt(np.clip(1.0 - ratio**2, 0.0, None))
    chest.tissue += ball * np.float32(2 * radius * density)
    chest.markings *= 1.0 - 0.8 * (ball > 0)
    return ball


def _draw_mass(chest: Chest, lesion: Lesion) -> list[Box]:
    """One ball of more than 3 cm with lobes."""
    rng = lesion.rng()
    center = spot(chest, lesion.side, across=rng.uniform(0.25, 0.75), down=rng.uniform(0.18, 0.85))
    radius = float(np.clip(rng.uniform(19.0, 30.0) * lesion.severity**0.5, 16.0, 36.0))
    ball = _ball(chest, center, radius, density=rng.uniform(0.8, 1.0))
    for _ in range(3):
        angle = rng.uniform(0, 2 * np.pi)
        lobe = center[0] + 0.55 * radius * np.cos(angle), center[1] + 0.55 * radius * np.sin(angle)
        ball = np.maximum(ball, _ball(chest, lobe, 0.55 * radius, density=0.25))
    return boxes_of(chest, ball, level=0.05)


def _draw_nodules(chest: Chest, lesion: Lesion) -> list[Box]:
    """Two to five balls of less than 3 cm; some are calcified."""
    rng = lesion.rng()
    balls = []
    for index in range(int(rng.integers(2, 6))):
        side = lesion.side if index == 0 or rng.random() < 0.5 else -lesion.side
        center = spot(chest, side, across=rng.uniform(0.22, 0.85), down=rng.uniform(0.15, 0.9))
        radius = float(np.clip(rng.uniform(6.5, 11.0) * lesion.severity**0.3, 4.0, 14.0))
        balls.append(_ball(chest, center, radius, density=rng.uniform(2.2, 3.0)))
    return boxes_of(chest, *balls, level=0.05)


def _shrink(anatomy: Anatomy, lesion: Lesion) -> Anatomy:
    """Stiff lungs are small."""
    return replace(anatomy, height=anatomy.height * (1.0 - 0.05 * lesion.severity))


def _draw_fibrosis(chest: Chest, lesion: Lesion) -> list[Box]:
    """A net of lines with honeycombs, at the bases and along the pleura of both lungs."""
    rng = lesion.rng()
    net = chest.fine_sheet()
    anatomy = chest.anatomy
    zones = []
    for side in (RIGHT, LEFT):
        extent = rng.uniform(0.52, 0.66)
        for _ in range(90):
            down = extent + (1.06 - extent) * rng.beta(2.0, 1.3)
            across = 1.0 - (0.1 + 0.75 * max(0.0, down - extent) / (1 - extent)) * rng.random()
            radius = rng.uniform(2.6, 5.0)
            x, y = spot(chest, side, across=across, down=down)
            ring = ellipse((x, y), (radius, radius * rng.uniform(0.7, 1.2)), tilt=rng.uniform(0, 3))
            net.stroke(np.concatenate([ring, ring[:1]])[::4], 20.0 * lesion.severity, width_mm=1.5)
        reach = np.abs(chest.x) / np.abs(anatomy.wall_x(side, chest.y[:, chest.soft.side // 2]))[:, None]
        low = above(chest.y - extent * anatomy.dome_top(side), softness=8.0)
        zones.append(low * np.clip(reach, 0, 1) ** 2 * chest.inside(side))
    zone = zones[0] + zones[1]
    chest.fill_air(np.float32(-0.05) * zone, hide_markings=-12.0)
    chest.add_lines(net, within=np.clip(chest.inside(), 0, 1))
    return boxes_of(chest, *zones)


AIRSPACE = (
    FindingArtist("Atelectasis", _draw_atelectasis, _raise_dome),
    FindingArtist("Infiltration", _draw_infiltration),
    FindingArtist("Mass", _draw_mass),
    FindingArtist("Nodule", _draw_nodules),
    FindingArtist("Pneumonia", _draw_pneumonia),
    FindingArtist("Consolidation", _draw_consolidation),
    FindingArtist("Edema", _draw_edema),
    FindingArtist("Fibrosis", _draw_fibrosis, _shrink),
)
