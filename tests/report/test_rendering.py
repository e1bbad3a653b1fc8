"""How pages write numbers."""

from __future__ import annotations

import pytest

from radspark.metrics import Interval
from radspark.report.rendering import FILTERS


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (0.1, 0.25, "0.100–0.250"),
        (-0.02, 0.008, "−0.020 to 0.008"),
        (-0.0001, 0.008, "−0.000 to 0.008"),
    ],
)
def test_a_dash_is_never_taken_for_a_sign(low: float, high: float, shown: str) -> None:
    assert FILTERS["range"](Interval(low, high)) == shown


@pytest.mark.parametrize(
    ("filter_name", "value", "shown"),
    [
        ("signed", -0.0001, "−0.000"),
        ("signed", -0.05, "−0.050"),
        ("signed", None, "–"),
        ("score", None, "–"),
    ],
)
def test_the_side_of_zero_is_told_of_what_rounds_to_it(filter_name: str, value: float | None, shown: str) -> None:
    assert FILTERS[filter_name](value) == shown
