"""Files to prepared radiographs in one pass on the executors. Finding files is files.py's, a batch is batches.py's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from radspark.errors import DataError
from radspark.frames.batches import ADDED_COLUMNS, prepare_batches, read_schema
from radspark.frames.described import describes
from radspark.frames.files import find_empty_files, find_files, open_files, open_found
from radspark.frames.session import is_connect
from radspark.identifiers import Identifiers, Policy, get_identifiers
from radspark.images import ImageLimits
from radspark.images.grey import DEFAULT_LIMITS
from radspark.settings import PreparationSettings, require

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_FILE = "_radspark_file"


@describes("radspark: listing radiographs")
def read_images(
    spark: SparkSession,
    source: str | Sequence[str] | DataFrame,
    *,
    size: int | None = None,
    settings: PreparationSettings | None = None,
    num_partitions: int | None = None,
    path_column: str = "path",
    limits: ImageLimits = DEFAULT_LIMITS,
    identifiers: Policy | Identifiers = "drop",
) -> DataFrame:
    """Radiographs as prepared grey images, one row for each file, with an `error` where a file is not readable.

    Decoders run in processes of their own: a file that crashes one, or takes more than `limits`, is a row with its
    error like any other.

    Args:
        source: a file, a folder (with all below it), a glob, a list of those, or a DataFrame with a column of absolute
            paths or URIs, whose rows and other columns are kept. On any file system that Spark reads.
        size: side of the prepared image; 256 unless `settings` says otherwise.
        settings: all of the preparation, instead of `size`.
        num_partitions: partitions of the result; None leaves them to Spark. Fewer than Spark's own are also the tasks
            that decode; for more, prepared images (not files) are shuffled.
        path_column: the column of paths, if the source is a DataFrame.
        limits: the largest file and image that are read, and the time and memory for each; a longer file is not loaded.
        identifiers: what becomes of the patient's number and of all else in `header` that names a patient: `drop`,
            `hash` (keyed, see `radspark.identifiers`) or `keep`. Paths are as they are.

    Returns:
        `path, image, error, warning, header`: image in Spark ML's image schema, 8-bit grey, or null with the reason in
        `error`; what is odd about a file, in `warning`, null for nothing; and of a DICOM the fields of `DicomHeader`.
        The image column's metadata holds the settings, so that a model refuses images that are prepared otherwise.

    Raises:
        DataError: no such path, no file in it, or none of a DataFrame's files exists.
        SetupError: the key of the hash cannot be read or made.
        ArgumentError: an argument is wrong.
    """
    if settings is None:
        settings = PreparationSettings(size=256 if size is None else size)
    require(size in (None, settings.size), f"size must be settings.size ({settings.size}) or left out, got {size}.")
    require(num_partitions is None or num_partitions >= 1, f"num_partitions must be at least 1, got {num_partitions}.")
    passed = get_identifiers(identifiers) if isinstance(identifiers, str) else identifiers
    prepare = functools.partial(prepare_files, settings=settings, limits=limits, identifiers=passed)
    if not isinstance(source, str | Sequence):
        rows = _read_listed(spark, source, path_column, prepare)
        return rows if num_partitions is None else rows.repartition(num_partitions)
    files = open_files(spark, [source] if isinstance(source, str) else list(source))
    return prepare(files, num_partitions=num_partitions)


def prepare_files(
    files: DataFrame,
    *,
    settings: PreparationSettings,
    limits: ImageLimits,
    identifiers: Identifiers,
    num_partitions: int | None = None,
) -> DataFrame:
    """The columns of `read_schema` from Spark's binary file source."""
    parts = _select_contents(files, limits)
    spread = num_partitions is not None
    if num_partitions is not None and not is_connect(files.sparkSession):
        spread = parts.rdd.getNumPartitions() < num_partitions
        parts = parts if spread else parts.coalesce(num_partitions)
    prepare = functools.partial(prepare_batches, settings=settings, limits=limits, identifiers=identifiers)
    images = parts.mapInArrow(prepare, read_schema(settings))
    return images.repartition(num_partitions) if spread and num_partitions is not None else images


def _select_contents(files: DataFrame, limits: ImageLimits) -> DataFrame:
    """`path, length, content` of every file; a null content for those that Spark need not load.

    Those are too long, or on a local disk, where the task opens them itself: through Spark and its Java process, each
    byte is copied several times.
    """
    from pyspark.sql import functions as F

    # Conditions on _metadata are judged while Spark lists, before a file is opened. They cost a copy of every content,
    # so they are left out where planning shows that they part nothing.
    is_local = F.col("_metadata.file_path").startswith("file:")
    passed_by = is_local | (F.col("_metadata.file_size") > limits.max_bytes)
    nothing = F.lit(None).cast("binary").alias("content")
    unloaded = files.where(passed_by).select("path", "length", nothing)
    loaded = files.where(~passed_by).select("path", "length", "content")
    if is_connect(files.sparkSession):
        parts = unloaded.union(loaded)
    elif not loaded.rdd.getNumPartitions():
        parts = files.select("path", "length", nothing)
    elif not unloaded.rdd.getNumPartitions():
        parts = files.select("path", "length", "content")
    else:
        parts = unloaded.union(loaded)
    empty = find_empty_files(files)
    if empty:
        rows = pa.table({"path": empty, "length": [0] * len(empty), "content": [b""] * len(empty)})
        parts = parts.union(files.sparkSession.createDataFrame(rows))
    return parts


def _read_listed(
    spark: SparkSession, source: DataFrame, path_column: str, prepare: Callable[[DataFrame], DataFrame]
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
    prepared = prepare(files).withColumnRenamed("path", _FILE)
    rows = source.join(spark.createDataFrame(pairs), on=path_column, how="left")
    # Without the hint Spark could send all images to the driver to broadcast them: it judges by the files' lengths.
    rows = rows.join(prepared.hint("merge"), on=_FILE, how="left")
    missing = F.when(F.col(path_column).isNull(), "no path is given.").when(F.col(_FILE).isNull(), "file not found.")
    error = F.coalesce(missing, "error").alias("error")
    return rows.select(*source.columns, *(error if name == "error" else F.col(name) for name in ADDED_COLUMNS))


def _check_columns(source: DataFrame, path_column: str) -> None:
    columns = source.columns
    require(
        path_column in columns,
        f"path_column must be a column of the table ({', '.join(columns)}), got {path_column!r}.",
    )
    taken = [name for name in ADDED_COLUMNS if name in columns]
    require(
        not taken, f"the table must not have a column {taken[0] if taken else ''!r}, which read_images adds; rename it."
    )
