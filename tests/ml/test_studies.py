"""Views of a study make one row, with what is known of the study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pyspark.errors import PySparkException

from radspark.errors import ArgumentError
from radspark.labels import LabelSet
from radspark.ml import combine_studies

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

LABELS = LabelSet(("Effusion", "Mass"))
SCHEMA = "study_id string, patient_id string, view string, labels array<float>, probability array<float>"


def rows(frame: DataFrame) -> dict[str, Any]:
    return {row["study_id"]: row.asDict() for row in frame.collect()}


@pytest.fixture(scope="module")
def views(spark: SparkSession) -> DataFrame:
    """Two views of study a, one of them without a label; b has one that cannot be read; c has none that can."""
    return spark.createDataFrame(
        [
            ("a", "1", "PA", [1.0, None], [0.5, 0.25]),
            ("a", "1", "LATERAL", [0.0, 0.0], [0.75, 0.5]),
            ("b", "1", "PA", [0.0, 0.0], [0.125, 1.0]),
            ("b", "1", "PA", [0.0, 0.0], None),
            ("c", "2", "PA", None, None),
        ],
        SCHEMA,
    )


def test_a_study_has_the_mean_of_its_readable_views_or_the_largest(views: DataFrame) -> None:
    found = {how: rows(combine_studies(views, LABELS, how=how)) for how in ("mean", "max")}
    assert {study: row["probability"] for study, row in found["mean"].items()} == {
        "a": [0.625, 0.375],
        "b": [0.125, 1.0],
        "c": None,
    }
    assert found["max"]["a"]["probability"] == [0.75, 0.5]
    assert {study: row["num_views"] for study, row in found["mean"].items()} == {"a": 2, "b": 1, "c": 0}


def test_a_finding_is_present_in_a_view_else_unknown_else_absent(views: DataFrame) -> None:
    found = rows(combine_studies(views, LABELS, other_cols=["patient_id", "view"]))
    assert {study: row["labels"] for study, row in found.items()} == {
        "a": [1.0, None],
        "b": [0.0, 0.0],
        "c": [None, None],
    }
    assert {study: (row["patient_id"], row["view"]) for study, row in found.items()} == {
        "a": ("1", None),
        "b": ("1", "PA"),
        "c": ("2", "PA"),
    }


def test_a_radiograph_without_a_study_is_no_study(spark: SparkSession, views: DataFrame) -> None:
    with pytest.raises(PySparkException, match="a radiograph has no study_id"):
        combine_studies(
            views.union(spark.createDataFrame([(None, "3", "PA", [0.0, 0.0], None)], SCHEMA)), LABELS
        ).collect()
    with pytest.raises(ArgumentError, match="how must be one of mean, max, got 'median'"):
        combine_studies(views, LABELS, how="median")
    with pytest.raises(ArgumentError, match="no column 'study_id'"):
        combine_studies(views.drop("study_id"), LABELS)
