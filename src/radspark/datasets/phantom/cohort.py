"""Who is imaged when, and with which findings; no pixel is drawn here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radspark.datasets.phantom.anatomy import Physique, draw_physique
from radspark.labels import NIH_FINDINGS

WEIGHTS = {
    "Atelectasis": 0.120,
    "Cardiomegaly": 0.085,
    "Effusion": 0.110,
    "Infiltration": 0.165,
    "Mass": 0.085,
    "Nodule": 0.090,
    "Pneumonia": 0.075,
    "Pneumothorax": 0.090,
    "Consolidation": 0.080,
    "Edema": 0.075,
    "Emphysema": 0.085,
    "Fibrosis": 0.085,
    "Pleural_Thickening": 0.080,
    "Hernia": 0.085,
}
"""How often each finding is drawn first: NIH's order, with the rare ones lifted so that few images show all."""

LIFTS = {
    ("Atelectasis", "Effusion"): 2.4,
    ("Atelectasis", "Consolidation"): 2.5,
    ("Atelectasis", "Pneumonia"): 1.8,
    ("Atelectasis", "Infiltration"): 1.6,
    ("Cardiomegaly", "Effusion"): 3.2,
    ("Cardiomegaly", "Edema"): 2.2,
    ("Cardiomegaly", "Pneumothorax"): 0.4,
    ("Consolidation", "Effusion"): 2.3,
    ("Consolidation", "Mass"): 2.5,
    ("Consolidation", "Pneumonia"): 2.1,
    ("Edema", "Effusion"): 2.2,
    ("Edema", "Fibrosis"): 0.3,
    ("Edema", "Infiltration"): 2.4,
    ("Edema", "Pneumonia"): 4.0,
    ("Edema", "Pneumothorax"): 0.3,
    ("Effusion", "Pleural_Thickening"): 2.1,
    ("Effusion", "Pneumothorax"): 1.6,
    ("Emphysema", "Pneumothorax"): 4.0,
    ("Emphysema", "Pleural_Thickening"): 2.0,
    ("Fibrosis", "Hernia"): 2.3,
    ("Fibrosis", "Pleural_Thickening"): 3.5,
    ("Infiltration", "Pneumonia"): 2.4,
    ("Mass", "Nodule"): 2.8,
    ("Mass", "Pleural_Thickening"): 2.6,
    ("Nodule", "Pleural_Thickening"): 2.2,
}
"""How much more often two findings meet than by chance, from ChestX-ray14's label table; pairs left out: 1.
Emphysema with Pneumothorax is 6.3 there and Edema with Pneumonia 11.6; 4 keeps those findings apart enough to learn."""

NUM_FINDINGS_SHARES = (0.30, 0.34, 0.23, 0.10, 0.03)
"""Shares of images with 0, 1, 2, 3 and 4 findings."""

NUM_IMAGES_SHARES = (0.60, 0.20, 0.10, 0.05, 0.03, 0.02)
"""Shares of patients with 1 to 6 images."""

SAME_FINDINGS_SHARE = 0.7
"""How often a follow-up shows what the image before it showed."""


@dataclass(frozen=True)
class PlannedImage:
    """One image to draw, and its row of the label table."""

    patient_id: int
    follow_up: int
    age: int
    view: str
    findings: tuple[str, ...]
    physique: Physique
    is_test: bool
    is_dicom: bool

    @property
    def stem(self) -> str:
        """File name without suffix, as NIH names files."""
        return f"{self.patient_id:08d}_{self.follow_up:03d}"


def plan_cohort(num_images: int, *, seed: int, test_share: float, dicom_share: float) -> list[PlannedImage]:
    """Patients with one to six images each, in order; whole patients go to the test list until its share is full."""
    sizes = _patient_sizes(num_images, seed)
    order = np.random.default_rng((seed, 1)).permutation(len(sizes))
    before = np.cumsum([sizes[i] for i in order]) - [sizes[i] for i in order]
    test = {int(i) + 1 for i, start in zip(order, before, strict=True) if start < round(test_share * num_images)}
    dicom_draws = np.random.default_rng((seed, 2)).permutation(num_images)
    planned: list[PlannedImage] = []
    for patient_id, size in enumerate(sizes, start=1):
        first = len(planned)
        is_dicom = [int(draw) < round(dicom_share * num_images) for draw in dicom_draws[first : first + size]]
        planned += _plan_patient(patient_id, seed=seed, is_test=patient_id in test, is_dicom=is_dicom)
    return planned


def _patient_sizes(num_images: int, seed: int) -> list[int]:
    rng = np.random.default_rng((seed, 0))
    sizes: list[int] = []
    while (missing := num_images - sum(sizes)) > 0:
        sizes.append(min(missing, 1 + int(rng.choice(len(NUM_IMAGES_SHARES), p=NUM_IMAGES_SHARES))))
    return sizes


def _plan_patient(patient_id: int, *, seed: int, is_test: bool, is_dicom: list[bool]) -> list[PlannedImage]:
    rng = np.random.default_rng((seed, 3, patient_id))
    sex = "M" if rng.random() < 0.565 else "F"
    age = int(np.clip(rng.normal(49, 17), 16, 92))
    physique = draw_physique(rng, sex=sex, age=age)
    findings = draw_findings(rng)
    planned = []
    for follow_up, as_dicom in enumerate(is_dicom):
        if follow_up and rng.random() > SAME_FINDINGS_SHARE:
            findings = draw_findings(rng)
        view = "AP" if rng.random() < 0.40 else "PA"
        planned.append(
            PlannedImage(patient_id, follow_up, age + follow_up // 2, view, findings, physique, is_test, as_dicom)
        )
    return planned


def draw_findings(rng: np.random.Generator) -> tuple[str, ...]:
    """None, or one to four findings that like to meet, in the order of `NIH_FINDINGS`."""
    number = int(rng.choice(len(NUM_FINDINGS_SHARES), p=NUM_FINDINGS_SHARES))
    chosen: list[str] = []
    while len(chosen) < number:
        weights = np.asarray([_weight(name, chosen) for name in NIH_FINDINGS])
        chosen.append(NIH_FINDINGS.names[int(rng.choice(len(weights), p=weights / weights.sum()))])
    return tuple(sorted(chosen, key=NIH_FINDINGS.index))


def _weight(name: str, chosen: list[str]) -> float:
    if name in chosen:
        return 0.0
    weight = WEIGHTS[name]
    for there in chosen:
        first, second = sorted((name, there))
        weight *= LIFTS.get((first, second), 1.0)
    return weight
