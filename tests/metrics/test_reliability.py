"""Reliability diagrams."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from radspark.metrics.reliability import reliability_diagram


def sample(size: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    scores = generator.random(size) ** 3
    return (generator.random(size) < scores).astype(float), scores


def test_groups_are_those_of_scikit_learns_quantiles() -> None:
    labels, scores = sample(1000)
    diagram = reliability_diagram(labels, scores)
    observed, predicted = calibration_curve(labels, scores, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(diagram.predicted, predicted, atol=0.01)
    np.testing.assert_allclose(diagram.observed, observed, atol=0.02)


def test_intervals_are_wilsons() -> None:
    diagram = reliability_diagram(np.array([1.0] * 5 + [0.0] * 45), np.full(50, 0.1))
    assert diagram.observed.tolist() == [0.1]
    assert (diagram.low[0], diagram.high[0]) == pytest.approx((0.0435, 0.2136), abs=1e-4)


def test_unknown_labels_are_left_out() -> None:
    labels, scores = sample()
    more = reliability_diagram(np.append(labels, np.nan), np.append(scores, 0.9))
    np.testing.assert_array_equal(more.observed, reliability_diagram(labels, scores).observed)
    assert reliability_diagram(np.array([np.nan]), np.array([0.5])) is None
