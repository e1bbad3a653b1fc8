"""One pass over a label table: whether rows keep the rules, who stands in which split, and which have a radiograph.

A table can be a file of millions of rows, and is parsed anew whenever it is looked at. So all that must be known before
it is used is counted together, by image and by patient, and nothing is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, LongType, StringType, StructField, StructType

from radspark.datasets.leaks import fingerprint
from radspark.datasets.schema import PROBLEM, SPLITS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_ENTRY = StructType(
    [
        StructField("is_patient", BooleanType()),
        StructField("key", StringType()),
        StructField("split", StringType()),
        StructField("rows", LongType()),
        StructField("files", LongType()),
        StructField("list", StringType()),
        StructField(PROBLEM, StringType()),
    ]
)
"""What one row of a label table, of a list or of the files adds to what is known of an image or a patient."""


@dataclass(frozen=True)
class ListCount:
    """Images that the list of a split names, each once."""

    listed: int
    labeled: int
    """Of them, those that have a row."""
    shared: int
    """Of them, those that another list names too."""
    example: str


@dataclass(frozen=True)
class Census:
    """What one pass over a label table has counted."""

    rows: int
    without_image: int
    without_patient: int
    repeated: int
    """Rows of an image beyond its first."""
    problem: str | None
    """One of the sentences on what is wrong with a row; None where nothing is."""
    leaking: int
    """Patients that stand in two splits."""
    fingerprints: Mapping[str, str]
    """Of the patients of each split: how many, and a hash over them, whatever their order. Empty if patients leak."""
    lists: Mapping[str, ListCount]
    """By split."""
    files: int
    """Radiographs, each image once."""
    repeated_files: int
    """Radiographs of an image beyond its first."""
    matched: int
    """Rows with a radiograph."""
    matched_by_split: Mapping[str, int]


def take_census(table: DataFrame, *, lists: DataFrame | None = None, files: DataFrame | None = None) -> Census:
    """Count all of that in one pass.

    Args:
        table: `image_id, patient_id, split` of each row; and, if it has one, a column `problem`: a sentence on what is
            wrong with the row, or null.
        lists: `image_id, split` as lists of splits name them.
        files: `stem, num_files` of the radiographs that are there, with a row per stem.
    """
    problem = {PROBLEM: F.col(PROBLEM)} if PROBLEM in table.columns else {}
    image = {"key": F.col("image_id"), "split": F.col("split"), "rows": F.lit(1), **problem}
    patient = {"key": F.col("patient_id"), "split": F.col("split"), "rows": F.lit(1), "is_patient": F.lit(True)}
    entries = _entries(table, image, patient)
    if lists is not None:
        entries = entries.union(_entries(lists, {"key": F.col("image_id"), "list": F.col("split")}))
    if files is not None:
        entries = entries.union(_entries(files, {"key": F.col("stem"), "files": F.col("num_files")}))
    by_key = entries.groupBy("is_patient", "key").agg(
        F.sum("rows").alias("rows"),
        F.sum("files").alias("files"),
        F.min("split").alias("split"),
        F.max("split").alias("other_split"),
        F.min("list").alias("list"),
        F.max("list").alias("other_list"),
        F.min(PROBLEM).alias(PROBLEM),
    )
    rows = by_key.groupBy("list").agg(*(value.alias(name) for name, value in _counts().items())).collect()
    return _read_counts([row.asDict() for row in rows])


def _entries(frame: DataFrame, *kinds: Mapping[str, Column]) -> DataFrame:
    """For each row an entry of each kind, so that one scan serves all."""
    empty = {"is_patient": F.lit(False), "rows": F.lit(0), "files": F.lit(0)}
    filled = ({**empty, **kind} for kind in kinds)
    entries = (
        F.struct(*(kind.get(field.name, F.lit(None)).cast(field.dataType).alias(field.name) for field in _ENTRY))
        for kind in filled
    )
    return frame.select(F.inline(F.array(*entries)))


def _counts() -> dict[str, Column]:
    """Aggregates over images and patients, each of which has one row."""
    is_patient, is_named = F.col("is_patient"), F.col("key").isNotNull()
    rows, files, split = F.col("rows"), F.col("files"), F.col("split")
    has_row, has_file, is_listed = ~is_patient & (rows > 0), files > 0, F.col("list").isNotNull()
    return {
        "rows": F.sum(F.when(~is_patient, rows)),
        "images": F.count_if(has_row & is_named),
        "without_image": F.sum(F.when(has_row & ~is_named, rows)),
        "without_patient": F.sum(F.when(is_patient & ~is_named, rows)),
        PROBLEM: F.min(PROBLEM),
        "leaking": F.count_if(is_patient & (split != F.col("other_split"))),
        "files": F.count_if(has_file),
        "all_files": F.sum(files),
        "matched": F.sum(F.when(has_file, rows)),
        "listed": F.count_if(is_listed),
        "labeled": F.count_if(is_listed & has_row),
        "shared": F.count_if(F.col("list") != F.col("other_list")),
        "example": F.min(F.when(is_listed, F.col("key"))),
        **{f"matched_{name}": F.sum(F.when(has_file & (split == name), rows)) for name in SPLITS},
        **{f"patients_{name}": F.count_if(is_patient & (split == name)) for name in SPLITS},
        **{f"hash_{name}": F.bit_xor(F.when(is_patient & (split == name), F.xxhash64("key"))) for name in SPLITS},
    }


def _read_counts(rows: list[dict[str, Any]]) -> Census:
    """The census from its rows: images in no list and all patients in one, those of each list in one."""

    def total(name: str) -> int:
        return sum(row[name] or 0 for row in rows)

    problems = [row[PROBLEM] for row in rows if row[PROBLEM] is not None]
    leaking = total("leaking")
    fingerprints = {
        split: fingerprint(row[f"patients_{split}"], row[f"hash_{split}"])
        for row in rows
        if row["list"] is None
        for split in SPLITS
    }
    return Census(
        rows=total("rows"),
        without_image=total("without_image"),
        without_patient=total("without_patient"),
        repeated=total("rows") - total("without_image") - total("images"),
        problem=min(problems, default=None),
        leaking=leaking,
        fingerprints={} if leaking else fingerprints,
        lists={
            row["list"]: ListCount(row["listed"], row["labeled"], row["shared"], row["example"])
            for row in rows
            if row["list"] is not None
        },
        files=total("files"),
        repeated_files=total("all_files") - total("files"),
        matched=total("matched"),
        matched_by_split={split: total(f"matched_{split}") for split in SPLITS},
    )
