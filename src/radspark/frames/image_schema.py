"""Spark ML's image schema for grey images, and the way between Arrow columns of it and numpy without a loop over rows.

Shapes: N rows, H height, W width.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql.types import BinaryType, IntegerType, StringType, StructField, StructType

from radspark.errors import DataError

CV_8UC1 = 0
"""OpenCV's number for one channel of unsigned bytes, the `mode` of a grey image."""

IMAGE_SCHEMA = StructType(
    [
        StructField("origin", StringType(), True),
        StructField("height", IntegerType(), False),
        StructField("width", IntegerType(), False),
        StructField("nChannels", IntegerType(), False),
        StructField("mode", IntegerType(), False),
        StructField("data", BinaryType(), False),
    ]
)
"""The fields of `pyspark.ml.image.ImageSchema`, which itself needs a JVM to name them."""

IMAGE_ARROW_TYPE = pa.struct(
    [
        pa.field("origin", pa.string()),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("nChannels", pa.int32(), nullable=False),
        pa.field("mode", pa.int32(), nullable=False),
        pa.field("data", pa.binary(), nullable=False),
    ]
)


def images_to_arrow(
    pixels_NHW: npt.NDArray[np.uint8], origins: pa.StringArray, missing: npt.NDArray[np.bool_]
) -> pa.StructArray:
    """A column of N images, null where `missing`; the pixels are shared, not copied, so do not write to them after."""
    num_rows, height, width = pixels_NHW.shape
    offsets = np.arange(num_rows + 1, dtype=np.int64) * (height * width)
    if offsets[-1] > np.iinfo(np.int32).max:
        raise ValueError(
            f"one Arrow column holds at most 2 GiB of pixels, got {offsets[-1]} bytes; use smaller batches."
        )
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(pixels_NHW).data)]
    constants = [pa.array(np.full(num_rows, value, dtype=np.int32)) for value in (height, width, 1, CV_8UC1)]
    data = pa.Array.from_buffers(pa.binary(), num_rows, buffers)
    return pa.StructArray.from_arrays(
        [origins, *constants, data], fields=list(IMAGE_ARROW_TYPE), mask=pa.array(missing, type=pa.bool_())
    )


def arrow_to_images(images: pa.StructArray | pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """uint8 (N, H, W) of a column of grey images of one size, without nulls; read-only, shared with Arrow.

    Raises:
        DataError: a null, several sizes, or images that are not 8-bit grey.
    """
    if isinstance(images, pa.ChunkedArray):
        images = images.combine_chunks() if images.num_chunks != 1 else images.chunk(0)
    if images.null_count:
        raise DataError(f"{images.null_count} of {len(images)} images are null; filter on `image is not null` first.")
    if len(images) == 0:
        return np.empty((0, 0, 0), dtype=np.uint8)
    height, width = _only(images, "height"), _only(images, "width")
    if _only(images, "mode") != CV_8UC1:
        raise DataError("images must be 8-bit grey (mode 0), as read_images makes them.")
    data = images.field("data").cast(pa.binary())  # large_binary where Spark is told to use large types
    _, offsets, values = data.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int32)[data.offset : data.offset + len(data) + 1]
    if not (np.diff(bounds) == height * width).all():
        raise DataError(f"images of {height} x {width} must have {height * width} bytes of data each.")
    pixels = np.frombuffer(values, dtype=np.uint8)[bounds[0] : bounds[-1]]
    return pixels.reshape(len(data), height, width)


def _only(images: pa.StructArray, field: str) -> int:
    values = np.unique(images.field(field).to_numpy())
    if len(values) != 1:
        raise DataError(f"images must be of one {field} to be stacked, got {', '.join(map(str, values[:5]))}.")
    return int(values[0])
