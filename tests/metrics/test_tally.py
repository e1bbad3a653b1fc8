"""Evaluation from counts against the exact one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radspark.labels import LabelSet
from radspark.metrics import evaluate_scores
from radspark.metrics.additive import ADDITIVE_MEASURES
from radspark.metrics.tally import Tally, bin_of

LABELS = LabelSet(("Effusion", "Mass"))


def sample(seed: int, size: int = 300, *, crowded: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Labels with unknown ones, and scores; crowded ones share few bins in which their order matters."""
    generator = np.random.default_rng(seed)
    labels = generator.choice([0.0, 1.0, np.nan], (size, 2), p=[0.6, 0.3, 0.1])
    scores = np.clip(0.2 * np.nan_to_num(labels) + 0.8 * generator.random((size, 2)), 0, 1)
    return labels, 0.5 + scores * 1e-3 if crowded else scores


def tally(labels: np.ndarray, scores: np.ndarray, parts: int = 1) -> Tally:
    made = Tally.empty(2)
    for part in np.array_split(np.arange(len(labels)), parts):
        made.add(labels[part], scores[part])
    return made


@given(st.integers(0, 10_000), st.booleans())
def test_the_exact_figure_lies_within_the_bounds(seed: int, crowded: bool) -> None:
    labels, scores = sample(seed, 60, crowded=crowded)
    exact = evaluate_scores(labels, scores, LABELS)
    tallied = tally(labels, scores).evaluate(LABELS)
    for name, finding in exact.findings.items():
        for measure, bounds in tallied.bounds[name].items():
            value = tallied.evaluation.findings[name].values[measure]
            assert bounds.low - 1e-12 <= finding.values[measure] <= bounds.high + 1e-12
            assert bounds.low - 1e-12 <= value <= bounds.high + 1e-12


@given(st.integers(0, 10_000))
def test_what_adds_up_is_exact(seed: int) -> None:
    labels, scores = sample(seed)
    exact = evaluate_scores(labels, scores, LABELS)
    tallied = tally(labels, scores, parts=7).evaluate(LABELS).evaluation
    assert tallied.loss == pytest.approx(exact.loss, abs=1e-12)
    assert tallied.num_samples == exact.num_samples
    for name, finding in exact.findings.items():
        found = tallied.findings[name]
        assert (found.positives, found.negatives, found.unknown) == (
            finding.positives,
            finding.negatives,
            finding.unknown,
        )
        for measure in ADDITIVE_MEASURES:
            assert found.values[measure] == pytest.approx(finding.values[measure], abs=1e-12), measure


def test_bounds_of_many_distinct_scores_are_tight() -> None:
    labels, scores = sample(0, 200_000)
    exact = evaluate_scores(labels, scores, LABELS)
    tallied = tally(labels, scores, parts=5).evaluate(LABELS)
    for name, finding in exact.findings.items():
        for measure, bounds in tallied.bounds[name].items():
            assert bounds.high - bounds.low < 2e-3
            assert tallied.evaluation.findings[name].values[measure] == pytest.approx(finding.values[measure], abs=2e-4)


def test_ties_are_bounded_too() -> None:
    labels = np.array([[1.0, 0], [0, 1], [0, 0], [1, 1]])
    scores = np.full((4, 2), 0.25)
    tallied = tally(labels, scores).evaluate(LABELS)
    assert tallied.evaluation.findings["Mass"].auroc == 0.5
    assert tallied.evaluation.findings["Mass"].average_precision == 0.5


def test_small_probabilities_are_told_apart() -> None:
    """200 thresholds of equal distance put all of these into one bin."""
    generator = np.random.default_rng(0)
    labels = (np.arange(50_000) < 100).astype(float)[:, None].repeat(2, axis=1)
    scores = 0.001 * np.exp(0.4 * generator.standard_normal((50_000, 2)) + 0.8 * labels)
    exact = evaluate_scores(labels, scores, LABELS)
    assert tally(labels, scores).evaluate(LABELS).evaluation.mean_auroc == pytest.approx(exact.mean_auroc, abs=1e-4)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_bins_rise_with_the_score(scores: list[float]) -> None:
    assert (np.diff(bin_of(np.sort(np.array([*scores, 0.0, -0.0, 1.0])))) >= 0).all()


@pytest.mark.parametrize(("label", "reason"), [(0.0, "no positive"), (1.0, "no negative"), (np.nan, "no known label")])
def test_a_missing_class_is_undefined_with_its_reason(label: float, reason: str) -> None:
    tallied = tally(np.full((3, 2), label), np.full((3, 2), 0.4)).evaluate(LABELS)
    exact = evaluate_scores(np.full((3, 2), label), np.full((3, 2), 0.4), LABELS)
    assert tallied.evaluation.findings["Mass"].reason == reason
    assert tallied.evaluation.findings["Mass"].undefined == exact.findings["Mass"].undefined
    assert tallied.bounds == {}


def test_logits_are_refused() -> None:
    with pytest.raises(ValueError, match="apply a sigmoid to logits first"):
        tally(np.zeros((1, 2)), np.array([[0.5, 1.5]]))
