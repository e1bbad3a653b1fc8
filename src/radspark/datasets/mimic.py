"""Reads the tables of MIMIC-CXR-JPG as published: labels of either labeler, metadata and the official split.

MIMIC-CXR-JPG (Johnson et al. 2019, arXiv:1901.07042; PhysioNet, versions 2.0.0 and 2.1.0, whose tables are both named
`mimic-cxr-2.0.0-*`): 377,110 radiographs, 227,835 studies, 65,379 patients, labeled by study from 227,827 reports by
the CheXpert labeler and by NegBio. Official split: 368,960 train, 2,991 validate, 5,159 test images. Dates are shifted
by patient. Sex and age stand in MIMIC-IV, not here. Terms: PhysioNet Credentialed Health Data License 1.5.0.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from pyspark.sql import functions as F

from radspark.datasets.chexpert_labeler import (
    CHEXPERT_FINDINGS,
    NO_FINDING,
    OBSERVATIONS,
    LabelerRules,
    labeler_labels,
)
from radspark.datasets.columns import blank_to_null, date_of, view
from radspark.datasets.schema import ImageFiles, LabelTable
from radspark.datasets.tables import Folder, find_table, list_tables, read_csv, require_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TITLE = "MIMIC-CXR-JPG"
METADATA = "mimic-cxr-2.0.0-metadata.csv"
SPLIT = "mimic-cxr-2.0.0-split.csv"
LABELS = {"chexpert": "mimic-cxr-2.0.0-chexpert.csv", "negbio": "mimic-cxr-2.0.0-negbio.csv"}
IMAGES = ImageFiles(folders=("files",))
"""`files/p10/p10000032/s50414267/<dicom_id>.jpg`: a `dicom_id` is unique."""
_OFFICIAL = {"train": "train", "validate": "validation", "test": "test"}


@dataclasses.dataclass(frozen=True)
class MimicRules(LabelerRules):
    """Which labeler is believed, and what becomes of labels that it was not sure of."""

    labeler: Literal["chexpert", "negbio"] = "chexpert"


def read_mimic(spark: SparkSession, data_dir: Folder, *, official: bool, rules: MimicRules) -> LabelTable:
    """One row per radiograph of the metadata; those of a study without labels have unknown ones.

    Raises:
        LabelTableError: a table is missing, another data set's, or lacks a column.
    """
    found = list_tables(spark, data_dir)

    def read(name: str, columns: tuple[str, ...]) -> DataFrame:
        file = find_table(spark, data_dir, (name,), title=TITLE, found=found)
        table = read_csv(spark, data_dir, file)
        require_columns(table, columns, file=file, title=TITLE)
        return table.select(*columns)

    columns = ("dicom_id", "subject_id", "study_id", "ViewPosition", "StudyDate")
    images = read(METADATA, columns).withColumns(
        {"image_id": blank_to_null(F.col("dicom_id")), "patient_id": blank_to_null(F.col("subject_id"))}
    )
    table = images.join(read(LABELS[rules.labeler], ("study_id", NO_FINDING, *OBSERVATIONS)), "study_id", "left")
    if official:
        names = F.create_map(*(F.lit(word) for pair in _OFFICIAL.items() for word in pair))
        lists = read(SPLIT, ("dicom_id", "split")).withColumn("split", names[F.trim("split")])
        table = table.join(lists, "dicom_id", "left")
    frame = table.withColumns(
        {
            "view": view(F.col("ViewPosition")),
            "date": date_of(F.col("StudyDate")),
            "labels": labeler_labels(rules, image_id=F.col("image_id")),
        }
    )
    return LabelTable(
        frame, CHEXPERT_FINDINGS, IMAGES, f"{METADATA} with its labels", official_splits=tuple(_OFFICIAL.values())
    )
