"""Calibration maps against scikit-learn's fits."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from radspark.labels import LabelSet
from radspark.metrics import auroc, evaluate_scores
from radspark.metrics.calibration import METHODS, Calibration, fit_calibration

MASS = LabelSet(("Mass",))


def overconfident(size: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities whose logits are three times too large and one too low."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(-1, 1, (size, 1))
    return (generator.random((size, 1)) < expit(truth)).astype(np.float64), expit(3 * truth - 1)


def calibration_error(labels: np.ndarray, scores: np.ndarray) -> float:
    return evaluate_scores(labels, scores, MASS).means["calibration_error"]


@pytest.mark.parametrize("method", METHODS)
def test_calibration_error_falls_on_other_samples(method: str) -> None:
    calibration = fit_calibration(method, *overconfident(seed=0), MASS)
    labels, scores = overconfident(seed=1)
    after = calibration.apply(scores, MASS)
    assert calibration_error(labels, after) < 0.75 * calibration_error(labels, scores)


def test_platt_finds_the_logits_that_were_bent() -> None:
    fitted = fit_calibration("platt", *overconfident(30_000), MASS).maps["Mass"]
    assert (fitted["slope"], fitted["intercept"]) == pytest.approx((1 / 3, 1 / 3), abs=0.03)


def test_platt_is_logistic_regression_on_the_logit_but_for_its_softened_targets() -> None:
    labels, scores = overconfident(30_000)
    theirs = LogisticRegression(C=np.inf).fit(logit(scores), labels[:, 0])
    fitted = fit_calibration("platt", labels, scores, MASS).maps["Mass"]
    assert fitted["slope"] == pytest.approx(theirs.coef_[0, 0], rel=1e-3)
    assert fitted["intercept"] == pytest.approx(theirs.intercept_[0], abs=1e-3)


@given(st.integers(0, 10_000), st.integers(2, 40))
def test_isotonic_is_scikit_learns(seed: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    labels = (generator.random((size, 1)) < 0.5).astype(float)
    labels[:2, 0] = 0, 1
    scores = generator.random((size, 1)).round(1)
    ours = fit_calibration("isotonic", labels, scores, MASS).apply(np.linspace(0, 1, 50)[:, None], MASS)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores[:, 0], labels[:, 0]).predict(np.linspace(0, 1, 50))
    np.testing.assert_allclose(ours[:, 0], theirs, atol=1e-9)


def test_temperature_undoes_a_scaled_logit() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(0, 1, (30_000, 1))
    labels = (generator.random((30_000, 1)) < expit(truth)).astype(float)
    fitted = fit_calibration("temperature", labels, expit(3 * truth), MASS).maps["Mass"]
    assert fitted["temperature"] == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize("method", ["platt", "temperature"])
def test_scaling_keeps_the_ranking(method: str) -> None:
    labels, scores = overconfident()
    calibrated = fit_calibration(method, labels, scores, MASS).apply(scores, MASS)
    assert auroc(labels[:, 0], calibrated[:, 0]) == pytest.approx(auroc(labels[:, 0], scores[:, 0]), abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_comes_back_from_json_with_the_same_bits(method: str) -> None:
    labels, scores = overconfident()
    calibration = fit_calibration(method, labels, scores, MASS)
    again = Calibration.from_dict(json.loads(json.dumps(calibration.to_dict())))
    np.testing.assert_array_equal(again.apply(scores, MASS), calibration.apply(scores, MASS))


@pytest.mark.parametrize("method", METHODS)
def test_separable_and_certain_scores_give_finite_probabilities(method: str) -> None:
    labels, scores = np.array([[0.0], [0], [1], [1]]), np.array([[0.0], [0.1], [0.9], [1.0]], np.float32)
    calibrated = fit_calibration(method, labels, scores, MASS).apply(scores, MASS)
    assert calibrated.dtype == np.float32
    assert np.all((calibrated >= 0) & (calibrated <= 1))


@pytest.mark.parametrize("method", METHODS)
def test_a_finding_without_a_class_is_left_alone(method: str) -> None:
    scores = np.array([[0.2], [0.7], [0.9]])
    calibration = fit_calibration(method, np.array([[0.0], [0.0], [np.nan]]), scores, MASS)
    np.testing.assert_array_equal(calibration.apply(scores, MASS), scores)


def test_platt_does_not_turn_a_backward_ranking_round() -> None:
    labels, scores = overconfident()
    assert fit_calibration("platt", 1 - labels, scores, MASS).maps["Mass"] == {}


def test_a_finding_that_was_not_fitted_is_refused() -> None:
    calibration = fit_calibration("platt", *overconfident(), MASS)
    with pytest.raises(ValueError, match="not fitted for Nodule; it has Mass"):
        calibration.apply(np.zeros((1, 1)), LabelSet(("Nodule",)))


def test_an_unknown_method_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match="calibration must be one of platt, isotonic, temperature, got 'beta'"):
        fit_calibration("beta", *overconfident(), MASS)
