"""The one schema of all label tables and the rules it keeps; where the columns come from is each reader's business.

| column | content |
| --- | --- |
| `image_id` | one row per radiograph; the end of its file's path, without extension: mostly the file name alone |
| `study_id` | the examination that the radiograph belongs to; null where the table does not say |
| `patient_id` | never null: splits are made of whole patients |
| `age` | years; null where unknown or impossible |
| `sex` | `M`, `F` or null |
| `view` | `PA`, `AP`, `LATERAL` and so on, in capitals; null where unknown |
| `site` | hospital or other source; null where the table does not say |
| `date` | day of the examination, as the table gives it (often shifted, to protect patients); null where unknown |
| `labels` | one float per finding, in the order of the data set's `LabelSet`: 1, 0 or null where unknown; training \
samples can have values between (see `chexpert_labeler`) |
| `split` | `train`, `validation`, `test` or null |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DateType, FloatType, StringType, StructField, StructType

from radspark.errors import LabelTableError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from radspark.labels import LabelSet

SPLITS = ("train", "validation", "test")

LABEL_TABLE = StructType(
    [
        StructField("image_id", StringType()),
        StructField("study_id", StringType()),
        StructField("patient_id", StringType()),
        StructField("age", FloatType()),
        StructField("sex", StringType()),
        StructField("view", StringType()),
        StructField("site", StringType()),
        StructField("date", DateType()),
        StructField("labels", ArrayType(FloatType())),
        StructField("split", StringType()),
    ]
)


@dataclass(frozen=True)
class NoRules:
    """Rules of a data set that leaves nothing to choose about its labels."""


@dataclass(frozen=True)
class ImageFiles:
    """Where a data set keeps its radiographs, and how a path names one."""

    folders: tuple[str, ...]
    """Folders of the data folder, as globs, in which images lie at any depth."""
    id_parts: int = 1
    """Last parts of a path that make its `image_id`: more than one where file names alone repeat."""


@dataclass(frozen=True)
class LabelTable:
    """What a reader found in a data folder."""

    frame: DataFrame
    """The columns of the schema; those of them that the tables do not have may be left out. `split` holds the official
    parts, if they were asked for."""
    labels: LabelSet
    images: ImageFiles
    official_splits: tuple[str, ...] = ()
    """Splits that the publisher made; without `validation`, validation is cut out of `train`."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Of the patients of each split, as `leaks.find_places` gives them, once splits are assigned."""


def to_label_table(frame: DataFrame) -> DataFrame:
    """The columns of the schema, in its order and types, null where missing; other columns are left behind."""
    missing = F.lit(None)
    return frame.select(
        *(
            (F.col(field.name) if field.name in frame.columns else missing).cast(field.dataType).alias(field.name)
            for field in LABEL_TABLE
        )
    )


def check_rows(frame: DataFrame, *, file: str) -> None:
    """Check that a label table has rows, and that each names its patient and one radiograph of its own.

    Raises:
        LabelTableError: names the file, how many rows break the rule, and up to three of them.
    """
    row = frame.agg(
        F.count("*").alias("rows"),
        F.count_distinct("image_id").alias("images"),
        F.count_if(F.col("image_id").isNull()).alias("without_image"),
        F.count_if(F.col("patient_id").isNull()).alias("without_patient"),
    ).first()
    assert row is not None, "an aggregate always has a row"
    if not row["rows"]:
        raise LabelTableError(f"{file} has a header but no rows; copy or download it again.")
    for count, what in ((row["without_image"], "an image"), (row["without_patient"], "a patient")):
        if count:
            raise LabelTableError(
                f"{file} does not name {what} in {count} of its {row['rows']} rows; remove or mend them."
            )
    if row["images"] < row["rows"]:
        repeated = frame.groupBy("image_id").count().where("count > 1").orderBy("image_id").limit(3).collect()
        raise LabelTableError(
            f"{file} has {row['rows'] - row['images']} rows for images that it has named before "
            f"(for example {', '.join(item['image_id'] for item in repeated)}); keep one row per image."
        )
