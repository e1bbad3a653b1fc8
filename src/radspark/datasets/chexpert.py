"""Reads the tables of CheXpert as published: `train.csv`, `valid.csv` and, where it is, `test_labels.csv`.

CheXpert (Stanford; Irvin et al. 2019, arXiv:1901.07031): 224,316 radiographs of 65,240 patients. `train.csv` has
223,414 rows of 64,540 patients, labeled from reports by a program; `valid.csv` 234 of 200 patients and
`test_labels.csv` 668 of 500, labeled by radiologists. Labels are of studies: the views of a study share them. Terms:
Stanford University School of Medicine CheXpert research use agreement, for research only, not to be passed on.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from radspark.datasets.chexpert_labeler import (
    CHEXPERT_FINDINGS,
    NO_FINDING,
    OBSERVATIONS,
    LabelerRules,
    labeler_labels,
)
from radspark.datasets.columns import blank_to_null, sex, stem, view, years
from radspark.datasets.schema import ImageFiles, LabelTable
from radspark.datasets.tables import Folder, find_table, list_tables, read_csv, require_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TITLE = "CheXpert"
TABLES = {"train.csv": "train", "valid.csv": "validation", "test_labels.csv": "test"}
"""Tables, the first of which must be there, and their official splits."""
IMAGES = ImageFiles(folders=("train", "valid", "test"), id_parts=3)
"""`train/patient00001/study1/view1_frontal.jpg`: file names alone repeat."""
_PROFILE = ("Sex", "Age", "Frontal/Lateral", "AP/PA")
"""Columns that the test table lacks."""


def read_chexpert(spark: SparkSession, data_dir: Folder, *, official: bool, rules: LabelerRules) -> LabelTable:
    """Labels and profiles of CheXpert; the view of a lateral is `LATERAL`, of a frontal the column `AP/PA`.

    Raises:
        LabelTableError: no table, another data set's, or a missing column.
    """
    found = list_tables(spark, data_dir)
    first = find_table(spark, data_dir, ("train.csv",), title=TITLE, found=found)
    present = {name: split for name, split in TABLES.items() if name in found or f"{name}.gz" in found}
    names = {first: "train", **{n if n in found else f"{n}.gz": s for n, s in present.items() if s != "train"}}
    parts = [_read_part(spark, data_dir, name, split if official else None) for name, split in names.items()]
    table = functools.reduce(lambda left, right: left.unionByName(right), parts)
    frame = table.withColumn("labels", labeler_labels(rules, image_id=F.col("image_id")))
    splits = tuple(names.values())
    return LabelTable(frame, CHEXPERT_FINDINGS, IMAGES, " and ".join(names), official_splits=splits)


def _read_part(spark: SparkSession, data_dir: Folder, name: str, split: str | None) -> DataFrame:
    table = read_csv(spark, data_dir, name)
    is_test = name.startswith("test")
    required = ("Path", NO_FINDING, *OBSERVATIONS, *(() if is_test else _PROFILE))
    require_columns(table, required, file=name, title=TITLE)
    for missing in set(_PROFILE) - set(table.columns):
        table = table.withColumn(missing, F.lit(None).cast("string"))
    image_id = stem(F.col("Path"), num_parts=IMAGES.id_parts)
    side = F.coalesce(F.col("Frontal/Lateral"), F.regexp_extract(image_id, "_(frontal|lateral)$", 1))
    projection = F.when(F.lower(side) == "lateral", "LATERAL").otherwise(F.coalesce(F.col("AP/PA"), F.lit("FRONTAL")))
    return table.select(
        image_id.alias("image_id"),
        blank_to_null(F.substring_index(image_id, "/", 2)).alias("study_id"),
        blank_to_null(F.regexp_extract(image_id, r"^(patient\d+)/study\d+/", 1)).alias("patient_id"),
        years(F.col("Age")).alias("age"),
        sex(F.col("Sex")).alias("sex"),
        view(projection).alias("view"),
        F.lit(split).cast("string").alias("split"),
        *(F.col(column) for column in (NO_FINDING, *OBSERVATIONS)),
    )
