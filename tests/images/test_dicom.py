from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicoms import RAMP_8, make_dicom, to_bytes
from PIL import Image

from radspark.errors import UnreadableImageError
from radspark.images import decode_radiograph, read_file, read_radiograph
from radspark.settings import PreparationSettings

PART = "DICOM of body part {}, not of the chest."
REAL_FILES = {
    "cr-modality-lut-sequence.dcm": None,
    "cr-mono1-10bit-no-transfer-syntax.dcm": None,
    "nema-rg1-cr-mono1-jpeg2000.dcm": None,
    "nema-rg1-cr-mono1-jpegls.dcm": None,
    "nema-rg2-cr-mono2-jpeg-extended.dcm": PART.format("HIP"),
    "nema-rg3-cr-mono1-jpeg-lossless.dcm": PART.format("EXTREMITY"),
    "nema-rg3-cr-mono1-rle.dcm": PART.format("EXTREMITY"),
    "wrong-body-part.dcm": PART.format("RIBCAGE"),
    "wrong-modality-ct.dcm": "DICOM of modality CT; a radiograph is CR, DX, RG or DR.",
}
"""Real files, and why each is refused, or None if it is read."""


@pytest.mark.data
@pytest.mark.parametrize(("name", "reason"), REAL_FILES.items())
def test_real_file_is_read_or_refused_with_its_reason(shared_data: Path, name: str, reason: str | None) -> None:
    data = (shared_data / "dicom" / name).read_bytes()
    assert read_file(data, PreparationSettings()).error == reason
    asked = read_file(data, PreparationSettings(wrong_kind="flag"))
    assert asked.pixels is not None
    assert reason is None or reason in asked.warnings


@pytest.mark.data
def test_every_real_file_is_in_the_table(shared_data: Path) -> None:
    assert {path.name for path in (shared_data / "dicom").iterdir()} == REAL_FILES.keys()


@pytest.mark.data
def test_real_dicom_prepared_equals_its_png_twin(shared_data: Path) -> None:
    files = sorted((shared_data / "nih-1024" / "dicom").iterdir())
    assert len(files) == 60
    for file in files:
        twin = Image.open(shared_data / "nih-256" / "images" / f"{file.stem}.png")
        prepared = read_radiograph(file.read_bytes(), PreparationSettings(size=256))
        np.testing.assert_array_equal(prepared, np.asarray(twin), file.name)


def test_errors_hold_nothing_of_the_patient() -> None:
    data = to_bytes(make_dicom(RAMP_8))
    for end in range(132, len(data) - 1, 7):
        with pytest.raises(UnreadableImageError) as caught:
            decode_radiograph(data[:end])
        assert "Secret" not in str(caught.value)
