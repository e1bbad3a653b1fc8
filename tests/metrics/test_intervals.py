"""Ends of intervals against scipy's bootstrap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from radspark.metrics.intervals import PERCENTILE_INSTEAD, bootstrap_interval, is_constant, why_no_interval

SAMPLE = np.random.default_rng(0).exponential(size=40)


def means(count: int) -> np.ndarray:
    generator = np.random.default_rng(1)
    return np.array([generator.choice(SAMPLE, len(SAMPLE)).mean() for _ in range(count)])


@pytest.mark.parametrize(("kind", "theirs"), [("percentile", "percentile"), ("bca", "BCa")])
def test_ends_are_those_of_scipy(kind: str, theirs: str) -> None:
    result = stats.bootstrap((SAMPLE,), np.mean, method=theirs, rng=np.random.default_rng(2))
    interval = bootstrap_interval(
        result.bootstrap_distribution,
        estimate=SAMPLE.mean(),
        influence_G=SAMPLE - SAMPLE.mean(),
        level=0.95,
        kind=kind,
    )
    expected = result.confidence_interval
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_bca_moves_a_skewed_figures_interval_towards_its_tail() -> None:
    arguments = {"estimate": SAMPLE.mean(), "influence_G": SAMPLE - SAMPLE.mean(), "level": 0.95}
    percentile = bootstrap_interval(means(4000), kind="percentile", **arguments)
    bca = bootstrap_interval(means(4000), kind="bca", **arguments)
    assert bca.low > percentile.low and bca.high > percentile.high + 0.02


def test_undefined_resamples_are_dropped_and_counted() -> None:
    values = np.append(np.linspace(0, 1, 101), [np.nan] * 50)
    interval = bootstrap_interval(values, estimate=0.5, influence_G=np.ones(3), level=0.9, kind="percentile")
    assert (interval.low, interval.high, interval.dropped) == (pytest.approx(0.05), pytest.approx(0.95), 50)


@pytest.mark.parametrize("values", [[0.5, np.nan], [np.nan, np.nan]])
def test_no_interval_where_half_of_the_resamples_are_undefined(values: list[float]) -> None:
    assert bootstrap_interval(np.array(values), estimate=0.5, influence_G=np.ones(2), level=0.95, kind="bca") is None


def test_an_interval_of_a_constant_is_that_constant() -> None:
    interval = bootstrap_interval(np.ones(200), estimate=1.0, influence_G=np.zeros(5), level=0.95, kind="bca")
    assert (interval.low, interval.high) == (1.0, 1.0)


@pytest.mark.parametrize("kind", ["bca", "percentile"])
def test_an_interval_whose_ends_meet_though_some_resamples_differ_says_so(kind: str) -> None:
    values = np.append(np.ones(1980), np.full(20, 0.9))
    interval = bootstrap_interval(values, estimate=1.0, influence_G=np.ones(3), level=0.95, kind=kind)
    assert is_constant(interval)
    assert why_no_interval(values, interval) == (
        "all or nearly all resamples give the same value, which tells nothing of chance"
    )


@pytest.mark.parametrize("kind", ["bca", "percentile"])
def test_no_interval_lies_beside_its_own_figure(kind: str) -> None:
    """Seen with 20 images: a mean average precision that nearly every resample raised, 0.251 in [.221, .244]."""
    values = np.linspace(0.24, 0.4, 2000)
    assert bootstrap_interval(values, estimate=0.241, influence_G=np.ones(3), level=0.95, kind=kind) is None
    assert why_no_interval(values, None) == "nearly all resamples lie on one side of it"


def test_bias_beyond_what_the_resamples_hold_falls_back_to_percentiles_and_says_so() -> None:
    values = np.linspace(0, 1, 2000)
    arguments = {"influence_G": np.array([-1.0, 1.0]), "level": 0.95}
    near = bootstrap_interval(values, estimate=0.4, kind="bca", **arguments)
    far = bootstrap_interval(values, estimate=0.1, kind="bca", **arguments)
    assert near.note is None and near.high < 0.95
    assert far == replace(
        bootstrap_interval(values, estimate=0.1, kind="percentile", **arguments), note=PERCENTILE_INSTEAD
    )
