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

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from radspark.labels import LabelSet

SPLITS = ("train", "validation", "test")
PROBLEM = "problem"
"""Column beside those of the schema, until a table was checked: what is wrong with a row."""

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
class SplitLists:
    """Lists that name the images of splits."""

    frame: DataFrame
    """`image_id, split`, as they stand there."""
    files: Mapping[str, str]
    """What stands in `split` to the name of its list."""
    remedy: str
    """What the user can do about a faulty one, for messages."""


@dataclass(frozen=True)
class LabelTable:
    """What a reader found in a data folder."""

    frame: DataFrame
    """The columns of the schema; those of them that the tables do not have may be left out. `split` holds the official
    parts, if they were asked for. And, from a reader, `problem`: a sentence on what is wrong with a row, or null."""
    labels: LabelSet
    images: ImageFiles
    file: str
    """What messages call the table."""
    official_splits: tuple[str, ...] = ()
    """Splits that the publisher made; without `validation`, validation is cut out of `train`."""
    lists: SplitLists | None = None
    """Of the official parts, where they were published beside the table and asked for; or what the user gave."""
    may_leak: bool = False
    """Whether a patient can stand in two splits by the policy that was chosen."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Of the patients of each split, as `Census` has them, once the table is checked."""


def to_label_table(frame: DataFrame) -> DataFrame:
    """The columns of the schema, in its order and types, null where missing, and `problem`; others are left behind."""
    missing = F.lit(None)
    return frame.select(
        *(
            (F.col(field.name) if field.name in frame.columns else missing).cast(field.dataType).alias(field.name)
            for field in (*LABEL_TABLE, StructField(PROBLEM, StringType()))
        )
    )
