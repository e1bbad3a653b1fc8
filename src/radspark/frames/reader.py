"""Files to prepared radiographs in one pass on the executors. Finding files is files.py's, decoding is `images`'."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql.types import StringType, StructField, StructType

from radspark.errors import DataError, UnreadableImageError
from radspark.frames.column_settings import settings_metadata
from radspark.frames.files import find_empty_files, find_files, open_files, open_found
from radspark.frames.image_schema import IMAGE_ARROW_TYPE, IMAGE_SCHEMA, images_to_arrow
from radspark.frames.session import is_connect
from radspark.images import ImageLimits, read_radiograph
from radspark.images.grey import DEFAULT_LIMITS
from radspark.settings import PreparationSettings, require

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

COLON_IN_LOCAL_NAME = "^file:.*:[^/]*$"
"""Names that Hadoop lists but cannot open: it looks for a checksum file beside them, and the whole job fails."""
BATCH_BYTES = 16 * 2**20
"""Pixels in one batch that goes back to Spark."""
_READ_ARROW_SCHEMA = pa.schema([("path", pa.string()), ("image", IMAGE_ARROW_TYPE), ("error", pa.string())])
_FILE = "_radspark_file"


def read_images(
    spark: SparkSession,
    source: str | Sequence[str] | DataFrame,
    *,
    size: int | None = None,
    settings: PreparationSettings | None = None,
    num_partitions: int | None = None,
    path_column: str = "path",
    limits: ImageLimits = DEFAULT_LIMITS,
) -> DataFrame:
    """Radiographs as prepared grey images, one row for each file, with an `error` where a file is not readable.

    Args:
        source: a file, a folder (with all below it), a glob, a list of those, or a DataFrame with a column of absolute
            paths or URIs, whose rows and other columns are kept. On any file system that Spark reads.
        size: side of the prepared image; 256 unless `settings` says otherwise.
        settings: all of the preparation, instead of `size`.
        num_partitions: partitions of the result; None leaves them to Spark. Fewer than Spark's own are also the tasks
            that decode; for more, prepared images (not files) are shuffled.
        path_column: the column of paths, if the source is a DataFrame.
        limits: the largest file and image that are read; a longer file is not loaded.

    Returns:
        `path, image, error`: image in Spark ML's image schema, 8-bit grey, or null with the reason in `error`. The
        column's metadata holds the settings, so that a model refuses images that are prepared otherwise.

    Raises:
        DataError: no such path, no file in it, or none of a DataFrame's files exists.
        ArgumentError: an argument is wrong.
    """
    if settings is None:
        settings = PreparationSettings(size=256 if size is None else size)
    require(size in (None, settings.size), f"size must be settings.size ({settings.size}) or left out, got {size}.")
    require(num_partitions is None or num_partitions >= 1, f"num_partitions must be at least 1, got {num_partitions}.")
    if not isinstance(source, str | Sequence):
        rows = _read_listed(spark, source, path_column, settings=settings, limits=limits)
        return rows if num_partitions is None else rows.repartition(num_partitions)
    files = open_files(spark, [source] if isinstance(source, str) else list(source))
    return prepare_files(files, settings=settings, limits=limits, num_partitions=num_partitions)


def prepare_files(
    files: DataFrame, *, settings: PreparationSettings, limits: ImageLimits, num_partitions: int | None = None
) -> DataFrame:
    """`path, image, error` of Spark's binary file source; files over the limit pass by without their content."""
    parts = _select_contents(files, limits)
    spread = num_partitions is not None
    if num_partitions is not None and not is_connect(files.sparkSession):
        spread = parts.rdd.getNumPartitions() < num_partitions
        parts = parts if spread else parts.coalesce(num_partitions)
    prepare = functools.partial(prepare_batches, settings=settings, limits=limits)
    images = parts.mapInArrow(prepare, read_schema(settings))
    return images.repartition(num_partitions) if spread and num_partitions is not None else images


def read_schema(settings: PreparationSettings) -> StructType:
    """Columns of `prepare_files`; the images carry the settings that they were prepared by."""
    image = StructField("image", IMAGE_SCHEMA, metadata=settings_metadata(settings))
    return StructType([StructField("path", StringType()), image, StructField("error", StringType())])


def _select_contents(files: DataFrame, limits: ImageLimits) -> DataFrame:
    """`path, length, content` of every file; a null content for those that are not to be loaded."""
    from pyspark.sql import functions as F

    # Conditions on _metadata are judged while Spark lists, before a file is opened. They cost a copy of every content,
    # so they are left out where planning shows that no file meets them.
    too_long = F.col("_metadata.file_size") > limits.max_bytes
    unopenable = F.col("_metadata.file_path").rlike(COLON_IN_LOCAL_NAME)
    passed_by = files.where(too_long | unopenable)
    parts = files.select("path", "length", "content")
    if is_connect(files.sparkSession) or passed_by.rdd.getNumPartitions():
        nothing = F.lit(None).cast("binary").alias("content")
        loaded = files.where(~(too_long | unopenable)).select("path", "length", "content")
        parts = loaded.union(passed_by.select("path", "length", nothing))
    empty = find_empty_files(files)
    if empty:
        rows = pa.table({"path": empty, "length": [0] * len(empty), "content": [b""] * len(empty)})
        parts = parts.union(files.sparkSession.createDataFrame(rows))
    return parts


def prepare_batches(
    batches: Iterable[pa.RecordBatch], *, settings: PreparationSettings, limits: ImageLimits
) -> Iterator[pa.RecordBatch]:
    """Arrow batches of `path, length, content` to `path, image, error`, in order; runs on the executors."""
    num_rows = max(1, BATCH_BYTES // settings.size**2)
    for batch in batches:
        for start in range(0, batch.num_rows, num_rows):
            part = batch.slice(start, num_rows)
            pixels, errors = prepare_contents(
                part.column("content"), part.column("length").to_pylist(), settings=settings, limits=limits
            )
            failed = np.array([error is not None for error in errors], dtype=np.bool_)
            paths = part.column("path")
            columns = [paths, images_to_arrow(pixels, paths, failed), pa.array(errors, type=pa.string())]
            yield pa.RecordBatch.from_arrays(columns, schema=_READ_ARROW_SCHEMA)


def prepare_contents(
    contents: pa.BinaryArray,
    lengths: Sequence[int],
    *,
    settings: PreparationSettings,
    limits: ImageLimits,
) -> tuple[npt.NDArray[np.uint8], list[str | None]]:
    """Decode and prepare N files' contents; a null content is a file that was not loaded.

    Returns:
        uint8 (N, size, size), black where a file is unreadable, and for each file its error or None.
    """
    pixels_NHW = np.zeros((len(contents), settings.size, settings.size), dtype=np.uint8)
    errors = [
        _prepare_into(pixels_HW, content.as_py(), length, settings=settings, limits=limits)
        for pixels_HW, content, length in zip(pixels_NHW, contents, lengths, strict=True)
    ]
    return pixels_NHW, errors


def _prepare_into(
    pixels_HW: npt.NDArray[np.uint8],
    content: bytes | None,
    length: int,
    *,
    settings: PreparationSettings,
    limits: ImageLimits,
) -> str | None:
    """Write one prepared image into its place; the error, if there is one."""
    try:
        limits.check_bytes(length)
        if content is None:
            return "file with a colon in its name, which Spark cannot open on a local disk; rename it."
        pixels_HW[:] = read_radiograph(content, settings, limits=limits)
    except UnreadableImageError as error:
        return str(error)
    return None


def _read_listed(
    spark: SparkSession, source: DataFrame, path_column: str, *, settings: PreparationSettings, limits: ImageLimits
) -> DataFrame:
    """The rows of a DataFrame with the images that their paths name; each file is read once, however often named."""
    from pyspark.sql import functions as F

    _check_columns(source, path_column)
    wanted = source.select(path_column).where(F.col(path_column).isNotNull()).distinct().toArrow().column(0).to_pylist()
    found = find_files(spark, wanted)
    if not found:
        first = f", such as {wanted[0]}" if wanted else ""
        raise DataError(f"none of the {len(wanted)} paths in column {path_column!r} names a file{first}.")
    pairs = pa.table({path_column: pa.array(found.keys(), pa.string()), _FILE: pa.array(found.values(), pa.string())})
    files = open_found(spark, sorted(set(found.values())))
    prepared = prepare_files(files, settings=settings, limits=limits).withColumnRenamed("path", _FILE)
    rows = source.join(spark.createDataFrame(pairs), on=path_column, how="left")
    # Without the hint Spark could send all images to the driver to broadcast them: it judges by the files' lengths.
    rows = rows.join(prepared.hint("merge"), on=_FILE, how="left")
    missing = F.when(F.col(path_column).isNull(), "no path is given.").when(F.col(_FILE).isNull(), "file not found.")
    return rows.select(*source.columns, "image", F.coalesce(missing, "error").alias("error"))


def _check_columns(source: DataFrame, path_column: str) -> None:
    columns = source.columns
    require(
        path_column in columns,
        f"path_column must be a column of the table ({', '.join(columns)}), got {path_column!r}.",
    )
    taken = [name for name in ("image", "error") if name in columns]
    require(
        not taken, f"the table must not have a column {taken[0] if taken else ''!r}, which read_images adds; rename it."
    )
