"""The file by which a synthetic data set is known, wherever it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radspark.datasets.tables import Folder, in_folder, list_files

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MARK = "phantom.json"
"""Holds the arguments that made an earlier phantom."""


def is_synthetic(spark: SparkSession, data_dir: Folder) -> bool:
    """Whether the folder was written by `radspark data phantom`."""
    return bool(list_files(spark, in_folder(data_dir, MARK)))
