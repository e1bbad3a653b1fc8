"""Settings in a column's metadata."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from radspark.frames import read_images
from radspark.frames.column_settings import column_settings, settings_metadata
from radspark.settings import PreparationSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark
PADDED = PreparationSettings(size=32, aspect="pad", grey_range="own_range")


@pytest.fixture
def images(spark: SparkSession, tmp_path: Path) -> DataFrame:
    (tmp_path / "a.png").write_bytes(b"not read")
    return read_images(spark, str(tmp_path), settings=PADDED)


def test_images_tell_how_they_were_prepared(images: DataFrame) -> None:
    kept = images.where("image is null").withColumn("id", F.lit(1)).select("id", "image").repartition(2).limit(1)
    assert column_settings(kept, "image", PreparationSettings) == PADDED


def test_images_named_by_a_table_do_too(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not read")
    table = spark.createDataFrame([("x", str(tmp_path / "a.png"))], "id string, path string")
    assert column_settings(read_images(spark, table, settings=PADDED), "image", PreparationSettings) == PADDED


def test_a_column_made_by_an_expression_does_not_tell(images: DataFrame) -> None:
    changed = images.withColumn("image", F.when(F.lit(True), F.col("image")))
    assert column_settings(changed, "image", PreparationSettings) is None
    assert column_settings(images, "no such column", PreparationSettings) is None


def test_settings_that_this_version_does_not_know_are_an_error(spark: SparkSession) -> None:
    metadata = settings_metadata(PADDED)
    metadata["radspark"]["contrast"] = 2
    frame = spark.range(1).select(F.col("id").alias("image", metadata=metadata))
    with pytest.raises(ValueError, match="metadata of column 'image' has no setting 'contrast'"):
        column_settings(frame, "image", PreparationSettings)
