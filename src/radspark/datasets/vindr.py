"""Reads the tables of VinDr-CXR as published: radiologists' boxes and image labels become one label per radiograph.

VinDr-CXR (Nguyen et al. 2022, Scientific Data 9:429; PhysioNet 1.0.0): 18,000 PA radiographs as DICOM, 22 findings with
boxes and 6 diagnoses. 15,000 train, each read by three radiologists; 3,000 test, by consensus of five. The tables name
no patients: a radiograph stands for one. Terms: PhysioNet Credentialed Health Data License 1.5.0.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from radspark.datasets.columns import stem
from radspark.datasets.findings import finding_name
from radspark.datasets.schema import ImageFiles, LabelTable
from radspark.datasets.tables import Folder, find_table, list_tables, read_csv, require_columns
from radspark.errors import LabelTableError
from radspark.labels import LabelSet
from radspark.settings import require

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyspark.sql import Column, DataFrame, SparkSession

TITLE = "VinDr-CXR"
FOLDER = "annotations"
LABEL_TABLES = {"train": "image_labels_train.csv", "test": "image_labels_test.csv"}
BOX_TABLES = {"train": "annotations_train.csv", "test": "annotations_test.csv"}
IMAGES = ImageFiles(folders=("train", "test"))
NO_FINDING = "No finding"
CLASSES = (
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Clavicle fracture",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Enlarged PA",
    "ILD",
    "Infiltration",
    "Lung Opacity",
    "Lung cavity",
    "Lung cyst",
    "Mediastinal shift",
    "Nodule/Mass",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
    "Rib fracture",
    "Other lesion",
    "COPD",
    "Lung tumor",
    "Pneumonia",
    "Tuberculosis",
    "Other disease",
)
"""The tables' classes beside `No finding`, 22 with boxes first; some copies say `Other diseases`."""
VINDR_FINDINGS = LabelSet(tuple(finding_name(name) for name in CLASSES))
_DIAGNOSES = tuple(finding_name(name) for name in ("COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other disease"))
"""Findings without boxes."""
_CONSENSUS = "consensus"
"""Stands for the reader in the test tables, which name none."""


@dataclasses.dataclass(frozen=True)
class VinDrRules:
    """How many radiologists make a label."""

    votes: int = 2
    """Of the three who read a training radiograph; with fewer a finding is absent. Test labels are consensus."""

    def __post_init__(self) -> None:
        require(1 <= self.votes <= 3, f"votes must be between 1 and 3, got {self.votes}.")


def read_vindr(spark: SparkSession, data_dir: Folder, *, official: bool, rules: VinDrRules) -> LabelTable:
    """A finding is present where enough readers marked it, in the table of image labels or by a box.

    Tables lie in `annotations/` or directly in the folder. Of the two kinds one is enough; without image labels the
    diagnoses, which have no boxes, are unknown.

    Raises:
        LabelTableError: no table, another data set's, a missing column, or an unknown class.
    """
    folder, found = _find_tables(spark, data_dir)
    marks = []
    for split in LABEL_TABLES:
        labels, boxes = _read_labels(spark, folder, found, split), _read_boxes(spark, folder, found, split)
        marks += [mark.withColumn("split", F.lit(split)) for mark in (labels, boxes) if mark is not None]
    every_mark = functools.reduce(lambda left, right: left.unionByName(right), marks)
    readers = every_mark.groupBy("split", "image_id", "reader").agg(
        F.flatten(F.collect_list("findings")).alias("findings"), F.max("diagnosed").alias("diagnosed")
    )
    needed = F.when(F.col("reader") == _CONSENSUS, 1).otherwise(rules.votes)
    votes = (F.count_if(F.array_contains("findings", name)) >= F.max(needed) for name in VINDR_FINDINGS)
    table = readers.groupBy("split", "image_id").agg(
        F.array(*(vote.cast("float") for vote in votes)).alias("votes"), F.max("diagnosed").alias("diagnosed")
    )
    known = (F.lit(True) if name not in _DIAGNOSES else F.col("diagnosed") for name in VINDR_FINDINGS)
    frame = table.select(
        "image_id",
        F.col("image_id").alias("patient_id"),
        F.lit("PA").alias("view"),
        F.array(*(F.when(is_known, F.get("votes", F.lit(i))) for i, is_known in enumerate(known))).alias("labels"),
        (F.col("split") if official else F.lit(None)).alias("split"),
    )
    return LabelTable(frame, VINDR_FINDINGS, IMAGES, f"the tables in {folder}", official_splits=tuple(LABEL_TABLES))


def read_vindr_boxes(spark: SparkSession, data_dir: Folder) -> DataFrame:
    """The boxes that radiologists drew: `image_id, reader, finding, x, y, width, height`.

    `x` and `y` are the upper left corner, in pixels of the DICOM. `reader` is a radiologist, or `consensus` in the test
    part.

    Raises:
        LabelTableError: no table of boxes, or a missing column.
    """
    folder, found = _find_tables(spark, data_dir)
    tables = [_read_box_rows(spark, folder, name) for name in BOX_TABLES.values() if _file(found, name)]
    if not tables:
        find_table(spark, folder, tuple(BOX_TABLES.values()), title=f"the boxes of {TITLE}", found=found)
    rows = functools.reduce(lambda left, right: left.unionByName(right), tables).where(F.col("x_min").isNotNull())
    left, top, right, bottom = (F.col(name).try_cast("float") for name in ("x_min", "y_min", "x_max", "y_max"))
    return rows.select(
        "image_id",
        "reader",
        "finding",
        left.alias("x"),
        top.alias("y"),
        (right - left).alias("width"),
        (bottom - top).alias("height"),
    )


def _find_tables(spark: SparkSession, data_dir: Folder) -> tuple[str, tuple[str, ...]]:
    """The folder that the tables lie in, and the names of all tables there."""
    names = (*LABEL_TABLES.values(), *BOX_TABLES.values())
    for folder in (f"{os.fspath(data_dir).rstrip('/')}/{FOLDER}", os.fspath(data_dir)):
        found = list_tables(spark, folder)
        if any(_file(found, name) for name in names):
            return folder, found
    find_table(spark, data_dir, names, title=TITLE, found=list_tables(spark, data_dir))
    raise AssertionError("find_table raises where no table is")


def _file(found: Collection[str], name: str) -> str | None:
    """The table's name as it is there, plain or with .gz; None if it is not."""
    return next((file for file in (name, f"{name}.gz") if file in found), None)


def _reader(table: DataFrame) -> Column:
    return F.trim("rad_id") if "rad_id" in table.columns else F.lit(_CONSENSUS)


def _read_labels(spark: SparkSession, folder: str, found: Collection[str], split: str) -> DataFrame | None:
    """`image_id, reader, findings, diagnosed` of a table of image labels."""
    file = _file(found, LABEL_TABLES[split])
    if file is None:
        return None
    table = read_csv(spark, folder, file)
    ours = {finding_name(column): column for column in table.columns}
    required = (*(ours.get(name, theirs) for name, theirs in zip(VINDR_FINDINGS, CLASSES, strict=True)), NO_FINDING)
    require_columns(table, ("image_id", *required), file=file, title=TITLE)
    marked = (F.when(F.col(ours[name]).try_cast("double") == 1, name) for name in VINDR_FINDINGS)
    return table.select(
        stem(F.col("image_id")).alias("image_id"),
        _reader(table).alias("reader"),
        F.array_compact(F.array(*marked)).alias("findings"),
        F.lit(True).alias("diagnosed"),
    )


def _read_boxes(spark: SparkSession, folder: str, found: Collection[str], split: str) -> DataFrame | None:
    """`image_id, reader, findings, diagnosed` of a table of boxes."""
    file = _file(found, BOX_TABLES[split])
    if file is None:
        return None
    rows = _read_box_rows(spark, folder, file)
    known = [*VINDR_FINDINGS, finding_name(NO_FINDING)]
    strange = rows.where(~F.col("finding").isin(*known)).agg(F.min("class_name")).first()
    if strange is not None and strange[0] is not None:
        raise LabelTableError(
            f"{file} has the class {strange[0]!r}; {TITLE} has {', '.join(CLASSES)} and {NO_FINDING!r}. "
            "Correct the name, or download the table again."
        )
    return rows.groupBy("image_id", "reader").agg(
        F.collect_set("finding").alias("findings"), F.lit(False).alias("diagnosed")
    )


def _read_box_rows(spark: SparkSession, folder: str, file: str) -> DataFrame:
    table = read_csv(spark, folder, file)
    require_columns(table, ("image_id", "class_name", "x_min", "y_min", "x_max", "y_max"), file=file, title=TITLE)
    names = {name: finding_name(name) for name in (*CLASSES, "Other diseases", NO_FINDING)}
    ours = F.create_map(*(F.lit(word) for pair in names.items() for word in pair))
    finding = F.coalesce(ours[F.trim("class_name")], F.trim("class_name"))
    return table.select(
        stem(F.col("image_id")).alias("image_id"),
        _reader(table).alias("reader"),
        "class_name",
        finding.alias("finding"),
        *("x_min", "y_min", "x_max", "y_max"),
    )
