"""Finds and reads the CSV tables and lists of a data set's folder, through Spark, on any file system that it reads."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from radspark.datasets.columns import blank_to_null
from radspark.datasets.recognition import recognize_table
from radspark.errors import LabelTableError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Folder = str | os.PathLike[str]

_SHOWN = 6
"""Most names of files or columns in one message."""


def in_folder(folder: Folder, pattern: str) -> str:
    """A pattern below a folder whose own name is taken as it is, brackets and stars included."""
    literal = re.sub(r"([\\*?\[\]{}^])", r"\\\1", os.fspath(folder).rstrip("/"))
    return f"{literal}/{pattern}"


def list_files(spark: SparkSession, pattern: str, *, name_filter: str = "*") -> list[str]:
    """Paths of the files that a pattern matches, and of all below the folders that it matches; empty if none.

    Spark lists them on the driver and opens none. Its scan of the same files would leave out those of zero bytes.
    """
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", True).option("pathGlobFilter", name_filter)
    try:
        frame = reader.load(pattern)
    except AnalysisException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            return []
        raise
    # inputFiles gives URIs; a Hadoop path, as Spark's own `path` columns show it, is not percent-encoded.
    return sorted(re.sub(r"^([A-Za-z][\w+.-]*):///", r"\1:/", unquote(uri)) for uri in frame.inputFiles())


def list_tables(spark: SparkSession, folder: Folder) -> tuple[str, ...]:
    """Names of the CSV and text files that lie directly in a folder."""
    return tuple(PurePosixPath(path).name for path in list_files(spark, in_folder(folder, "*.{csv,csv.gz,txt}")))


def read_csv(spark: SparkSession, folder: Folder, name: str, *, multi_line: bool = False) -> DataFrame:
    """A CSV file with a header, plain or .gz, all columns as text.

    Args:
        multi_line: whether a quoted cell can hold line breaks. One task then reads the file.
    """
    reader = (
        spark.read.option("header", True).option("quote", '"').option("escape", '"').option("multiLine", multi_line)
    )
    frame = reader.csv(in_folder(folder, name))
    return frame.toDF(*(column.strip() for column in frame.columns))


def read_list(spark: SparkSession, folder: Folder, name: str) -> DataFrame:
    """The lines of a text file that are not blank, as column `line`."""
    lines = spark.read.text(in_folder(folder, name))
    return lines.select(blank_to_null(F.col("value")).alias("line")).where(F.col("line").isNotNull())


def find_table(spark: SparkSession, folder: Folder, names: Sequence[str], *, title: str, found: Collection[str]) -> str:
    """Name of the first of several tables that is in the folder, plain or with .gz after it.

    Args:
        names: names that the table can have, the best first.
        title: the data set's name in messages.
        found: what `list_tables` gave for the folder.

    Raises:
        LabelTableError: none is there; the message says what is, and which data set that looks like.
    """
    for name in (known + suffix for known in names for suffix in ("", ".gz")):
        if name in found:
            return name
    remedy = f"data_dir must be the folder of {title}, with {' or '.join(names)} (plain or .gz) in it."
    if not found:
        raise LabelTableError(f"{os.fspath(folder)} holds no CSV table, or does not exist; {remedy}")
    for name in sorted(found):
        if name.endswith((".csv", ".csv.gz")):
            columns = read_csv(spark, folder, name).columns
            if looks_like := recognize_table(columns):
                what = f"{os.fspath(folder)} holds {name}, which has {_quoted(columns)}"
                raise LabelTableError(f"{what}. Is this {looks_like}? For {title}, {remedy}")
    raise LabelTableError(
        f"{os.fspath(folder)} holds {_quoted(sorted(found))}, but no label table of {title}; {remedy}"
    )


def require_columns(frame: DataFrame, columns: Collection[str], *, file: str, title: str) -> None:
    """Check that a table has the columns that its reader uses.

    Raises:
        LabelTableError: names the file, what it lacks, what it has, and which data set that looks like.
    """
    missing = [column for column in columns if column not in frame.columns]
    if not missing:
        return
    has = f"it has {_quoted(frame.columns)}" if frame.columns else "it has no columns at all"
    looks_like = recognize_table(frame.columns)
    remedy = f"Is this {looks_like}?" if looks_like else f"Is it complete, as {title} publishes it?"
    raise LabelTableError(f"{file} has no column {_quoted(missing)}; {has}. {remedy}")


def _quoted(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
