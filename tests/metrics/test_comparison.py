"""Paired differences of two models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from radspark.labels import NIH_FINDINGS, LabelSet
from radspark.metrics import Bootstrap, Scored, evaluate_scored, evaluate_scores, resample
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
    assert (mean.difference, mean.interval) == (0.0, None)
    assert mean.no_interval == "all or nearly all resamples give the same value, which tells nothing of chance"
    assert compared.findings["Mass"].p_value == 1.0


def test_a_threshold_that_neither_reaches_gives_no_interval_and_says_why() -> None:
    sides = [replace(side, scores_NC=side.scores_NC / 3) for side in models(0.1)]
    mass = compare_scored(*sides, bootstrap=BOOTSTRAP).to_dict()["findings"]["Mass"]
    assert (mass["sensitivity"]["difference"], mass["sensitivity"]["difference_ci"]) == (0.0, None)
    assert mass["undefined"]["sensitivity_ci"].startswith("all or nearly all resamples give the same value")
    assert mass["undefined"]["ppv"] == mass["undefined"]["ppv_ci"] == "nothing reaches the threshold"
    assert mass["auroc"]["difference_ci"] is not None and "auroc_ci" not in mass["undefined"]


def test_each_model_is_called_at_its_own_thresholds() -> None:
    sides = [
        replace(side, thresholds_C=thresholds)
        for side, thresholds in zip(models(0.1), [(0.3, 0.4), (0.6, 0.2)], strict=True)
    ]
    mass = compare_scored(*sides, bootstrap=BOOTSTRAP).findings["Mass"]
    alone = [evaluate_scored(side).findings["Mass"].values["sensitivity"] for side in sides]
    assert (mass.differences["sensitivity"].first, mass.differences["sensitivity"].second) == pytest.approx(alone)
    assert mass.thresholds == (0.4, 0.2)


def test_dropped_resamples_are_counted_and_the_fallback_is_named() -> None:
    first, second = models(0.05, size=60)
    first.labels_NC[:, 1] = second.labels_NC[:, 1] = np.isin(first.patients_N, np.unique(first.patients_N)[:2])
    written = compare_scored(first, second, bootstrap=BOOTSTRAP).to_dict()
    drawn = resample(first, BOOTSTRAP).values["auroc"][:, 1]
    assert written["findings"]["Mass"]["dropped_resamples"]["auroc"] == np.isnan(drawn).sum() > 0
    assert "interval_notes" in written and "dropped_resamples" in written


def test_a_finding_without_positives_has_no_difference() -> None:
    first, second = models(0.1)
    first.labels_NC[:, 1] = second.labels_NC[:, 1] = 0
    written = json.loads(json.dumps(compare_scored(first, second, bootstrap=BOOTSTRAP).to_dict(), allow_nan=False))
    nothing = {"first": None, "second": None, "difference": None, "difference_ci": None}
    assert written["findings"]["Mass"]["auroc"] == nothing
    assert written["findings"]["Mass"]["auroc_p_value"] is None
    assert {written["findings"]["Mass"]["undefined"][name] for name in ("auroc", "auroc_ci", "auroc_p_value")} == {
        "no positive"
    }
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
