"""Ranking metrics against scikit-learn, on scores full of ties."""

from __future__ import annotations

import csv
import gzip
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sklearn_metrics

from radspark.labels import LabelSet
from radspark.metrics import auroc, average_precision, rank, roc_curves

TIED = st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1e-9, -3.0])
SCORES = st.one_of(TIED, st.floats(-1e6, 1e6, width=32))


@st.composite
def labelled_scores(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels of both kinds and scores of any kind, tied or not, of one length."""
    size = draw(st.integers(2, 60))
    labels = draw(hnp.arrays(np.float32, size, elements=st.sampled_from([0.0, 1.0])))
    labels[:2] = [0.0, 1.0]
    return labels, draw(hnp.arrays(np.float32, size, elements=draw(st.sampled_from([TIED, SCORES]))))


@given(labelled_scores())
def test_auroc_equals_scikit_learn_with_ties(sample: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = sample
    assert auroc(labels, scores) == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores), abs=1e-9)


@given(labelled_scores())
def test_average_precision_equals_scikit_learn_with_ties(sample: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = sample
    expected = sklearn_metrics.average_precision_score(labels, scores)
    assert average_precision(labels, scores) == pytest.approx(expected, abs=1e-9)


@given(labelled_scores(), st.randoms(use_true_random=False))
def test_the_order_of_samples_changes_no_bit(sample: tuple[np.ndarray, np.ndarray], random: object) -> None:
    labels, scores = sample
    order = np.random.default_rng(random.getrandbits(32)).permutation(len(labels))
    assert auroc(labels, scores) == auroc(labels[order], scores[order])
    assert average_precision(labels, scores) == average_precision(labels[order], scores[order])


@given(labelled_scores())
def test_turning_the_scores_round_turns_auroc_round(sample: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = sample
    assert auroc(labels, -scores) == pytest.approx(1 - auroc(labels, scores), abs=1e-12)


@given(labelled_scores(), st.integers(1, 20))
def test_unknown_labels_are_left_out(sample: tuple[np.ndarray, np.ndarray], num_unknown: int) -> None:
    labels, scores = sample
    more_labels = np.concatenate((labels, np.full(num_unknown, np.nan, np.float32)))
    more_scores = np.concatenate((scores, np.linspace(-1, 1, num_unknown, dtype=np.float32)))
    assert auroc(more_labels, more_scores) == auroc(labels, scores)
    assert average_precision(more_labels, more_scores) == average_precision(labels, scores)


@given(labelled_scores())
def test_full_roc_curve_has_the_corners_of_scikit_learn(sample: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = sample
    curve = rank(labels, scores).roc_curve()
    x, y, _ = sklearn_metrics.roc_curve(labels, scores, drop_intermediate=True)
    theirs = set(zip(x.tolist(), y.tolist(), strict=True))
    assert set(zip(curve.false_positive_rate.tolist(), curve.true_positive_rate.tolist(), strict=True)) <= theirs
    assert sklearn_metrics.auc(curve.false_positive_rate, curve.true_positive_rate) == pytest.approx(
        auroc(labels, scores), abs=1e-9
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("max_area_error", [0.002, 0.02])
def test_thinned_roc_curve_keeps_the_area_within_its_bound(seed: int, max_area_error: float) -> None:
    generator = np.random.default_rng(seed)
    labels = (generator.random(20_000) < 0.1 * (seed + 1)).astype(np.float32)
    ranking = rank(labels, labels * 0.7 * seed + generator.standard_normal(20_000))
    curve = ranking.roc_curve(max_area_error=max_area_error)
    grid = np.linspace(0, 1, 20_001)
    full = ranking.roc_curve()
    thinned_height = np.interp(grid, curve.false_positive_rate, curve.true_positive_rate)
    full_height = np.interp(grid, full.false_positive_rate, full.true_positive_rate)
    assert np.abs(thinned_height - full_height).mean() <= max_area_error
    assert len(curve.true_positive_rate) <= 1 / max_area_error + 2


@given(labelled_scores())
def test_precision_recall_curve_encloses_average_precision(sample: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = sample
    curve = rank(labels, scores).precision_recall_curve()
    precision, recall, _ = sklearn_metrics.precision_recall_curve(labels, scores)
    theirs = set(zip(recall.tolist(), precision.tolist(), strict=True))
    assert set(zip(curve.recall.tolist(), curve.precision.tolist(), strict=True)) <= theirs
    area = (np.diff(curve.recall, prepend=0) * curve.precision).sum()
    assert area == pytest.approx(average_precision(labels, scores), abs=1e-9)


def test_a_thinned_precision_recall_curve_keeps_its_ends() -> None:
    generator = np.random.default_rng(0)
    labels = (generator.random(5000) < 0.4).astype(float)
    curve = rank(labels, generator.random(5000)).precision_recall_curve()
    thinned = curve.thinned(100)
    assert len(thinned.recall) == 100
    assert (thinned.recall[0], thinned.recall[-1]) == (curve.recall[0], 1.0)
    assert set(zip(thinned.recall, thinned.precision, strict=True)) <= set(
        zip(curve.recall, curve.precision, strict=True)
    )
    np.testing.assert_array_equal(curve.thinned(10_000).recall, curve.recall)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [([0, 0], "no positive"), ([1, math.nan], "no negative"), ([math.nan, math.nan], "no known label")],
)
def test_undefined_is_none_with_a_reason(labels: list[float], reason: str) -> None:
    ranking = rank(labels, [0.1, 0.9])
    assert (ranking.auroc(), ranking.average_precision(), ranking.roc_curve()) == (None, None, None)
    assert ranking.undefined_reason == reason


def test_no_samples_are_undefined() -> None:
    assert rank([], []).undefined_reason == "no known label"


def test_rare_finding_is_exact_where_200_fixed_thresholds_are_not() -> None:
    """The 2019 system's metric lost a fifth of the area when a rare finding's scores crowd near 0."""
    generator = np.random.default_rng(0)
    labels = (np.arange(50_000) < 100).astype(np.float64)
    scores = 0.001 * np.exp(0.4 * generator.standard_normal(50_000) + 0.8 * labels)
    on_grid = np.floor(scores * 200)
    truth = sklearn_metrics.roc_auc_score(labels, scores)
    assert auroc(labels, scores) == pytest.approx(truth, abs=1e-12)
    assert truth > auroc(labels, on_grid) + 0.2


@pytest.mark.data
def test_published_aurocs_come_out_of_published_predictions(shared_data: Path) -> None:
    with gzip.open(shared_data / "nih-256" / "Data_Entry_2017_v2020.csv.gz", "rt") as table:
        present = {row["Image Index"]: row["Finding Labels"].split("|") for row in csv.DictReader(table)}
    with gzip.open(shared_data / "golden" / "pretrained_preds.csv.gz", "rt") as table:
        predictions = list(csv.DictReader(table))
    with (shared_data / "golden" / "pretrained_aucs.csv").open() as table:
        published = {row["label"]: float(row["auc"]) for row in csv.DictReader(table)}
    ours = {
        name: auroc(
            [float(name in present[row["Image Index"]]) for row in predictions],
            [float(row[f"prob_{name}"]) for row in predictions],
        )
        for name in published
    }
    assert len(published) == 14
    assert ours == pytest.approx(published, abs=1e-6)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_refused(score: float) -> None:
    with pytest.raises(ValueError, match=r"scores must be finite, got .* in 1 place"):
        auroc([0, 1], [0.5, score])


def test_labels_other_than_zero_one_and_unknown_are_refused() -> None:
    with pytest.raises(ValueError, match=r"labels must be 1, 0 or NaN for unknown, got -1\.0"):
        auroc([0, -1], [0.5, 0.5])


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"same shape with 1 dimension\(s\), got \(2,\) and \(3,\)"):
        auroc([0, 1], [0.1, 0.2, 0.3])


def test_roc_curves_leave_out_what_is_undefined() -> None:
    labels, scores = [[1, 0], [0, 0]], [[0.9, 0.5], [0.1, 0.5]]
    assert list(roc_curves(labels, scores, LabelSet(("Mass", "Hernia")))) == ["Mass"]
