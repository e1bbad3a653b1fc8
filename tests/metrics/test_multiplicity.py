"""Adjusted p-values: an example from Holm's rule, and how often false alarms are raised."""

from __future__ import annotations

import numpy as np
import pytest

from radspark.metrics.multiplicity import holm


def test_each_p_value_is_multiplied_by_the_tests_that_are_left() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_no_adjusted_p_value_is_above_one() -> None:
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_false_alarms_among_all_tests_keep_their_rate() -> None:
    draws = np.random.default_rng(0).random((4000, 10))
    assert np.mean([min(holm(row)) < 0.05 for row in draws]) == pytest.approx(0.05, abs=0.01)
