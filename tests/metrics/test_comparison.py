"""Paired differences of two models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from radspark.labels import NIH_FINDINGS, LabelSet
from radspark.metrics import Bootstrap, Scored, evaluate_scores
from radspark.metrics.comparison import compare_scored
from radspark.metrics.delong import compare_aurocs

LABELS = LabelSet(("Effusion", "Mass"))
BOOTSTRAP = Bootstrap(resamples=300)


def models(better: float, *, size: int = 500, seed: int = 0) -> tuple[Scored, Scored]:
    """Two models that share most of their noise; the second has more signal."""
    generator = np.random.default_rng(seed)
    patients = generator.integers(0, size // 3, size)
    labels = (generator.random((size, 2)) < 0.3).astype(float)
    noise = generator.random(labels.shape)
    first, second = (
        np.clip(share * labels + 0.6 * noise + 0.1 * generator.random(labels.shape), 0, 1)
        for share in (0.2, 0.2 + better)
    )
    return tuple(Scored.of(labels, scores, LABELS, patients=patients) for scores in (first, second))


def test_differences_are_second_less_first() -> None:
    first, second = models(0.1)
    compared = compare_scored(first, second, bootstrap=BOOTSTRAP)
    evaluations = [evaluate_scores(side.labels_NC, side.scores_NC, LABELS) for side in (first, second)]
    for measure, mean in compared.means.items():
        values = [evaluation.means[measure] for evaluation in evaluations]
        assert (mean.first, mean.second) == pytest.approx(tuple(values)), measure
        assert mean.difference == pytest.approx(values[1] - values[0]), measure


def test_pairing_narrows_the_interval() -> None:
    first, second = models(0.05)
    paired = compare_scored(first, second, bootstrap=BOOTSTRAP).means["auroc"].interval
    alone = [
        evaluate_scores(s.labels_NC, s.scores_NC, LABELS, patients=s.patients_N, bootstrap=BOOTSTRAP)
        for s in (first, second)
    ]
    widths = [evaluation.mean_intervals["auroc"].high - evaluation.mean_intervals["auroc"].low for evaluation in alone]
    assert paired.high - paired.low < 0.5 * np.hypot(*widths)


def test_p_values_are_delongs_for_clustered_data() -> None:
    first, second = models(0.02)
    mass = compare_scored(first, second, bootstrap=BOOTSTRAP).findings["Mass"]
    expected = compare_aurocs(
        first.labels_NC[:, 1], first.scores_NC[:, 1], second.scores_NC[:, 1], patients=first.patients_N
    )
    assert mass.p_value == pytest.approx(expected.p_value)
    assert mass.adjusted_p_value >= mass.p_value
    assert mass.differences["auroc"].interval.low == pytest.approx(expected.interval.low, abs=0.005)


def test_a_model_does_not_differ_from_itself() -> None:
    first, _ = models(0.0)
    compared = compare_scored(first, first, bootstrap=BOOTSTRAP)
    mean = compared.means["auroc"]
    assert (mean.difference, mean.interval.low, mean.interval.high) == (0.0, 0.0, 0.0)
    assert compared.findings["Mass"].p_value == 1.0


def test_a_finding_without_positives_has_no_difference() -> None:
    first, second = models(0.1)
    first.labels_NC[:, 1] = second.labels_NC[:, 1] = 0
    written = json.loads(json.dumps(compare_scored(first, second, bootstrap=BOOTSTRAP).to_dict(), allow_nan=False))
    nothing = {"first": None, "second": None, "difference": None, "difference_ci": None}
    assert written["findings"]["Mass"]["auroc"] == nothing
    assert written["findings"]["Mass"]["auroc_p_value"] is None
    assert written["mean_auroc"]["difference_ci"] is not None


def test_models_of_other_samples_are_refused() -> None:
    first, second = models(0.1)
    with pytest.raises(ValueError, match="must have scored the same samples"):
        compare_scored(first, second.where(np.arange(500) > 0), bootstrap=BOOTSTRAP)


@pytest.mark.data
def test_the_golden_densenet_ranks_otherwise_than_the_golden_resnet(shared_data: Path) -> None:
    golden = [np.load(shared_data / "golden" / f"nih28_{name}_seed0.npz") for name in ("resnet50", "densenet121")]
    sides = [
        Scored.of(
            run["test_labels"],
            1 / (1 + np.exp(-run["test_logits"].astype(np.float64))),
            NIH_FINDINGS,
            patients=run["test_patient"],
        )
        for run in golden
    ]
    mean = compare_scored(*sides, bootstrap=BOOTSTRAP).means["auroc"]
    assert mean.interval.low < mean.difference < mean.interval.high
    assert mean.interval.high - mean.interval.low < 0.012
