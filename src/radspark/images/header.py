"""What a DICOM header says of an image beside its pixels: whose it is, what it shows, how it is to be shown.

Identifiers come out by policy (`Identifiers`); all other values are cut to plain codes, so that no free text passes.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from pydicom import Dataset

from radspark.identifiers import Identifiers

_CODE: Final = re.compile(r"[A-Z0-9_ ./-]{1,32}")
_AGE: Final = re.compile(r"(\d{1,3})([DWMY]?)")
_YEARS: Final = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_LATERAL: Final = frozenset({"LL", "RL", "LAT", "LATERAL", "L LAT", "R LAT"})
"""LLD and RLD (PS3.3 C.8.1.1) are not: in lateral decubitus the patient lies on a side, seen from the front."""
_VIEW_CODES: Final = {
    "399348003": "AP",
    "R-10206": "AP",
    "272479007": "PA",
    "R-40888": "PA",
    "R-10214": "PA",
    "399067008": "LATERAL",
    "R-102CD": "LATERAL",
    "399173006": "LATERAL",
    "R-10236": "LATERAL",
    "399198007": "LATERAL",
    "R-10232": "LATERAL",
}
"""Of the View Code Sequence, in SNOMED CT and its older spelling (PS3.16 CID 4010)."""
IDENTIFYING: Final = ("patient_id", "accession_number", "study_uid", "series_uid", "sop_uid")
"""The fields that lead to a patient: kept, hashed or dropped."""


@dataclass(frozen=True)
class DicomHeader:
    """The elements of a header that tables are joined by or chosen by; None where the file does not say."""

    patient_id: str | None = None
    accession_number: str | None = None
    study_uid: str | None = None
    series_uid: str | None = None
    sop_uid: str | None = None
    study_date: str | None = None
    """`YYYY-MM-DD`; only where identifiers are kept."""
    age: float | None = None
    """Years."""
    sex: str | None = None
    """`M` or `F`."""
    modality: str | None = None
    body_part: str | None = None
    view: str | None = None
    """`PA`, `AP`, `LATERAL`, or what else the file names, in capitals."""
    laterality: str | None = None
    presentation_intent: str | None = None
    """`FOR PRESENTATION` or `FOR PROCESSING`."""
    presentation_lut_shape: str | None = None
    photometric_interpretation: str | None = None
    transfer_syntax: str | None = None
    """By its name, the one that the file was read by."""

    def pass_identifiers(self, identifiers: Identifiers) -> DicomHeader:
        """The header with its identifiers kept, hashed or dropped."""
        changed: dict[str, str | None] = {name: identifiers(getattr(self, name)) for name in IDENTIFYING}
        return replace(self, **changed, study_date=self.study_date if identifiers.policy == "keep" else None)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, str | float | None]:
        """A plain dict in the order of `HEADER_FIELDS`."""
        return asdict(self)


HEADER_FIELDS: Final = tuple(field.name for field in fields(DicomHeader))


def read_header(dataset: Dataset) -> DicomHeader:
    """Read the header; what is missing or malformed is None."""
    return DicomHeader(
        patient_id=_text(dataset, "PatientID"),
        accession_number=_text(dataset, "AccessionNumber"),
        study_uid=_text(dataset, "StudyInstanceUID"),
        series_uid=_text(dataset, "SeriesInstanceUID"),
        sop_uid=_text(dataset, "SOPInstanceUID"),
        study_date=_date(_text(dataset, "StudyDate")),
        age=_age(_text(dataset, "PatientAge")),
        sex=_code(dataset, "PatientSex") if _code(dataset, "PatientSex") in ("M", "F") else None,
        modality=_code(dataset, "Modality"),
        body_part=_code(dataset, "BodyPartExamined"),
        view=_view(dataset),
        laterality=_code(dataset, "ImageLaterality") or _code(dataset, "Laterality"),
        presentation_intent=_code(dataset, "PresentationIntentType"),
        presentation_lut_shape=_code(dataset, "PresentationLUTShape"),
        photometric_interpretation=_code(dataset, "PhotometricInterpretation"),
        transfer_syntax=str(dataset.file_meta.TransferSyntaxUID.name),
    )


def _text(dataset: Dataset, name: str) -> str | None:
    value = _value(dataset, name)
    return value or None


def _code(dataset: Dataset, name: str) -> str | None:
    """A coded string in capitals; free text, which a code string must not be, is left out."""
    value = _value(dataset, name).upper()
    return value if _CODE.fullmatch(value) else None


def _value(dataset: Dataset, name: str) -> str:
    try:
        value: Any = dataset.get(name)
    except Exception:  # noqa: BLE001  pydicom converts on access, and raises nearly anything on a damaged element
        return ""
    return "" if value is None else str(value).strip(" \0")


def _view(dataset: Dataset) -> str | None:
    """The view position, else what the view code says (PS3.3 C.8.11.5)."""
    named = _code(dataset, "ViewPosition")
    if named is not None:
        return "LATERAL" if named in _LATERAL else named
    try:
        return _VIEW_CODES.get(str(dataset.ViewCodeSequence[0].CodeValue))
    except (AttributeError, IndexError, TypeError):
        return None


def _age(text: str | None) -> float | None:
    """Years of `058Y`, `006M` or `58` (PS3.5 6.2, AS)."""
    match = _AGE.fullmatch(text or "")
    return round(int(match[1]) * _YEARS[match[2]], 3) if match else None


def _date(text: str | None) -> str | None:
    match = re.fullmatch(r"(\d{4})\.?(\d{2})\.?(\d{2})", text or "")
    return "-".join(match.groups()) if match else None
