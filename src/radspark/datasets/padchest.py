"""Reads the table of PadChest as published. Its labels are lists of English words; the Spanish reports are not read.

PadChest (Hospital San Juan, Alicante; Bustos et al. 2020, Medical Image Analysis 66:101797): 160,868 radiographs of
109,931 studies and 67,625 patients, six views, 174 findings and 19 diagnoses; 27% of the reports labeled by physicians,
the rest by a program. There is no official split. Terms: BIMCV PadChest data use agreement, for research only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pyspark.sql import functions as F

from radspark.datasets.columns import MAX_AGE_YEARS, blank_to_null, date_of, sex, stem, view
from radspark.datasets.schema import ImageFiles, LabelTable
from radspark.datasets.tables import Folder, find_table, list_tables, read_csv, require_columns
from radspark.labels import LabelSet

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

TITLE = "PadChest"
LABEL_TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
IMAGES = ImageFiles(folders=("images", "[0-9]", "[0-9][0-9]"))
"""The archives unpack into folders 0 to 50 and 54; file names are unique."""

WORDS: Mapping[str, tuple[str, ...]] = {
    "Atelectasis": (
        "atelectasis",
        "laminar atelectasis",
        "lobar atelectasis",
        "segmental atelectasis",
        "round atelectasis",
        "total atelectasis",
        "atelectasis basal",
    ),
    "Cardiomegaly": ("cardiomegaly",),
    "Effusion": (
        "pleural effusion",
        "loculated pleural effusion",
        "loculated fissural effusion",
        "hydropneumothorax",
    ),
    "Infiltration": (
        "infiltrates",
        "interstitial pattern",
        "ground glass pattern",
        "reticular interstitial pattern",
        "reticulonodular interstitial pattern",
        "miliary opacities",
        "alveolar pattern",
        "consolidation",
        "air bronchogram",
    ),
    "Mass": ("mass", "pulmonary mass"),
    "Nodule": ("nodule", "multiple nodules"),
    "Pneumonia": ("pneumonia", "atypical pneumonia"),
    "Pneumothorax": ("pneumothorax", "hydropneumothorax"),
    "Consolidation": ("consolidation", "air bronchogram"),
    "Edema": ("pulmonary edema",),
    "Emphysema": ("emphysema",),
    "Fibrosis": ("pulmonary fibrosis",),
    "Pleural_Thickening": ("pleural thickening", "apical pleural thickening", "calcified pleural thickening"),
    "Hernia": ("hiatal hernia",),
    "Fracture": ("fracture", "rib fracture", "clavicle fracture", "humeral fracture", "vertebral fracture"),
    "Granuloma": ("granuloma", "calcified granuloma"),
    "Bronchiectasis": ("bronchiectasis",),
    "Scoliosis": ("scoliosis",),
    "Aortic_Elongation": (
        "aortic elongation",
        "ascendent aortic elongation",
        "descendent aortic elongation",
        "supra aortic elongation",
    ),
    "Costophrenic_Angle_Blunting": ("costophrenic angle blunting",),
    "Hemidiaphragm_Elevation": ("hemidiaphragm elevation",),
    "Air_Trapping": ("air trapping",),
    "COPD": ("copd signs",),
    "Tuberculosis": ("tuberculosis",),
}
"""Our findings to the table's words, whole and exact: "subcutaneous emphysema" is no `Emphysema`. Infiltration has all
words below "infiltrates" in the paper's tree of findings."""
PADCHEST_FINDINGS = LabelSet(tuple(WORDS))
UNINFORMATIVE = ("", "unchanged", "suboptimal study", "exclude")
"""Words that say nothing of any finding."""
_COLUMNS = (
    "ImageID",
    "StudyID",
    "PatientID",
    "PatientBirth",
    "PatientSex_DICOM",
    "StudyDate_DICOM",
    "Projection",
    "MethodLabel",
    "Labels",
)


@dataclasses.dataclass(frozen=True)
class PadChestRules:
    """Whose labels are believed."""

    labeled_by: Literal["all", "physicians"] = "all"
    """`physicians` makes the program's labels unknown."""


def read_padchest(
    spark: SparkSession,
    data_dir: Folder,
    *,
    official: bool,  # noqa: ARG001
    rules: PadChestRules,
) -> LabelTable:
    """Labels and profiles of PadChest. A row whose words say nothing of findings, or "exclude", has unknown labels.

    Raises:
        LabelTableError: no table, another data set's, or a missing column.
    """
    found = list_tables(spark, data_dir)
    name = find_table(spark, data_dir, (LABEL_TABLE,), title=TITLE, found=found)
    # Long lists of concepts (labelCUIS, LocalizationsCUIS) go on in the next line, as numpy prints them.
    table = read_csv(spark, data_dir, name, multi_line=True)
    require_columns(table, _COLUMNS, file=name, title=TITLE)
    date = date_of(F.col("StudyDate_DICOM"))
    age = F.year(date) - F.col("PatientBirth").try_cast("double")
    projection = view(F.col("Projection"))
    frame = table.select(
        stem(F.col("ImageID")).alias("image_id"),
        blank_to_null(F.col("StudyID")).alias("study_id"),
        blank_to_null(F.col("PatientID")).alias("patient_id"),
        F.when(age.between(0, MAX_AGE_YEARS), age).alias("age"),
        sex(F.col("PatientSex_DICOM")).alias("sex"),
        F.when(projection != "UNK", projection).alias("view"),
        date.alias("date"),
        _labels(_words(F.col("Labels")), believed=_is_believed(rules)).alias("labels"),
    )
    return LabelTable(frame, PADCHEST_FINDINGS, IMAGES, name)


def _words(labels: Column) -> Column:
    """`['pleural effusion', ' cardiomegaly']`, as Python writes a list, to its words; no word has a comma."""
    bare = F.regexp_replace(labels, r"[\[\]\"']", "")
    return F.transform(F.split(bare, ","), lambda word: F.lower(F.trim(word)))


def _is_believed(rules: PadChestRules) -> Column:
    return F.lit(True) if rules.labeled_by == "all" else F.lower(F.trim("MethodLabel")) == "physician"


def _labels(words: Column, *, believed: Column) -> Column:
    informative = F.size(F.array_except(words, F.array(*map(F.lit, UNINFORMATIVE)))) > 0
    known = believed & informative & ~F.array_contains(words, "exclude")
    values = (F.arrays_overlap(words, F.array(*map(F.lit, ours))).cast("float") for ours in WORDS.values())
    return F.array(*(F.when(known, value) for value in values))
