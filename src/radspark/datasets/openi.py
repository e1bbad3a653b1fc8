"""Reads Open-i's Indiana University collection: NLM's XML reports, or the two tables that are passed on at Kaggle.

Open-i chest X-rays (Demner-Fushman et al. 2016, JAMIA 23(2):304-310; https://openi.nlm.nih.gov): 7,470 radiographs of
3,955 reports, which people indexed with MeSH terms. NLM gives `ecgen-radiology/*.xml` (without projections); the
tables `indiana_reports.csv` and `indiana_projections.csv` say frontal or lateral. The reports name no patients: a
report stands for one. There is no official split. Terms: Creative Commons BY-NC-ND 4.0.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from radspark.datasets.columns import blank_to_null, stem, view
from radspark.datasets.schema import ImageFiles, LabelTable, NoRules
from radspark.datasets.tables import (
    Folder,
    find_table,
    in_folder,
    list_files,
    list_tables,
    read_csv,
    require_columns,
)
from radspark.labels import LabelSet

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


TITLE = "Open-i"
REPORTS = "indiana_reports.csv"
PROJECTIONS = "indiana_projections.csv"
XML_FOLDER = "ecgen-radiology"
IMAGES = ImageFiles(folders=("images", "NLMCXR_png", "NLMCXR_dcm"))
XML_SCHEMA = "uId struct<_id:string>, MeSH struct<major:array<string>>, parentImage array<struct<_id:string>>"

TERMS: Mapping[str, tuple[str, ...]] = {
    "Atelectasis": ("Pulmonary Atelectasis",),
    "Cardiomegaly": ("Cardiomegaly",),
    "Effusion": ("Pleural Effusion", "Hydropneumothorax"),
    "Infiltration": ("Infiltrate",),
    "Mass": ("Mass",),
    "Nodule": ("Nodule",),
    "Pneumonia": ("Pneumonia",),
    "Pneumothorax": ("Pneumothorax", "Hydropneumothorax"),
    "Consolidation": ("Consolidation",),
    "Edema": ("Pulmonary Edema",),
    "Emphysema": ("Emphysema", "Pulmonary Emphysema", "Bullous Emphysema"),
    "Fibrosis": ("Pulmonary Fibrosis",),
    "Pleural_Thickening": ("Thickening/pleura",),
    "Hernia": ("Hernia, Hiatal",),
    "Lung_Opacity": ("Opacity/lung", "Airspace Disease"),
    "Fracture": ("Fractures, Bone",),
    "Granuloma": ("Granuloma", "Calcified Granuloma", "Granulomatous Disease"),
    "Scoliosis": ("Scoliosis",),
}
"""Our findings to terms: a heading, or a heading and a word that must be among its qualifiers."""
OPENI_FINDINGS = LabelSet(tuple(TERMS))
NOT_INDEXED = "No Indexing"


def read_openi(spark: SparkSession, data_dir: Folder, *, official: bool, rules: NoRules) -> LabelTable:  # noqa: ARG001
    """A finding is present where a term names it, absent where other terms (or `normal`) stand, unknown without terms.

    Raises:
        LabelTableError: neither tables nor reports, another data set's, or a missing column.
    """
    found = list_tables(spark, data_dir)
    reports = list_files(spark, in_folder(data_dir, f"{XML_FOLDER}/*.xml"))
    if reports and not any(name.startswith(PROJECTIONS) for name in found):
        frame, file = _read_xml(spark, data_dir), XML_FOLDER
    else:
        frame, file = _read_tables(spark, data_dir, found=found)
    frame = frame.withColumn("patient_id", F.col("study_id"))
    terms = F.transform(F.split("terms", ";"), lambda term: F.lower(F.trim(term)))
    return LabelTable(frame.withColumn("labels", _labels(terms)), OPENI_FINDINGS, IMAGES, file)


def _read_tables(spark: SparkSession, data_dir: Folder, *, found: tuple[str, ...]) -> tuple[DataFrame, str]:
    """`image_id, study_id, view, terms` of Kaggle's tables, and the name of the one with a row per image."""
    file = find_table(spark, data_dir, (PROJECTIONS,), title=TITLE, found=found)
    projections = read_csv(spark, data_dir, file)
    require_columns(projections, ("uid", "filename", "projection"), file=file, title=TITLE)
    reports_file = find_table(spark, data_dir, (REPORTS,), title=TITLE, found=found)
    reports = read_csv(spark, data_dir, reports_file, multi_line=True)
    require_columns(reports, ("uid", "MeSH"), file=reports_file, title=TITLE)
    rows = projections.join(reports.select("uid", "MeSH"), "uid", "left").select(
        stem(F.col("filename")).alias("image_id"),
        blank_to_null(F.col("uid")).alias("study_id"),
        view(F.col("projection")).alias("view"),
        F.col("MeSH").alias("terms"),
    )
    return rows, file


def _read_xml(spark: SparkSession, data_dir: Folder) -> DataFrame:
    """`image_id, study_id, view, terms` of NLM's reports, one row per image."""
    reader = spark.read.format("xml").option("rowTag", "eCitation").schema(XML_SCHEMA)
    reports = reader.load(in_folder(os.fspath(data_dir), f"{XML_FOLDER}/*.xml"))
    return reports.select(
        blank_to_null(F.col("uId._id")).alias("study_id"),
        F.array_join("MeSH.major", ";").alias("terms"),
        F.explode("parentImage._id").alias("image_id"),
        F.lit(None).cast("string").alias("view"),
    )


def _labels(terms: Column) -> Column:
    """Labels in the order of `OPENI_FINDINGS`; unknown without a term, or where nobody indexed the report."""
    unknown = F.array_contains(terms, NOT_INDEXED.lower()) | (F.array_max(F.transform(terms, F.length)) == 0)
    known = terms.isNotNull() & ~unknown
    return F.array(*(F.when(known, _has_any(terms, names).cast("float")) for names in TERMS.values()))


def _has_any(terms: Column, names: tuple[str, ...]) -> Column:
    def is_named(term: Column) -> Column:
        parts = F.split(term, "/")
        hits = F.lit(False)
        for name in names:
            heading, *qualifiers = name.lower().split("/")
            hit = F.get(parts, F.lit(0)) == heading
            for qualifier in qualifiers:
                hit &= F.array_contains(parts, qualifier)
            hits |= hit
        return hits

    return F.exists(terms, is_named)
