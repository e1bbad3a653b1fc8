"""Reads the tables of NIH ChestX-ray14 as published: labels, official lists and boxes. Images are found elsewhere.

112,120 frontal radiographs of 30,805 patients, 14 findings mined from reports (Wang et al. 2017). Both releases of the
label table are read: the first, of 2017, writes ages as `058Y`; the one of 2020 as `58`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from radspark.datasets.columns import blank_to_null, sex, stem, years
from radspark.datasets.schema import ImageFiles, LabelTable, NoRules, check_rows
from radspark.datasets.tables import Folder, find_table, list_tables, read_csv, read_list, require_columns
from radspark.errors import LabelTableError, SplitError
from radspark.labels import NIH_FINDINGS

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyspark.sql import Column, DataFrame, SparkSession


logger = logging.getLogger(__name__)

TITLE = "NIH ChestX-ray14"
LABEL_TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
"""Names of the label table, the best first."""
BOX_TABLE = "BBox_List_2017.csv"
OFFICIAL_LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}
IMAGES = ImageFiles(folders=("images", "images_*", "dicom"))
BOX_FRAME_PIXELS = 1024
"""Side of the frame that boxes are given in: the released PNGs'."""

_NO_FINDING = "No Finding"
_BOX_FINDINGS = {"Infiltrate": "Infiltration"}
"""What the boxes' table calls by another name."""


def read_nih(spark: SparkSession, data_dir: Folder, *, official: bool, rules: NoRules) -> LabelTable:  # noqa: ARG001
    """Labels and profiles of ChestX-ray14.

    `study_id` is null, as the table does not say it; a row without a finding text has unknown labels; images in neither
    official list have no split.

    Raises:
        LabelTableError: no table, another data set's, a missing column, rows without image or patient, repeated
            images, or an unknown finding.
        SplitError: an official list is missing or names no image of the table, or the two lists share images.
    """
    files = list_tables(spark, data_dir)
    name = find_table(spark, data_dir, LABEL_TABLES, title=TITLE, found=files)
    table = _read_rows(spark, data_dir, name)
    check_rows(table, file=name)
    _check_findings(table, NIH_FINDINGS.names, file=name)
    if official:
        table = _with_official_split(spark, table, data_dir, found=files, table_name=name)
    frame = table.withColumn("labels", _labels(F.col("findings")))
    return LabelTable(frame, NIH_FINDINGS, IMAGES, official_splits=tuple(OFFICIAL_LISTS))


def read_nih_boxes(spark: SparkSession, data_dir: Folder) -> DataFrame:
    """The 984 boxes that radiologists drew: `image_id, finding, x, y, width, height`.

    `x` and `y` are the upper left corner, in pixels of a frame of `BOX_FRAME_PIXELS` squared.

    Raises:
        LabelTableError: no table of boxes, a missing column, or an unknown finding.
    """
    title = f"the boxes of {TITLE}"
    name = find_table(spark, data_dir, (BOX_TABLE,), title=title, found=list_tables(spark, data_dir))
    table = read_csv(spark, data_dir, name)
    require_columns(table, ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]"), file=name, title=title)
    numbers = {"x": "Bbox [x", "y": "y", "width": "w", "height": "h]"}
    finding = F.col("Finding Label")
    for theirs, ours in _BOX_FINDINGS.items():
        finding = F.when(F.trim(finding) == theirs, ours).otherwise(F.trim(finding))
    boxes = table.select(
        stem(F.col("Image Index")).alias("image_id"),
        finding.alias("finding"),
        *(F.col(theirs).try_cast("float").alias(ours) for ours, theirs in numbers.items()),
    )
    _check_findings(boxes.withColumn("findings", F.array("finding")), NIH_FINDINGS.names, file=name)
    return boxes


def _read_rows(spark: SparkSession, data_dir: Folder, name: str) -> DataFrame:
    """The label table's columns by our names, with `findings` as an array, null where the cell is blank."""
    table = read_csv(spark, data_dir, name)
    # The releases say Gender; some copies of the second one say Sex.
    gender = "Patient Sex" if "Patient Sex" in table.columns else "Patient Gender"
    columns = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", gender, "View Position")
    require_columns(table, columns, file=name, title=TITLE)
    return table.select(
        stem(F.col("Image Index")).alias("image_id"),
        F.lit(None).alias("study_id"),
        blank_to_null(F.col("Patient ID")).alias("patient_id"),
        years(F.col("Patient Age")).alias("age"),
        sex(F.col(gender)).alias("sex"),
        F.upper(blank_to_null(F.col("View Position"))).alias("view"),
        F.split(blank_to_null(F.col("Finding Labels")), r"\s*\|\s*").alias("findings"),
        F.lit(None).cast("string").alias("split"),
    )


def _labels(findings: Column) -> Column:
    return F.array(*(F.array_contains(findings, name).cast("float") for name in NIH_FINDINGS))


def _check_findings(table: DataFrame, known: Collection[str], *, file: str) -> None:
    findings = table.select(F.explode("findings").alias("finding"))
    strange = findings.where(~F.col("finding").isin(_NO_FINDING, *known)).agg(F.min("finding")).first()
    if strange is not None and strange[0] is not None:
        raise LabelTableError(
            f"{file} has the finding {strange[0]!r}; {TITLE} has {', '.join(known)} and {_NO_FINDING!r}. "
            "Correct the name, or download the table again."
        )


def _with_official_split(
    spark: SparkSession, table: DataFrame, data_dir: Folder, *, found: Collection[str], table_name: str
) -> DataFrame:
    """`split` as the two official lists have it: `train` for all of train_val, `test`, or null."""
    for name in OFFICIAL_LISTS.values():
        if name not in found:
            raise SplitError(
                f"{data_dir} lacks {name}, so the official split of {TITLE} is unknown; "
                "download it, or use split_policy='patient'."
            )
    train, test = (
        read_list(spark, data_dir, name).select(stem(F.col("line")).alias("image_id"), F.lit(split).alias("split"))
        for split, name in OFFICIAL_LISTS.items()
    )
    listed = train.union(test).groupBy("image_id").agg(F.min("split").alias("split"), F.max("split").alias("other"))
    _check_lists(listed, table, table_name=table_name)
    return table.drop("split").join(listed.drop("other"), "image_id", "left")


def _check_lists(listed: DataFrame, table: DataFrame, *, table_name: str) -> None:
    labeled = table.select("image_id", F.lit(True).alias("labeled"))
    found = {
        row["split"]: row
        for row in listed.join(labeled, "image_id", "left")
        .groupBy("split")
        .agg(
            F.count("*").alias("listed"),
            F.count("labeled").alias("labeled"),
            F.count_if(F.col("split") != F.col("other")).alias("shared"),
            F.min("image_id").alias("example"),
        )
        .collect()
    }
    for split, name in OFFICIAL_LISTS.items():
        row = found.get(split)
        if row is None:
            raise SplitError(f"{name} is empty; download it again, or use split_policy='patient'.")
        if row["shared"]:
            raise SplitError(
                f"{' and '.join(OFFICIAL_LISTS.values())} share {row['shared']} images; "
                "download them again, or use split_policy='patient'."
            )
        if not row["labeled"]:
            raise SplitError(
                f"{name} names no image of {table_name} (its first is {row['example']}); "
                "put the list that belongs to the table beside it, or use split_policy='patient'."
            )
        if row["labeled"] < row["listed"]:
            logger.warning(
                "%s names %d images that have no row in %s", name, row["listed"] - row["labeled"], table_name
            )
