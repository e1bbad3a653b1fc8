"""Scored radiographs as arrays on the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from radspark.errors import DataError
from radspark.ml import XRayEvaluator
from radspark.ml.scores import gather_scores

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark


def scored(spark: SparkSession, *rows: tuple[Any, ...]) -> DataFrame:
    return spark.createDataFrame(list(rows), "image_id string, labels array<float>, probability array<float>")


def gather(frame: DataFrame) -> Any:
    return gather_scores(frame, label_col="labels", probability_col="probability", other_cols=["image_id"])


def test_unknown_labels_are_nan_and_unreadable_radiographs_are_counted(spark: SparkSession) -> None:
    frame = scored(spark, ("a", [1.0, None], [0.5, 0.25]), ("b", [0.0, 1.0], None), ("c", None, [0.75, 1.0])).coalesce(
        1
    )
    scores = gather(frame)
    np.testing.assert_array_equal(scores.labels_NC, np.float32([[1, np.nan], [np.nan, np.nan]]))
    np.testing.assert_array_equal(scores.probabilities_NC, np.float32([[0.5, 0.25], [0.75, 1.0]]))
    assert ([row["image_id"] for row in scores.rows], scores.num_unreadable) == (["a", "c"], 1)


def test_nothing_to_evaluate_on_is_one_sentence(spark: SparkSession) -> None:
    with pytest.raises(DataError, match="there is no radiograph to evaluate on; check the split"):
        gather(scored(spark))


def test_nothing_readable_is_one_sentence(spark: SparkSession) -> None:
    with pytest.raises(DataError, match="none of the 2 radiographs to evaluate on can be read"):
        gather(scored(spark, ("a", [1.0], None), ("b", [0.0], None)))


def test_the_evaluator_says_so_too(spark: SparkSession) -> None:
    with pytest.raises(DataError, match="none of the 1 radiographs"):
        XRayEvaluator().evaluate(scored(spark, ("a", [1.0], None)))
