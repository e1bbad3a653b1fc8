"""Finds the radiographs of a data folder, one for each stem; what they hold is for `frames` to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import functions as F

from radspark.datasets.columns import IMAGE_EXTENSIONS, stem
from radspark.datasets.schema import ImageFiles
from radspark.datasets.tables import Folder, in_folder, list_files
from radspark.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


def find_radiographs(spark: SparkSession, data_dir: Folder, *, images: ImageFiles) -> DataFrame:
    """The radiographs at any depth below some folders of a data folder, one for each stem.

    The driver lists them, on any file system that Spark reads, and holds their paths; no file is opened. Files of zero
    bytes are among them, so that reading names them as damaged.

    Args:
        images: folders below `data_dir`, and how many parts of a path make its stem.

    Returns:
        `path, stem, num_files`: of the files with one stem, the first by extension (`IMAGE_EXTENSIONS` has their order)
        and then by path, and how many there are.

    Raises:
        DataError: there are none.
    """
    paths = list_files(spark, images_pattern(data_dir, images), name_filter=NAME_FILTER)
    if not paths:
        extensions = ", ".join(f".{item}" for item in IMAGE_EXTENSIONS)
        raise DataError(
            f"{data_dir} holds no radiographs: there is no {extensions} file in "
            f"{', '.join(folder + '/' for folder in images.folders)}; copy or link the images there."
        )
    files = spark.createDataFrame(pa.table({"path": paths}))
    return (
        files.groupBy(stem(F.col("path"), num_parts=images.id_parts).alias("stem"))
        .agg(
            F.min_by("path", F.struct(preference(F.col("path")), "path")).alias("path"), F.count("*").alias("num_files")
        )
        .select("path", "stem", "num_files")
    )


def images_pattern(data_dir: Folder, images: ImageFiles) -> str:
    """One glob for all folders of radiographs."""
    return in_folder(data_dir, f"{{{','.join(images.folders)}}}")


def preference(path: Column) -> Column:
    """Lowest for the file to take where several are of one image: by extension, in the order of `IMAGE_EXTENSIONS`."""
    extension = F.lower(F.substring_index(path, ".", -1))
    return F.array_position(F.array(*(F.lit(item) for item in IMAGE_EXTENSIONS)), extension)


def _any_case(extensions: Sequence[str]) -> str:
    """A glob for names that end so, in capitals or not: `*.{[pP][nN][gG],...}`."""
    spelled = ("".join(f"[{letter}{letter.upper()}]" for letter in item) for item in extensions)
    return f"*.{{{','.join(spelled)}}}"


NAME_FILTER = _any_case(IMAGE_EXTENSIONS)
"""Glob of the names of radiographs."""
