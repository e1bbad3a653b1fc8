"""Weighted ranking against the plain one on repeated samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from radspark.metrics import auroc, average_precision
from radspark.metrics.rank_blocks import RankBlocks

SCORES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1, width=32))


@st.composite
def patients_with_weights(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, tied scores, patients from 0 to 7, and how often each patient is drawn."""
    size = draw(st.integers(2, 50))
    labels = draw(hnp.arrays(np.float64, size, elements=st.sampled_from([0.0, 1.0, np.nan])))
    scores = draw(hnp.arrays(np.float32, size, elements=SCORES))
    patients = draw(hnp.arrays(np.int64, size, elements=st.integers(0, 7)))
    return labels, scores, patients, draw(hnp.arrays(np.int64, 8, elements=st.integers(0, 3)))


@given(patients_with_weights())
def test_weights_count_as_repeated_patients(sample: tuple[np.ndarray, ...]) -> None:
    labels, scores, patients, weights = sample
    columns = np.stack((weights, np.ones(8)), axis=1).astype(float)
    aurocs, precisions = RankBlocks.of(labels, scores, patients, 8).measure(columns)
    for column, times in enumerate((weights[patients], np.ones(len(labels), int))):
        drawn = np.repeat(labels, times), np.repeat(scores, times)
        nothing = float("nan")
        assert aurocs[column] == pytest.approx(auroc(*drawn) if auroc(*drawn) is not None else nothing, nan_ok=True)
        expected = average_precision(*drawn)
        assert precisions[column] == pytest.approx(nothing if expected is None else expected, nan_ok=True)


@given(patients_with_weights())
def test_influence_is_the_derivative_by_a_patients_weight(sample: tuple[np.ndarray, ...]) -> None:
    labels, scores, patients, _ = sample
    labels[:2], patients[:2] = (0.0, 1.0), (0, 1)
    blocks = RankBlocks.of(labels, scores, patients, 8)
    step = 1e-5
    weights = np.ones((8, 2))
    weights[1] = 1 + step, 1 - step
    for influence, values in zip(blocks.influence(), blocks.measure(weights), strict=True):
        assert influence[1] == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-6)
        assert influence.sum() == pytest.approx(0, abs=1e-9)


def test_patients_of_a_class_are_counted_once() -> None:
    blocks = RankBlocks.of(np.array([1.0, 1, 0, 0]), np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 0, 1, 2]), 3)
    assert blocks.patients_with() == (1, 2)
