"""What counts as an improvement of a metric."""

from __future__ import annotations

import math

import pytest

from radspark.nn.watch import check_metric, is_better


@pytest.mark.parametrize(
    ("metric", "new", "old", "expected"),
    [
        ("mean_auroc", 0.8, 0.7, True),
        ("mean_auroc", 0.7, 0.7, False),
        ("loss", 0.1, 0.2, True),
        ("loss", 0.3, 0.2, False),
        ("mean_auroc", 0.5, None, True),
        ("mean_auroc", None, None, False),
        ("mean_auroc", math.nan, 0.1, False),
        ("mean_auroc", math.nan, None, False),
    ],
)
def test_the_name_of_a_metric_says_which_way_is_better(
    metric: str, new: float | None, old: float | None, expected: bool
) -> None:
    assert is_better(metric, new, old) is expected


def test_an_improvement_of_exactly_min_delta_does_not_count() -> None:
    assert not is_better("mean_auroc", 0.75, 0.5, min_delta=0.25)
    assert is_better("loss", 0.2, 0.5, min_delta=0.25)


def test_an_unknown_metric_lists_those_that_are_measured() -> None:
    with pytest.raises(ValueError, match=r"training.metric must be one of loss, mean_auroc, got 'auc'"):
        check_metric("auc", ("mean_auroc", "loss"), setting="training.metric")
