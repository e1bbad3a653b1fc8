"""The one schema of all label tables and the rules it keeps; where the columns come from is each reader's business.

| column | content |
| --- | --- |
| `image_id` | one row per radiograph; the stem (file name without folder and extension) of its file |
| `study_id` | the examination that the radiograph belongs to; null where the table does not say |
| `patient_id` | never null: splits are made of whole patients |
| `age` | years; null where unknown or impossible |
| `sex` | `M`, `F` or null |
| `view` | `PA`, `AP` and so on, as the table names it, in capitals; null where unknown |
| `labels` | one float per finding, in the order of the data set's `LabelSet`; null where unknown |
| `split` | `train`, `validation`, `test` or null |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, FloatType, StringType, StructField, StructType

from radspark.errors import LabelTableError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SPLITS = ("train", "validation", "test")

LABEL_TABLE = StructType(
    [
        StructField("image_id", StringType()),
        StructField("study_id", StringType()),
        StructField("patient_id", StringType()),
        StructField("age", FloatType()),
        StructField("sex", StringType()),
        StructField("view", StringType()),
        StructField("labels", ArrayType(FloatType())),
        StructField("split", StringType()),
    ]
)


def to_label_table(frame: DataFrame) -> DataFrame:
    """The columns of the schema, in its order and types; other columns are left behind."""
    return frame.select(*(F.col(field.name).cast(field.dataType).alias(field.name) for field in LABEL_TABLE))


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
