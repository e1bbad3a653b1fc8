from __future__ import annotations

from pathlib import Path

import pytest
from dicoms import RAMP_8, make_dicom, to_bytes
from pydicom.dataset import Dataset

from radspark.identifiers import Identifiers
from radspark.images import read_file
from radspark.images.header import DicomHeader
from radspark.settings import PreparationSettings


def header_of(**elements: object) -> DicomHeader:
    reading = read_file(to_bytes(make_dicom(RAMP_8, **elements)), PreparationSettings(size=16, wrong_kind="flag"))
    assert reading.header is not None
    return reading.header


@pytest.mark.parametrize(
    ("named", "view"),
    [("PA", "PA"), ("ap", "AP"), ("LL", "LATERAL"), ("LLD", "LLD"), ("RLO", "RLO"), ("", None), ("Ä" * 3, None)],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_view_is_the_position_that_is_named(named: str, view: str | None) -> None:
    assert header_of(SpecificCharacterSet="ISO_IR 192", ViewPosition=named).view == view


@pytest.mark.parametrize(
    ("code", "view"), [("399348003", "AP"), ("R-10214", "PA"), ("399198007", "LATERAL"), ("0", None)]
)
def test_view_code_serves_where_no_position_is_named(code: str, view: str | None) -> None:
    item = Dataset()
    item.CodeValue = code
    assert header_of(ViewCodeSequence=[item]).view == view


@pytest.mark.parametrize(
    ("written", "years"), [("058Y", 58.0), ("58", 58.0), ("006M", 0.5), ("010D", 0.027), ("", None), ("old", None)]
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_age_is_in_years(written: str, years: float | None) -> None:
    assert header_of(PatientAge=written).age == years


@pytest.mark.filterwarnings("ignore:Invalid value for VR|The value length")
def test_free_text_in_a_code_is_left_out() -> None:
    assert header_of(BodyPartExamined="CHEST").body_part == "CHEST"
    assert header_of(BodyPartExamined="chest of Secret^Patient").body_part is None


def test_identifiers_are_kept_hashed_or_dropped() -> None:
    header = header_of(PatientID="P-17", StudyInstanceUID="1.2.9", StudyDate="20200131", AccessionNumber="A5")
    kept = header.pass_identifiers(Identifiers("keep"))
    assert (kept.patient_id, kept.study_uid, kept.sop_uid, kept.study_date) == ("P-17", "1.2.9", "1.2.3", "2020-01-31")
    dropped = header.pass_identifiers(Identifiers("drop"))
    assert dropped == DicomHeader(**{**header.to_dict(), **dict.fromkeys(ALL)})
    hashed = header.pass_identifiers(Identifiers("hash", b"k" * 16))
    assert hashed.study_date is None
    assert hashed.patient_id == Identifiers("hash", b"k" * 16)("P-17")


ALL = ("patient_id", "accession_number", "study_uid", "series_uid", "sop_uid", "study_date")


@pytest.mark.data
def test_real_header_is_read(shared_data: Path) -> None:
    data = (shared_data / "nih-1024" / "dicom" / "00000321_001.dcm").read_bytes()
    header = read_file(data, PreparationSettings()).header
    assert header is not None
    shown = (header.modality, header.body_part, header.view, header.age, header.sex, header.transfer_syntax)
    assert shown == ("CR", "CHEST", "PA", 74.0, "F", "JPEG Baseline (Process 1)")
