"""Counts of radiographs by whatever values a table has, bounded in what comes to the driver."""

from __future__ import annotations

import pytest

from radspark.labels import LabelSet
from radspark.samples.check_counts import count_radiographs

pytestmark = pytest.mark.spark

SCHEMA = (
    "image_id string, patient_id string, age float, sex string, view string, split string, labels array<float>, "
    "error string, warning string"
)


def test_rare_values_are_counted_together_and_nothing_is_lost(spark):
    values = [
        (f"{i}", f"{i // 2}", 10.0 * min(i, 10), "FM"[i % 2], f"view {i}", "train" if i < 11 else "test", [1.0, None])
        for i in range(12)
    ]
    rows = [(*value, f"error {max(i, 3)}", "odd") for i, value in enumerate(values)]
    found = count_radiographs(spark.createDataFrame(rows, SCHEMA), LabelSet(("Mass", "Edema")), max_values=5)
    assert [(name, split.radiographs, split.patients) for name, split in found.splits.items()] == [
        ("train", 11, 6),
        ("test", 1, 1),
    ]
    assert found.sexes == {"F": 6, "M": 6}
    assert found.unreadable_errors == {"error 3": 4, "other": 8}
    assert (found.views, found.ages, found.flagged_warnings) == ({"other": 12}, {"other": 12}, {})
