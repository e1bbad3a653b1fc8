"""Measures that are ratios of sums, against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sklearn_metrics
from sklearn.calibration import calibration_curve

from radspark.metrics.additive import (
    ADDITIVE_MEASURES,
    NUM_CALIBRATION_BINS,
    calibration_bin,
    influence_on_sums,
    measure_sums,
    sample_terms,
    sum_terms,
    why_undefined,
)

PROBABILITIES = st.one_of(st.sampled_from([0.0, 0.2, 0.4, 0.5, 0.6, 1.0]), st.floats(0, 1))


@st.composite
def labelled_probabilities(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels of both kinds, unknown ones, and probabilities with ties."""
    size = draw(st.integers(4, 50))
    labels = draw(hnp.arrays(np.float64, size, elements=st.sampled_from([0.0, 1.0, math.nan])))
    labels[:2] = [0.0, 1.0]
    return labels, draw(hnp.arrays(np.float64, size, elements=PROBABILITIES))


def measures(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float]:
    sums = measure_sums(sample_terms(labels, scores, threshold=threshold).sum(axis=0))
    return {name: float(value) for name, value in sums.items()}


@given(labelled_probabilities(), st.sampled_from([0.0, 0.2, 0.5, 0.9]))
def test_measures_equal_scikit_learn_over_known_labels(sample: tuple[np.ndarray, np.ndarray], threshold: float) -> None:
    ours = measures(*sample, threshold)
    known = ~np.isnan(sample[0])
    labels, scores = sample[0][known], sample[1][known]
    called = scores >= threshold
    expected = {
        "brier": sklearn_metrics.brier_score_loss(labels, scores),
        "log_loss": sklearn_metrics.log_loss(labels, scores, labels=[0, 1]),
        "sensitivity": sklearn_metrics.recall_score(labels, called),
        "specificity": sklearn_metrics.recall_score(labels, called, pos_label=0),
        "ppv": sklearn_metrics.precision_score(labels, called, zero_division=np.nan),
        "npv": sklearn_metrics.precision_score(labels, called, pos_label=0, zero_division=np.nan),
        "f1": sklearn_metrics.f1_score(labels, called),
        "youden": sklearn_metrics.balanced_accuracy_score(labels, called, adjusted=True),
    }
    for name, value in expected.items():
        assert ours[name] == pytest.approx(value, abs=1e-9, nan_ok=True), name


@given(labelled_probabilities())
def test_sums_are_those_of_the_samples_terms(sample: tuple[np.ndarray, np.ndarray]) -> None:
    terms = sample_terms(*sample, threshold=0.4)
    np.testing.assert_allclose(sum_terms(*sample, threshold=0.4), terms.sum(axis=0), atol=1e-12)


@given(labelled_probabilities())
def test_calibration_error_is_that_of_scikit_learns_curve(sample: tuple[np.ndarray, np.ndarray]) -> None:
    known = ~np.isnan(sample[0])
    labels, scores = sample[0][known], sample[1][known]
    observed, predicted = calibration_curve(labels, scores, n_bins=NUM_CALIBRATION_BINS)
    counts = np.bincount(calibration_bin(scores), minlength=NUM_CALIBRATION_BINS)
    expected = np.abs(observed - predicted) @ counts[counts > 0] / len(labels)
    assert measures(*sample, 0.5)["calibration_error"] == pytest.approx(expected, abs=1e-9)


@given(labelled_probabilities())
def test_influence_is_the_derivative_by_a_patients_weight(sample: tuple[np.ndarray, np.ndarray]) -> None:
    # A bin whose gap is 0 has a corner there: no derivative.
    terms = sample_terms(sample[0], sample[1] * 0.9 + 0.0437, threshold=0.5)
    influence = influence_on_sums(terms)
    step = 1e-5
    for name in ADDITIVE_MEASURES:
        up, down = (measure_sums(terms.sum(axis=0) + sign * step * terms[0])[name] for sign in (1, -1))
        assert influence[name][0] == pytest.approx((up - down) / (2 * step), abs=1e-4, nan_ok=True), name


def test_a_score_at_the_threshold_calls_the_finding() -> None:
    assert measures(np.array([1.0, 0.0]), np.array([0.3, 0.2]), 0.3)["youden"] == 1.0


@pytest.mark.parametrize(
    ("labels", "threshold", "reasons"),
    [
        ([1, 1], 0.5, {"specificity": "no negative", "youden": "no negative", "npv": "nothing is below the threshold"}),
        ([0, 0], 0.5, {"sensitivity": "no positive", "youden": "no positive", "npv": "nothing is below the threshold"}),
        ([0, 1], 0.9, {"ppv": "nothing reaches the threshold"}),
        ([math.nan, math.nan], 0.5, dict.fromkeys(ADDITIVE_MEASURES, "no known label")),
    ],
)
def test_undefined_measures_have_reasons(labels: list[float], threshold: float, reasons: dict[str, str]) -> None:
    sums = sample_terms(np.array(labels, float), np.array([0.6, 0.7]), threshold=threshold).sum(axis=0)
    assert why_undefined(sums) == reasons
    assert {name for name, value in measure_sums(sums).items() if math.isnan(value)} == set(reasons)
