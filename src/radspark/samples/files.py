"""Finds the radiographs of a data folder, one for each stem; what they hold is for `frames` to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import functions as F

from radspark.datasets.columns import stem
from radspark.datasets.tables import Folder, in_folder, list_files
from radspark.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

EXTENSIONS = ("png", "jpg", "jpeg", "dcm")
"""Of radiographs, in any case; where two files have one stem, the earlier extension is taken."""


def find_radiographs(spark: SparkSession, data_dir: Folder, *, folders: Sequence[str]) -> DataFrame:
    """The radiographs at any depth below some folders of a data folder, one for each stem.

    The driver lists them, on any file system that Spark reads, and holds their paths; no file is opened. Files of zero
    bytes are among them, so that reading names them as damaged.

    Args:
        folders: globs below `data_dir`, such as `images_*`.

    Returns:
        `path, stem, num_files`: of the files with one stem, the first by extension (in the order of `EXTENSIONS`) and
        then by path, and how many there are.

    Raises:
        DataError: there are none.
    """
    paths = list_files(spark, in_folder(data_dir, f"{{{','.join(folders)}}}"), name_filter=_any_case(EXTENSIONS))
    if not paths:
        raise DataError(
            f"{data_dir} holds no radiographs: there is no {', '.join('.' + item for item in EXTENSIONS)} file in "
            f"{', '.join(folder + '/' for folder in folders)}; copy or link the images there."
        )
    files = spark.createDataFrame(pa.table({"path": paths}))
    extension = F.lower(F.substring_index("path", ".", -1))
    preference = F.array_position(F.array(*(F.lit(item) for item in EXTENSIONS)), extension)
    return (
        files.groupBy(stem(F.col("path")).alias("stem"))
        .agg(F.min_by("path", F.struct(preference, "path")).alias("path"), F.count("*").alias("num_files"))
        .select("path", "stem", "num_files")
    )


def _any_case(extensions: Sequence[str]) -> str:
    """A glob for names that end so, in capitals or not: `*.{[pP][nN][gG],...}`."""
    spelled = ("".join(f"[{letter}{letter.upper()}]" for letter in item) for item in extensions)
    return f"*.{{{','.join(spelled)}}}"
