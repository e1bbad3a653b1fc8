"""One planned image to grey values and boxes: pose, breath, findings, exposure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radspark.datasets.phantom.airspace import AIRSPACE
from radspark.datasets.phantom.anatomy import Anatomy
from radspark.datasets.phantom.chest import build_chest
from radspark.datasets.phantom.cohort import PlannedImage
from radspark.datasets.phantom.exposure import draw_technique, expose
from radspark.datasets.phantom.geometry import LEFT, RIGHT, Array, Frame
from radspark.datasets.phantom.lesion import Box, Lesion
from radspark.datasets.phantom.pleura import PLEURA
from radspark.labels import NIH_FINDINGS

ARTISTS = {artist.name: artist for artist in (*PLEURA, *AIRSPACE)}
DRAWING_ORDER = ("Emphysema", "Cardiomegaly", "Fibrosis", "Atelectasis", "Edema", "Infiltration", "Pneumonia",
    "Consolidation", "Nodule", "Mass", "Hernia", "Pleural_Thickening", "Pneumothorax", "Effusion")  # fmt: skip
"""Fluid lies over what is in the lung; what changes the chest's shape comes first."""


@dataclass(frozen=True)
class Drawing:
    """A finished picture."""

    grey: Array
    """float32 (size, size) in 0 to 1, bright where the body absorbs most."""
    boxes: tuple[tuple[str, Box], ...]
    """Finding and where it was drawn, in pixels."""
    mm_per_pixel: float


def render(image: PlannedImage, *, seed: int, size: int) -> Drawing:
    """Draw one image; depends on nothing but its arguments."""
    anatomy, lesions = prepare_anatomy(image, seed=seed), _lesions(image, seed=seed)
    rng = np.random.default_rng((seed, 6, image.patient_id, image.follow_up))
    frame = _place_detector(anatomy, rng, size=size)
    chest = build_chest(anatomy, frame)
    boxes = [(name, box) for name, lesion in lesions.items() for box in ARTISTS[name].draw(chest, lesion)]
    technique = draw_technique(rng, view=image.view, depth_mm=image.physique.depth)
    return Drawing(expose(chest.thickness(), technique, frame, rng), tuple(boxes), frame.field_mm / size)


def prepare_anatomy(image: PlannedImage, *, seed: int) -> Anatomy:
    """The chest in breath and view of one image, reshaped by its findings."""
    anatomy = _breathe(image, np.random.default_rng((seed, 4, image.patient_id, image.follow_up)))
    for name, lesion in _lesions(image, seed=seed).items():
        anatomy = ARTISTS[name].reshape(anatomy, lesion)
    return anatomy


def _place_detector(anatomy: Anatomy, rng: np.random.Generator, *, size: int) -> Frame:
    """Nobody stands quite straight or in the middle, least of all in bed."""
    portable = anatomy.view == "AP"
    return Frame(
        side=size,
        field_mm=float(rng.uniform(345.0, 450.0)),
        center=(float(rng.normal(0, 14.0)), 0.52 * anatomy.height + float(rng.normal(0, 16.0))),
        roll=float(rng.normal(0, 0.06 if portable else 0.04)),
        yaw=float(rng.normal(0, 0.10 if portable else 0.06)),
    )


def _lesions(image: PlannedImage, *, seed: int) -> dict[str, Lesion]:
    """A finding stays on its side and in its place; its severity varies from image to image."""
    lesions = {}
    for name in DRAWING_ORDER:
        if name in image.findings:
            origin = (seed, 5, image.patient_id, NIH_FINDINGS.index(name))
            side = RIGHT if np.random.default_rng(origin).random() < 0.5 else LEFT
            severity = np.random.default_rng((*origin, 2, image.follow_up)).uniform(0.8, 1.25)
            lesions[name] = Lesion(side=side, severity=float(severity), seed=origin)
    return lesions


def _breathe(image: PlannedImage, rng: np.random.Generator) -> Anatomy:
    """The chest before disease: AP images are taken lying, with less breath and a nearer, so larger, heart."""
    body, portable = image.physique, image.view == "AP"
    breath = rng.uniform(0.82, 0.97) if portable else rng.uniform(0.92, 1.04)
    return Anatomy(
        physique=body,
        view=image.view,
        half_width=body.half_width,
        height=body.lung_height * float(breath),
        raised=(float(rng.normal(0, 6.0)), float(rng.normal(0, 6.0))),
        sulcus=float(rng.uniform(32.0, 52.0)),
        heart_ratio=body.heart_ratio * (1.06 if portable else 1.0),
        shift=float(rng.normal(0, 4.0)),
        vessel_gain=float(rng.uniform(0.75, 1.2)),
        air_gain=float(rng.uniform(0.86, 1.06)),
    )
