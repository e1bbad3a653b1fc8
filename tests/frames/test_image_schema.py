from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from radspark.errors import DataError
from radspark.frames.image_schema import IMAGE_SCHEMA, arrow_to_images, images_to_arrow

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def to_arrow(pixels: np.ndarray, missing: list[int] | None = None) -> pa.StructArray:
    mask = np.isin(np.arange(len(pixels)), missing or [])
    return images_to_arrow(pixels, pa.array([f"file:/{i}.png" for i in range(len(pixels))], pa.string()), mask)


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)), st.integers(0, 5))
def test_round_trip_keeps_every_pixel(pixels: np.ndarray, start: int) -> None:
    images = to_arrow(pixels)
    np.testing.assert_array_equal(arrow_to_images(images), pixels)
    rest = images.slice(start)
    if len(rest):
        np.testing.assert_array_equal(arrow_to_images(rest), pixels[start:])


def test_chunks_are_put_together() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(6, 2, 2)
    chunks = pa.chunked_array([to_arrow(pixels[:2]), to_arrow(pixels[2:])])
    np.testing.assert_array_equal(arrow_to_images(chunks), pixels)


def test_missing_images_are_null() -> None:
    images = to_arrow(np.zeros((3, 2, 2), np.uint8), missing=[1])
    assert [image is None for image in images.to_pylist()] == [False, True, False]
    with pytest.raises(DataError, match="1 of 3 images are null"):
        arrow_to_images(images)


def test_no_image_is_no_error() -> None:
    assert len(arrow_to_images(to_arrow(np.zeros((0, 4, 4), np.uint8)))) == 0


def test_several_sizes_are_refused() -> None:
    sizes = [to_arrow(np.zeros((1, side, side), np.uint8)) for side in (2, 3)]
    with pytest.raises(DataError, match="one height to be stacked, got 2, 3"):
        arrow_to_images(pa.chunked_array(sizes))


@pytest.mark.spark
def test_schema_is_that_of_spark_ml(spark: SparkSession) -> None:
    from pyspark.ml.image import ImageSchema

    def fields(schema: object) -> list[tuple[str, object]]:
        return [(field.name, field.dataType) for field in schema]

    assert fields(IMAGE_SCHEMA) == fields(ImageSchema.columnSchema)


@pytest.mark.spark
def test_spark_ml_reads_the_image(spark: SparkSession) -> None:
    from pyspark.ml.image import ImageSchema

    pixels = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    table = pa.table({"image": to_arrow(pixels)})
    row = spark.createDataFrame(table, schema=f"image {IMAGE_SCHEMA.simpleString()}").head()
    np.testing.assert_array_equal(ImageSchema.toNDArray(row.image)[..., 0], pixels[0])
