"""Disease of the pleura and of the chest's shape: effusion, pneumothorax, thickening, big heart, emphysema, hernia."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from radspark.datasets.phantom.anatomy import Anatomy
from radspark.datasets.phantom.chest import Chest
from radspark.datasets.phantom.geometry import LEFT, RIGHT, above, ellipse
from radspark.datasets.phantom.lesion import Box, FindingArtist, Lesion, boxes_of, soft_region, spot


def _draw_effusion(chest: Chest, lesion: Lesion) -> list[Box]:
    """Fluid blunts the costophrenic angle and climbs the side wall in a meniscus."""
    rng = lesion.rng()
    anatomy = chest.anatomy
    sides = (RIGHT, LEFT) if rng.random() < 0.3 else (lesion.side,)
    pools = []
    for side in sides:
        depth = rng.uniform(5.0, 40.0) * lesion.severity
        level = anatomy.dome_top(side) + 16.0 - depth
        wall = np.abs(anatomy.wall_x(side, chest.y[:, chest.soft.side // 2]))[:, None]
        gap = np.clip(wall - side * chest.x, 0.0, None)
        surface = level - 42.0 * np.exp(-gap / 15.0) + 8.0 * np.exp(-np.abs(chest.x) / 25.0)
        pool = above(chest.y - surface, softness=1.6)
        pool = pool * chest.inside(side)
        chest.fill_air(np.float32(0.93) * pool)
        pools.append(pool)
    return boxes_of(chest, *pools)


def _push_aside(anatomy: Anatomy, lesion: Lesion) -> Anatomy:
    """Air under tension pushes the heart to the other side."""
    return replace(anatomy, shift=anatomy.shift - lesion.side * 5.0 * lesion.severity)


def _draw_pneumothorax(chest: Chest, lesion: Lesion) -> list[Box]:
    """A thin pleural line; beyond it the chest is black and has no markings."""
    rng = lesion.rng()
    anatomy, side = chest.anatomy, lesion.side
    gap = rng.uniform(13.0, 34.0) * lesion.severity
    wall = anatomy.walls[side]
    share = np.clip(wall[:, 1] / anatomy.dome_top(side), 0.0, 1.0)
    thickness = gap * (1.15 - 0.75 * share)
    line = wall + np.stack(
        [-side * thickness * (0.35 + 0.65 * np.abs(wall[:, 0]) / anatomy.half_width), 0.9 * thickness], axis=1
    )
    line = line[4 : int(rng.integers(30, 38))]
    inner = np.concatenate([line, [(side * 8.0, float(line[-1, 1])), (side * 8.0, float(line[0, 1]))]])
    lung_left = soft_region(chest, inner, softness_mm=0.8)
    below = above(chest.y - float(line[-1, 1]), softness=2.0)
    beyond = np.clip(1.0 - lung_left - below, 0, 1) * chest.inside(side)
    beyond *= np.abs(chest.x) > 0.16 * anatomy.half_width
    chest.air *= 1.0 + np.float32(0.20) * beyond - np.float32(0.06) * lung_left
    chest.markings *= 1.0 - beyond
    pleura = chest.fine_sheet()
    pleura.stroke(line, 17.0, width_mm=1.5)
    chest.add_lines(pleura, within=chest.inside(side))
    return boxes_of(chest, beyond)


def _draw_thickening(chest: Chest, lesion: Lesion) -> list[Box]:
    """A dense band along the side wall, or a cap on the apex, with a wavy inner edge."""
    rng = lesion.rng()
    wall = chest.anatomy.walls[lesion.side]
    apical = rng.random() < 0.3
    first, last = (2, 16) if apical else (int(rng.integers(10, 17)), int(rng.integers(29, 38)))
    part = wall[first:last]
    t = np.linspace(0, 1, len(part))
    ripple = 0.1 if apical else 0.3
    bulge = np.sin(np.pi * t) ** 0.4 * (1.0 + ripple * np.sin(t * rng.uniform(8, 16) + rng.uniform(0, 6)))
    depth = rng.uniform(9.0, 15.0) * lesion.severity * bulge * (1.3 if apical else 1.0)
    toward = np.asarray([0.45 * chest.anatomy.half_width * lesion.side, 0.5 * chest.anatomy.height]) - part
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    band = np.concatenate([part - 3.0 * toward, (part + depth[:, None] * toward)[::-1]])
    region = soft_region(chest, band, softness_mm=0.8) * chest.inside(lesion.side)
    chest.fill_air(np.float32(0.55) * region)
    chest.tissue += region * np.float32(22.0)
    return boxes_of(chest, region)


def _widen_heart(anatomy: Anatomy, lesion: Lesion) -> Anatomy:
    """A cardiothoracic ratio well above one half."""
    ratio = lesion.rng(1).uniform(0.54, 0.60) + 0.03 * (lesion.severity - 1.0)
    return replace(anatomy, heart_ratio=ratio * (1.03 if anatomy.view == "AP" else 1.0))


def _draw_wide_heart(chest: Chest, _: Lesion) -> list[Box]:
    """The heart was widened before it was drawn; this only says where it is."""
    return boxes_of(chest, soft_region(chest, chest.anatomy.heart(), softness_mm=0.5), level=0.5)


def _inflate(anatomy: Anatomy, lesion: Lesion) -> Anatomy:
    """Long, black lungs on a flat diaphragm, with few markings and a narrow heart."""
    rng = lesion.rng(1)
    heart = anatomy.heart_ratio
    return replace(
        anatomy,
        height=anatomy.height * rng.uniform(1.05, 1.12),
        sulcus=rng.uniform(10.0, 17.0),
        heart_ratio=heart if heart > 0.5 else heart * 0.88,
        vessel_gain=anatomy.vessel_gain * 0.5,
        air_gain=anatomy.air_gain * 1.05,
    )


def _draw_emphysema(chest: Chest, lesion: Lesion) -> list[Box]:
    """Bullae: black bubbles with hair-thin walls."""
    rng = lesion.rng()
    walls = chest.fine_sheet()
    for side in (RIGHT, LEFT):
        for _ in range(int(rng.integers(2, 5))):
            center = spot(chest, side, across=rng.uniform(0.35, 0.9), down=rng.uniform(0.08, 0.55))
            radius = rng.uniform(9.0, 18.0)
            bubble = above(radius - chest.distance(center), softness=1.0)
            chest.air *= 1.0 + np.float32(0.14) * bubble * chest.inside(side)
            chest.markings *= 1.0 - 0.85 * bubble
            ring = ellipse(center, (radius, radius))
            walls.stroke(ring[: int(rng.integers(24, 48))], 9.0, width_mm=1.2)
    chest.add_lines(walls, within=np.clip(chest.inside(), 0, 1))
    return boxes_of(chest, chest.lungs[RIGHT], chest.lungs[LEFT])


def _draw_hernia(chest: Chest, lesion: Lesion) -> list[Box]:
    """A part of the stomach behind the heart: a round wall, air on top, fluid with a level below."""
    rng = lesion.rng()
    radius = rng.uniform(23.0, 34.0) * lesion.severity**0.4
    base = min(chest.anatomy.dome_top(RIGHT), chest.anatomy.dome_top(LEFT))
    center = (chest.anatomy.shift + rng.uniform(-12.0, 30.0), base - rng.uniform(0.2, 0.9) * radius)
    away = chest.distance(center) - np.float32(radius)
    sack = above(-away, softness=1.0)
    wall = np.exp(-((away / 2.4) ** 2))
    level = center[1] + rng.uniform(-0.1, 0.3) * radius
    gas = sack * above(level - chest.y, softness=0.8)
    chest.air += gas * np.float32(42.0)
    chest.tissue += (sack - gas) * np.float32(rng.uniform(10.0, 20.0)) + wall * np.float32(18.0)
    chest.markings *= 1.0 - sack
    return boxes_of(chest, sack)


PLEURA = (
    FindingArtist("Cardiomegaly", _draw_wide_heart, _widen_heart),
    FindingArtist("Effusion", _draw_effusion),
    FindingArtist("Pneumothorax", _draw_pneumothorax, _push_aside),
    FindingArtist("Emphysema", _draw_emphysema, _inflate),
    FindingArtist("Pleural_Thickening", _draw_thickening),
    FindingArtist("Hernia", _draw_hernia),
)
