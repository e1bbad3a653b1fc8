"""Who is imaged, and with which findings."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from radspark.datasets.phantom.cohort import PlannedImage, draw_findings, plan_cohort
from radspark.labels import NIH_FINDINGS


def _plan(num_images: int = 4000, *, seed: int = 0) -> list[PlannedImage]:
    return plan_cohort(num_images, seed=seed, test_share=0.2, dicom_share=0.1)


def _labels(planned: list[PlannedImage]) -> np.ndarray:
    return np.asarray([NIH_FINDINGS.encode(image.findings) for image in planned])


def test_no_patient_stands_in_both_lists() -> None:
    planned = _plan(500)
    test = {image.patient_id for image in planned if image.is_test}
    assert not test & {image.patient_id for image in planned if not image.is_test}


def test_shares_are_kept() -> None:
    planned = _plan(1000)
    assert len(planned) == 1000
    assert 200 <= sum(image.is_test for image in planned) <= 205
    assert sum(image.is_dicom for image in planned) == 100


def test_every_finding_is_in_six_percent_of_images_and_three_tenths_show_none() -> None:
    labels = _labels(_plan())
    assert labels.mean(axis=0).min() > 0.06
    assert labels.mean(axis=0).max() < 0.20
    assert 0.27 < (labels.sum(axis=1) == 0).mean() < 0.33


def test_the_commonest_findings_are_those_of_nih() -> None:
    shares = dict(zip(NIH_FINDINGS, _labels(_plan(8000)).mean(axis=0), strict=True))
    assert set(sorted(shares, key=shares.__getitem__)[-3:]) == {"Infiltration", "Effusion", "Atelectasis"}


@pytest.mark.data
def test_findings_meet_as_often_as_in_nih(shared_data: Path) -> None:
    table = pd.read_csv(shared_data / "nih-256" / "Data_Entry_2017_v2020.csv.gz")
    real = table["Finding Labels"].str.get_dummies("|")[list(NIH_FINDINGS)].to_numpy(dtype=float)
    rng = np.random.default_rng(0)
    drawn = np.asarray([NIH_FINDINGS.encode(draw_findings(rng)) for _ in range(20000)])

    def lifts(labels: np.ndarray) -> np.ndarray:
        share = labels.mean(axis=0)
        return (labels.T @ labels / len(labels) / np.outer(share, share))[np.triu_indices(len(NIH_FINDINGS), k=1)]

    assert spearmanr(lifts(real), lifts(drawn)).statistic > 0.6


@pytest.mark.parametrize("pair", [("Emphysema", "Pneumothorax"), ("Edema", "Pneumonia"), ("Cardiomegaly", "Effusion")])
def test_findings_that_go_together_meet_twice_as_often_as_by_chance(pair: tuple[str, str]) -> None:
    rng = np.random.default_rng(1)
    labels = np.asarray([NIH_FINDINGS.encode(draw_findings(rng)) for _ in range(8000)])
    first, second = (labels[:, NIH_FINDINGS.index(name)] for name in pair)
    assert (first * second).mean() > 2 * first.mean() * second.mean()


def test_a_patient_keeps_body_and_sex_and_most_findings() -> None:
    by_patient = defaultdict(list)
    for image in _plan(2000):
        by_patient[image.patient_id].append(image)
    followed = [images for images in by_patient.values() if len(images) > 1]
    assert all(len({image.physique for image in images}) == 1 for images in followed)
    assert all([image.follow_up for image in images] == list(range(len(images))) for images in followed)
    pairs = [pair for images in followed for pair in pairwise(images)]
    assert np.mean([before.findings == after.findings for before, after in pairs]) > 0.65


def test_a_longer_cohort_starts_with_the_same_patients() -> None:
    short, long = _plan(60), _plan(120)
    assert [(image.stem, image.findings) for image in short[:50]] == [
        (image.stem, image.findings) for image in long[:50]
    ]


def test_both_sexes_and_views_are_there() -> None:
    planned = _plan(500)
    assert {image.physique.sex for image in planned} == {"M", "F"}
    assert 0.3 < np.mean([image.view == "AP" for image in planned]) < 0.5
    assert all(16 <= image.age <= 96 for image in planned)
