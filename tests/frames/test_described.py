"""Descriptions of Spark jobs, and a caller's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from radspark.frames.described import DESCRIPTION, described

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


def test_a_callers_description_is_back_afterwards(spark: SparkSession) -> None:
    context = spark.sparkContext
    with described(spark, "theirs"):
        with described(spark, "ours"):
            assert context.getLocalProperty(DESCRIPTION) == "ours"
        assert context.getLocalProperty(DESCRIPTION) == "theirs"
    assert context.getLocalProperty(DESCRIPTION) is None
