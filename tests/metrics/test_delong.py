"""Variances of AUROC against their papers' formulas written out, and against resamples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from radspark.metrics.delong import auroc_variance, compare_aurocs, delong_interval


def sample(seed: int, size: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, two correlated scores with ties, and patients of several images."""
    generator = np.random.default_rng(seed)
    patients = generator.integers(0, size // 3, size)
    labels = (generator.random(size) < 0.4).astype(float)
    labels[:6], patients[:6] = (0, 1) * 3, np.arange(6)
    common = labels + generator.normal(size=size) + generator.normal(size=patients.max() + 1)[patients]
    first, second = (np.round(common + generator.normal(size=size), 1) for _ in range(2))
    return labels, first, second, patients


def components(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair by pair: each positive's share of negatives below it, each negative's share of positives above it."""
    wins = np.greater.outer(scores[labels == 1], scores[labels == 0]) * 1.0
    wins += np.equal.outer(scores[labels == 1], scores[labels == 0]) / 2
    return wins.mean(axis=1), wins.mean(axis=0)


@given(st.integers(0, 10_000))
def test_one_image_a_patient_is_delong(seed: int) -> None:
    labels, first, second, _ = sample(seed)
    aurocs, covariance = auroc_variance(labels, first, second)
    (v10, v01), (w10, w01) = components(labels, first), components(labels, second)
    expected = np.cov(v10, w10) / (labels == 1).sum() + np.cov(v01, w01) / (labels == 0).sum()
    np.testing.assert_allclose(covariance, expected, atol=1e-12)
    assert aurocs.tolist() == pytest.approx([roc_auc_score(labels, first), roc_auc_score(labels, second)])


@given(st.integers(0, 10_000))
def test_several_images_a_patient_are_obuchowski(seed: int) -> None:
    labels, first, second, patients = sample(seed)
    _, covariance = auroc_variance(labels, first, second, patients=patients)
    (v10, v01), (w10, w01) = components(labels, first), components(labels, second)
    positive, negative = patients[labels == 1], patients[labels == 0]
    ill, well, everyone = np.unique(positive), np.unique(negative), np.unique(patients)
    m, n = len(positive), len(negative)

    def centered(values: np.ndarray, owners: np.ndarray, auroc: float) -> np.ndarray:
        return np.array([(values[owners == patient] - auroc).sum() for patient in everyone])

    a, b = v10.mean(), w10.mean()
    x1, y1 = centered(v10, positive, a), centered(v01, negative, a)
    x2, y2 = centered(w10, positive, b), centered(w01, negative, b)
    s10 = len(ill) / ((len(ill) - 1) * m) * (x1 @ x2)
    s01 = len(well) / ((len(well) - 1) * n) * (y1 @ y2)
    s11 = [len(everyone) / (len(everyone) - 1) * (x @ y) for x, y in ((x1, y2), (x2, y1))]
    assert covariance[0, 1] == pytest.approx(s10 / m + s01 / n + sum(s11) / (m * n), abs=1e-12)


def test_unknown_labels_are_left_out() -> None:
    labels, first, _, patients = sample(1)
    more = [np.append(labels, [np.nan] * 3), np.append(first, [9.0, 0, 1]), np.append(patients, [0, 1, 99])]
    expected = auroc_variance(labels, first, patients=patients)
    for value, same in zip(auroc_variance(*more[:2], patients=more[2]), expected, strict=True):
        np.testing.assert_allclose(value, same)


def test_the_standard_error_is_the_spread_over_repeated_samples() -> None:
    drawn = [sample(seed, 300) for seed in range(400)]
    spread = np.std([roc_auc_score(labels, first) for labels, first, _, _ in drawn])
    errors = [auroc_variance(labels, first, patients=patients)[1][0, 0] for labels, first, _, patients in drawn]
    assert np.sqrt(np.mean(errors)) == pytest.approx(spread, rel=0.1)


def test_a_difference_that_is_not_there_is_found_at_its_rate() -> None:
    p_values = []
    for seed in range(400):
        labels, first, second, patients = sample(seed, 150)
        p_values.append(compare_aurocs(labels, first, second, patients=patients).p_value)
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.09


def test_the_difference_is_second_less_first_with_its_interval() -> None:
    labels, first, _, patients = sample(3)
    compared = compare_aurocs(labels, first, labels, patients=patients)
    assert compared.second == 1.0
    assert compared.difference == pytest.approx(1 - roc_auc_score(labels, first))
    assert compared.interval.low == pytest.approx(compared.difference - 1.959964 * compared.standard_error)


def test_scores_that_rank_alike_do_not_differ() -> None:
    labels, first, _, patients = sample(4)
    compared = compare_aurocs(labels, first, 2 * first + 1, patients=patients)
    assert (compared.difference, compared.p_value) == (0.0, 1.0)


def test_a_difference_without_any_variance_is_not_tested() -> None:
    labels = np.array([1.0] * 5 + [0.0] * 20)
    compared = compare_aurocs(labels, labels, np.full(25, 0.3))
    assert (compared.first, compared.second, compared.standard_error) == (1.0, 0.5, 0.0)
    assert compared.p_value is None


def test_an_interval_stays_within_zero_and_one() -> None:
    assert delong_interval(0.99, 0.01).high == 1.0
    assert delong_interval(0.5, 0.0001).low == pytest.approx(0.5 - 1.959964 * 0.01)


def test_a_class_of_one_patient_is_refused() -> None:
    with pytest.raises(ValueError, match="two patients of each class, got 1 with a positive and 2 with a negative"):
        auroc_variance([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4], patients=[0, 0, 1, 2])
