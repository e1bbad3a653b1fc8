"""Patients in two splits are found, and splits told apart without names."""

from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from radspark.datasets.leaks import check_no_leak, find_leak, fingerprint_splits
from radspark.errors import SplitError

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def table(spark):
    """Ten patients with three radiographs each; the last four test."""
    rows = [(f"{p}_{i}", str(p), "test" if p > 5 else "train") for p in range(10) for i in range(3)]
    return spark.createDataFrame(rows, "image_id string, patient_id string, split string")


def test_fingerprint_sees_a_moved_image_and_no_order(table):
    one = table.withColumn("split", F.when(F.col("image_id") == "1_0", "test").otherwise(F.col("split")))
    assert fingerprint_splits(table) == fingerprint_splits(table.orderBy(F.rand(1)).repartition(3))
    assert fingerprint_splits(table) != fingerprint_splits(one)
    assert fingerprint_splits(table).startswith("30-")


def test_a_leak_is_counted_and_names_three_patients(spark):
    rows = [(str(patient), split) for patient in range(10, 15) for split in ("train", "test")]
    frame = spark.createDataFrame(
        [*rows, ("99", "train"), ("98", None), ("98", "test")], "patient_id string, split string"
    )
    with pytest.raises(SplitError, match=r"^5 patients stand in two splits \(for example 10, 11, 12\)"):
        check_no_leak(find_leak(frame))
