"""Folds of whole patients."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from radspark.samples.folds import with_patient_folds

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def samples(spark: SparkSession) -> DataFrame:
    """600 radiographs of 200 patients."""
    return spark.createDataFrame([(f"i{i}", f"p{i // 3}") for i in range(600)], "image_id string, patient_id string")


def test_a_patient_is_in_one_fold_and_folds_are_about_even(samples: DataFrame) -> None:
    rows = with_patient_folds(samples, 4, seed=1).collect()
    folds = {row["patient_id"]: row["fold"] for row in rows}
    assert all(folds[row["patient_id"]] == row["fold"] for row in rows)
    sizes = Counter(folds.values())
    assert set(sizes) == {0, 1, 2, 3}
    assert min(sizes.values()) > 30


def test_another_seed_draws_other_folds_and_the_same_seed_the_same(samples: DataFrame) -> None:
    first, again, other = (
        [row["fold"] for row in with_patient_folds(samples, 4, seed=seed).orderBy("image_id").collect()]
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"num_folds": 1}, "num_folds must be at least 2, got 1"),
        (
            {"num_folds": 2, "patient_col": "patient"},
            "must be a column of the samples .image_id, patient_id., got 'pat",
        ),
        ({"num_folds": 2, "fold_col": "image_id"}, "have a column 'image_id' already; choose another fold_col"),
    ],
)
def test_wrong_arguments_are_named(samples: DataFrame, arguments: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        with_patient_folds(samples, **arguments)
