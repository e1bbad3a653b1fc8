"""Each finding is drawn by its textbook sign, where its box says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radspark.datasets.phantom.cohort import PlannedImage, plan_cohort
from radspark.datasets.phantom.lesion import Box, Lesion
from radspark.datasets.phantom.render import ARTISTS, Drawing, prepare_anatomy, render
from radspark.labels import NIH_FINDINGS

SEED, SIZE = 11, 128
PLANNED = [replace(image, view="PA") for image in plan_cohort(60, seed=SEED, test_share=0.0, dicom_share=0.0)[::6]]


def _drawing(image: PlannedImage, *findings: str) -> Drawing:
    return render(replace(image, findings=findings), seed=SEED, size=SIZE)


def _boxes(drawing: Drawing, name: str) -> list[Box]:
    return [box for finding, box in drawing.boxes if finding == name]


def _cut(drawing: Drawing, box: Box) -> np.ndarray:
    return drawing.grey[int(box.y) : int(box.y + box.height), int(box.x) : int(box.x + box.width)]


def test_every_finding_has_an_artist() -> None:
    assert set(ARTISTS) == set(NIH_FINDINGS)


@pytest.mark.parametrize("name", list(NIH_FINDINGS))
def test_boxes_lie_in_the_image(name: str) -> None:
    for image in PLANNED:
        boxes = _boxes(_drawing(image, name), name)
        assert boxes
        for box in boxes:
            assert box.x >= 0 and box.y >= 0 and box.x + box.width <= SIZE and box.y + box.height <= SIZE


@pytest.mark.parametrize("name", ["Consolidation", "Mass", "Pneumonia", "Effusion", "Pleural_Thickening", "Nodule"])
def test_an_opacity_is_brighter_than_the_lung_it_covers(name: str) -> None:
    for image in PLANNED:
        ill, well = _drawing(image, name), _drawing(image)
        assert np.mean([(_cut(ill, box) - _cut(well, box)).mean() for box in _boxes(ill, name)]) > 0.01


@pytest.mark.parametrize("name", ["Consolidation", "Mass", "Nodule", "Infiltration", "Hernia"])
def test_a_local_finding_changes_nothing_far_from_its_box(name: str) -> None:
    for image in PLANNED:
        ill, well = _drawing(image, name), _drawing(image)
        change = np.abs(ill.grey - well.grey)
        inside = np.zeros_like(change, dtype=bool)
        for box in _boxes(ill, name):
            inside[int(box.y) : int(box.y + box.height), int(box.x) : int(box.x + box.width)] = True
        assert change[inside].mean() > 4 * change[~inside].mean()


def test_masses_are_larger_than_three_centimetres_and_nodules_smaller() -> None:
    for image in PLANNED:
        mass, nodules = _drawing(image, "Mass"), _drawing(image, "Nodule")
        # Where a box meets its pixel grid, two soft pixels (four of the image's) may be missing or added.
        slack = 4 * mass.mm_per_pixel
        assert all(max(box.width, box.height) * mass.mm_per_pixel > 30.0 - slack for box in _boxes(mass, "Mass"))
        widths = [max(box.width, box.height) for box in _boxes(nodules, "Nodule")]
        assert all(width * nodules.mm_per_pixel < 30.0 + slack for width in widths)


def _cardiothoracic_ratio(image: PlannedImage, *findings: str) -> float:
    anatomy = prepare_anatomy(replace(image, findings=findings), seed=SEED)
    heart = anatomy.heart()[:, 0]
    return float(np.ptp(heart) / (2 * anatomy.half_width))


def test_only_a_big_heart_fills_more_than_half_the_chest_in_a_pa_view() -> None:
    for image in PLANNED:
        assert _cardiothoracic_ratio(image) < 0.5 < _cardiothoracic_ratio(image, "Cardiomegaly")


def test_emphysema_is_tall_and_flat() -> None:
    for image in PLANNED:
        well = prepare_anatomy(replace(image, findings=()), seed=SEED)
        ill = prepare_anatomy(replace(image, findings=("Emphysema",)), seed=SEED)
        assert ill.height > 1.04 * well.height
        assert ill.sulcus < 0.6 * well.sulcus
        assert ill.heart_ratio < well.heart_ratio


def test_a_lesion_keeps_its_place_in_a_follow_up() -> None:
    lesion = Lesion(side=1, severity=1.0, seed=(1, 2))
    assert lesion.rng().random() == replace(lesion, severity=1.3).rng().random()
    assert lesion.rng(0).random() != lesion.rng(1).random()
