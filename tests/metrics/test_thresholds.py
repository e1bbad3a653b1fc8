"""Rules for operating points, against every threshold there is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radspark.labels import LabelSet
from radspark.metrics import evaluate_scores
from radspark.metrics.thresholds import choose_thresholds

MASS = LabelSet(("Mass",))


def sample(seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = (generator.random((40, 1)) < 0.4).astype(float)
    labels[:2, 0] = 0, 1
    return labels, (0.3 * labels + 0.7 * generator.random((40, 1))).round(1)


def rates(labels: np.ndarray, scores: np.ndarray, threshold: float) -> tuple[float, float]:
    values = evaluate_scores(labels, scores, MASS, thresholds={"Mass": threshold}).findings["Mass"].values
    return values["sensitivity"], values["specificity"]


@given(st.integers(0, 10_000))
def test_no_threshold_has_a_larger_youden_index(seed: int) -> None:
    labels, scores = sample(seed)
    chosen = sum(rates(labels, scores, choose_thresholds(labels, scores, MASS, rule="youden")["Mass"]))
    assert chosen == pytest.approx(max(sum(rates(labels, scores, t)) for t in (*np.unique(scores), 2.0)))


@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.9, 1.0]))
def test_sensitivity_is_reached_by_the_highest_such_threshold(seed: int, target: float) -> None:
    labels, scores = sample(seed)
    chosen = choose_thresholds(labels, scores, MASS, rule="sensitivity", target=target)["Mass"]
    assert rates(labels, scores, chosen)[0] >= target
    assert all(rates(labels, scores, higher)[0] < target for higher in np.unique(scores[scores > chosen]))


@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.9, 1.0]))
def test_specificity_is_reached_by_the_lowest_such_threshold(seed: int, target: float) -> None:
    labels, scores = sample(seed)
    chosen = choose_thresholds(labels, scores, MASS, rule="specificity", target=target)["Mass"]
    assert rates(labels, scores, chosen)[1] >= target
    assert all(rates(labels, scores, lower)[1] < target for lower in np.unique(scores[scores < chosen]))


def test_a_negative_above_all_others_is_passed_by_a_threshold_above_it() -> None:
    labels, scores = np.array([[1.0], [0.0]]), np.array([[0.4], [1.0]])
    chosen = choose_thresholds(labels, scores, MASS, rule="specificity", target=1.0)["Mass"]
    assert rates(labels, scores, chosen) == (0.0, 1.0)


def test_a_finding_without_a_class_has_no_threshold() -> None:
    assert choose_thresholds([[0.0], [np.nan]], [[0.1], [0.9]], MASS, rule="youden") == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "f1"}, "rule must be one of youden, sensitivity, specificity, got 'f1'"),
        ({"rule": "sensitivity", "target": 0.0}, "target must be above 0"),
    ],
)
def test_rules_and_targets_out_of_range_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_thresholds([[0.0]], [[0.1]], MASS, **arguments)
