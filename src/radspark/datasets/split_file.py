"""A split that was written down, as `radspark data check` does: a list of image ids with their splits, taken back."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from radspark.datasets.columns import blank_to_null
from radspark.datasets.schema import SPLITS, SplitLists
from radspark.errors import SplitError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

COLUMNS = ("image_id", "split")


def split_by_file(frame: DataFrame, file: str) -> DataFrame:
    """Give each radiograph of a label table the split that a file says; those that it does not name have none.

    Args:
        file: CSV (plain or .gz) or Parquet with the columns `image_id` and `split`, on any file system of Spark. A
            blank split is none.

    Raises:
        SplitError: no such file, a column is missing, a split of another name, or an image named twice.
    """
    listed = read_split_file(frame.sparkSession, file)
    row = listed.agg(
        F.count("*").alias("rows"),
        F.count_distinct("image_id").alias("images"),
        F.min(F.when(~F.col("split").isin(*SPLITS), F.col("split"))).alias("strange"),
    ).first()
    assert row is not None, "an aggregate always has a row"
    if row["strange"] is not None:
        raise SplitError(f"{file} has the split {row['strange']!r}; a split is one of {', '.join(SPLITS)}, or blank.")
    if row["images"] < row["rows"]:
        raise SplitError(
            f"{file} names {row['rows'] - row['images']} images twice or not at all; keep one row for each."
        )
    return frame.drop("split").join(listed, "image_id", "left")


def list_split_file(spark: SparkSession, file: str) -> SplitLists:
    """The images of a split file, to be compared with those of the label table when that is read.

    Raises:
        SplitError: as `read_split_file`.
    """
    listed = read_split_file(spark, file).withColumn("split", F.lit("any"))
    remedy = "give the list that was written for the label table (`radspark data check --out DIR` writes one)"
    return SplitLists(listed, {"any": PurePosixPath(file).name}, remedy)


def read_split_file(spark: SparkSession, file: str) -> DataFrame:
    """`image_id, split` of a file, as text.

    Raises:
        SplitError: no such file, another ending, or a column is missing.
    """
    if not file.endswith((".csv", ".csv.gz", ".parquet")):
        raise SplitError(f"a split file ends in .csv, .csv.gz or .parquet, got {file}.")
    try:
        if file.endswith(".parquet"):
            table = spark.read.parquet(file)
        else:
            table = spark.read.option("header", True).option("quote", '"').option("escape", '"').csv(file)
    except AnalysisException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            raise SplitError(f"there is no split file {file}; `radspark data check --out DIR` writes one.") from error
        raise
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise SplitError(
            f"{file} has no column {missing[0]!r}; a split file has image_id and split, "
            f"this one has {', '.join(table.columns)}."
        )
    return table.select(*(blank_to_null(F.col(name).cast("string")).alias(name) for name in COLUMNS))
