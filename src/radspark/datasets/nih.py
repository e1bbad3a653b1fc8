"""Reads the tables of NIH ChestX-ray14 as published: labels, official lists and boxes. Images are found elsewhere.

ChestX-ray14 (NIH Clinical Center; Wang et al. 2017, CVPR; https://nihcc.app.box.com/v/ChestXray-NIHCC): 112,120 frontal
radiographs of 30,805 patients, 14 findings mined from reports by a program. Official lists: 86,524 train and validation
images, 25,596 test, of other patients. Both releases of the label table are read: the first, of 2017, writes ages as
`058Y`; the one of 2020 as `58`. Terms: no restrictions; name the NIH Clinical Center and cite the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from radspark.datasets.columns import blank_to_null, sex, stem, years
from radspark.datasets.schema import PROBLEM, ImageFiles, LabelTable, NoRules, SplitLists
from radspark.datasets.tables import Folder, find_table, list_tables, read_csv, read_list, require_columns
from radspark.errors import LabelTableError, SplitError
from radspark.labels import NIH_FINDINGS

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyspark.sql import Column, DataFrame, SparkSession


TITLE = "NIH ChestX-ray14"
LABEL_TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
"""Names of the label table, the best first."""
BOX_TABLE = "BBox_List_2017.csv"
OFFICIAL_LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}
_LISTS_REMEDY = "put the list that belongs to the table beside it, or use split_policy='patient'"
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
        LabelTableError: no table, another data set's, or a missing column.
        SplitError: an official list is missing.
    """
    files = list_tables(spark, data_dir)
    name = find_table(spark, data_dir, LABEL_TABLES, title=TITLE, found=files)
    table = _read_rows(spark, data_dir, name)
    lists = _read_lists(spark, data_dir, found=files) if official else None
    if lists is not None:
        placed = lists.groupBy("image_id").agg(F.min("split").alias("split"))
        table = table.drop("split").join(placed, "image_id", "left")
    findings = F.col("findings")
    frame = table.withColumns({"labels": _labels(findings), PROBLEM: _name_strange(findings, file=name)})
    return LabelTable(
        frame,
        NIH_FINDINGS,
        IMAGES,
        name,
        official_splits=tuple(OFFICIAL_LISTS),
        lists=None if lists is None else SplitLists(lists, OFFICIAL_LISTS, remedy=_LISTS_REMEDY),
    )


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
    row = boxes.agg(F.min(_name_strange(F.array("finding"), file=name))).first()
    if row is not None and row[0] is not None:
        raise LabelTableError(row[0])
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


def _name_strange(findings: Column, *, file: str) -> Column:
    """A finding that the data set does not have, as a sentence; null where there is none."""
    known = (_NO_FINDING, *NIH_FINDINGS)
    strange = F.get(F.array_except(findings, F.array(*map(F.lit, known))), F.lit(0))
    remedy = (
        f"{TITLE} has {', '.join(NIH_FINDINGS)} and {_NO_FINDING!r}. Correct the name, or download the table again."
    )
    return F.concat(F.lit(f"{file} has the finding '"), strange, F.lit(f"'; {remedy}"))


def _read_lists(spark: SparkSession, data_dir: Folder, *, found: Collection[str]) -> DataFrame:
    """`image_id, split` as the two official lists have them: `train` for all of train_val, or `test`."""
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
    return train.union(test)
