"""Resamples of patients against the same resamples made by hand and measured by scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from radspark.labels import NIH_FINDINGS, LabelSet
from radspark.metrics import Bootstrap, Scored, evaluate_scores, resample
from radspark.metrics.bootstrap import Part, resample_together

LABELS = LabelSet(("Effusion", "Mass"))


def cohort(num_patients: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Up to four images of each patient, alike in labels and scores."""
    generator = np.random.default_rng(seed)
    patients = np.repeat(np.arange(num_patients), generator.integers(1, 5, num_patients))
    ill = generator.random((num_patients, 2)) < 0.3
    labels = (ill[patients] ^ (generator.random((len(patients), 2)) < 0.1)).astype(float)
    return labels, np.clip(0.3 * labels + 0.7 * generator.random(labels.shape), 0, 1).round(2), patients


def redraw(patients: np.ndarray, seed: int, number: int) -> np.ndarray:
    """Rows of one resample, drawn as the documentation says."""
    drawn = np.random.default_rng((seed, number)).integers(0, patients.max() + 1, patients.max() + 1)
    return np.concatenate([np.flatnonzero(patients == patient) for patient in drawn])


def test_resamples_are_those_of_whole_patients_measured_by_scikit_learn() -> None:
    labels, scores, patients = cohort()
    resampled = resample(Scored.of(labels, scores, LABELS, patients=patients), Bootstrap(resamples=100, seed=7))
    for number in range(20):
        rows = redraw(patients, 7, number)
        aurocs = [sklearn_metrics.roc_auc_score(labels[rows, i], scores[rows, i]) for i in range(2)]
        np.testing.assert_allclose(resampled.values["auroc"][number, :2], aurocs, atol=1e-12)
        assert resampled.values["auroc"][number, 2] == pytest.approx(np.mean(aurocs))
        for name, theirs in (
            ("auroc", sklearn_metrics.roc_auc_score(labels[rows], scores[rows], average="weighted")),
            (
                "average_precision",
                sklearn_metrics.average_precision_score(labels[rows], scores[rows], average="weighted"),
            ),
        ):
            assert resampled.values[name][number, 3] == pytest.approx(theirs)
        brier = sklearn_metrics.brier_score_loss(labels[rows, 1], scores[rows, 1])
        assert resampled.values["brier"][number, 1] == pytest.approx(brier)
        sensitivity = sklearn_metrics.recall_score(labels[rows, 0], scores[rows, 0] >= 0.5)
        assert resampled.values["sensitivity"][number, 0] == pytest.approx(sensitivity)


def test_parts_that_are_resampled_together_are_as_each_alone() -> None:
    labels, scores, patients = cohort()
    scored, bootstrap = Scored.of(labels, scores, LABELS, patients=patients), Bootstrap(resamples=100)
    half = scored.where(patients % 2 == 0)
    both = resample_together([Part(scored), Part(half), Part(half, ("auroc",))], bootstrap)
    for together, alone in zip(both, (resample(scored, bootstrap), *[resample(half, bootstrap)] * 2), strict=True):
        for name in together.values:
            np.testing.assert_array_equal(together.values[name], alone.values[name])
            np.testing.assert_array_equal(together.influences[name], alone.influences[name])
    assert list(both[2].values) == list(both[0].minus(both[2]).estimates) == ["auroc"]


def test_estimates_are_those_of_the_evaluation() -> None:
    labels, scores, patients = cohort()
    labels[::7, 0] = np.nan
    resampled = resample(Scored.of(labels, scores, LABELS, patients=patients), Bootstrap(resamples=100))
    evaluation = evaluate_scores(labels, scores, LABELS)
    for measure, estimates in resampled.estimates.items():
        findings = [finding.values[measure] for finding in evaluation.findings.values()]
        expected = [*findings, evaluation.means[measure], evaluation.weighted_means[measure]]
        assert estimates.tolist() == pytest.approx(expected), measure


def test_influence_of_the_means_is_the_derivative_by_a_patients_weight() -> None:
    """A figure's variance over resamples is the sum of squared influences, but for terms of second order."""
    labels, scores, patients = cohort(400)
    resampled = resample(Scored.of(labels, scores, LABELS, patients=patients), Bootstrap(resamples=2000))
    for measure, influence in resampled.influences.items():
        if measure != "calibration_error":  # It has corners: to first order only.
            spread = np.sqrt((influence**2).sum(axis=0))
            np.testing.assert_allclose(resampled.values[measure].std(axis=0), spread, rtol=0.1, err_msg=measure)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    labels, scores, patients = cohort()
    first, again, other = (
        evaluate_scores(labels, scores, LABELS, patients=patients, bootstrap=Bootstrap(resamples=200, seed=seed))
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first.mean_intervals["auroc"] != other.mean_intervals["auroc"]


def test_names_of_patients_and_the_order_of_samples_do_not_matter() -> None:
    labels, scores, patients = cohort()
    order = np.random.default_rng(5).permutation(len(patients))
    bootstrap = Bootstrap(resamples=100)
    plain = evaluate_scores(labels, scores, LABELS, patients=patients, bootstrap=bootstrap)
    named = [f"patient {patient:03d}" for patient in patients[order]]
    shuffled = evaluate_scores(labels[order], scores[order], LABELS, patients=named, bootstrap=bootstrap)
    interval, same = plain.mean_intervals["auroc"], shuffled.mean_intervals["auroc"]
    assert (same.low, same.high) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_repeating_every_image_does_not_narrow_the_interval_over_patients() -> None:
    labels, scores, patients = cohort(200)
    bootstrap = Bootstrap(resamples=500)
    repeated = [np.concatenate([part] * 4) for part in (labels, scores, patients)]
    once = evaluate_scores(labels, scores, LABELS, patients=patients, bootstrap=bootstrap).mean_intervals["auroc"]
    both = evaluate_scores(*repeated[:2], LABELS, patients=repeated[2], bootstrap=bootstrap).mean_intervals["auroc"]
    images = evaluate_scores(*repeated[:2], LABELS, bootstrap=bootstrap).mean_intervals["auroc"]
    assert both.high - both.low == pytest.approx(once.high - once.low)
    assert images.high - images.low < 0.8 * (once.high - once.low)


def test_resamples_without_a_positive_are_dropped_and_counted() -> None:
    labels, scores, patients = cohort()
    labels[:, 1] = np.isin(patients, (3, 9))
    evaluation = evaluate_scores(labels, scores, LABELS, patients=patients, bootstrap=Bootstrap(resamples=1000))
    absent = sum(not np.isin((3, 9), patients[redraw(patients, 0, number)]).any() for number in range(1000))
    assert evaluation.findings["Mass"].intervals["auroc"].dropped == absent > 50
    assert evaluation.findings["Effusion"].intervals["auroc"].dropped == 0


def test_a_class_of_one_patient_has_no_interval_and_says_why() -> None:
    labels, scores, patients = cohort()
    labels[:, 1] = patients == 3
    mass = evaluate_scores(labels, scores, LABELS, patients=patients, bootstrap=Bootstrap(resamples=100)).findings[
        "Mass"
    ]
    assert mass.auroc is not None and "auroc" not in mass.intervals
    assert mass.undefined["auroc_ci"] == "fewer than 2 patients with a positive, or with a negative"
    assert "brier" in mass.intervals


def test_a_mean_over_such_findings_alone_has_no_interval() -> None:
    labels, scores, patients = cohort()
    labels[:] = (patients == 3)[:, None]
    evaluation = evaluate_scores(labels, scores, LABELS, patients=patients, bootstrap=Bootstrap(resamples=100))
    assert evaluation.mean_auroc is not None
    assert "auroc" not in evaluation.mean_intervals and "brier" in evaluation.mean_intervals


@pytest.mark.parametrize(
    ("values", "message"), [({"resamples": 99}, "at least 100"), ({"level": 1.0}, "at least 0.5 and below 1")]
)
def test_settings_out_of_range_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Bootstrap(**values)


@pytest.mark.data
def test_patients_of_the_official_test_list_widen_the_intervals(shared_data: Path) -> None:
    golden = np.load(shared_data / "golden" / "nih28_resnet50_seed0.npz")
    labels, patients = golden["test_labels"], golden["test_patient"]
    probabilities = 1 / (1 + np.exp(-golden["test_logits"].astype(np.float64)))
    by_patient, by_image = (
        evaluate_scores(labels, probabilities, NIH_FINDINGS, patients=groups, bootstrap=Bootstrap(resamples=300))
        for groups in (patients, None)
    )
    widths = [
        [
            interval.high - interval.low
            for finding in evaluation.findings.values()
            if (interval := finding.intervals["auroc"])
        ]
        for evaluation in (by_patient, by_image)
    ]
    assert all(grouped > 1.1 * single for grouped, single in zip(*widths, strict=True))
