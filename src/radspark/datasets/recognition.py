"""Which public data set a table's columns look like; only for error messages, reading is the readers' business."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

TABLE_COLUMNS: Mapping[str, frozenset[str]] = {
    "NIH ChestX-ray14": frozenset({"Image Index", "Finding Labels"}),
    "CheXpert": frozenset({"Path", "Sex", "Age", "Frontal/Lateral"}),
    "PadChest": frozenset({"ImageID", "StudyID", "PatientID"}),
    "VinDr-CXR": frozenset({"image_id", "rad_id"}),
    "Open-i": frozenset({"uid", "filename", "projection"}),
    "MIMIC-CXR-JPG": frozenset({"subject_id", "study_id"}),
}
"""Columns that together stand in one data set's tables and in no other's."""


def recognize_table(columns: Iterable[str]) -> str | None:
    """Name of the data set whose tables have such columns; None where no one's do."""
    present = set(columns)
    return next((name for name, required in TABLE_COLUMNS.items() if required <= present), None)
