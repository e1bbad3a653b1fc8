from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from dicoms import RAMP_8, RAMP_12, make_dicom, to_bytes
from PIL import Image

from radspark.images import Reading, read_file
from radspark.images.kinds import COLOR_RULES, GREY_RULES, HEADER_RULES
from radspark.settings import PreparationSettings

SETTINGS = PreparationSettings(size=64)


def read_dicom(settings: PreparationSettings = SETTINGS, **elements: object) -> Reading:
    return read_file(to_bytes(make_dicom(RAMP_12, bits=12, **elements)), settings)


def read_png(image: Image.Image, settings: PreparationSettings = SETTINGS, kind: str = "PNG") -> Reading:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return read_file(buffer.getvalue(), settings)


def test_rules_have_names_of_their_own() -> None:
    names = [rule.name for rule in (*HEADER_RULES, *COLOR_RULES, *GREY_RULES)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("modality", ["CR", "DX", "RG", "", None])
def test_radiograph_by_its_modality_is_read(modality: str | None) -> None:
    assert read_dicom(Modality=modality).error is None


def test_other_modality_is_refused_before_its_pixels_are_looked_at() -> None:
    reading = read_dicom(Modality="CT", PixelData=b"\0\0")
    assert reading.error == "DICOM of modality CT; a radiograph is CR, DX, RG or DR."
    assert reading.header is not None
    assert reading.header.modality == "CT"


def test_secondary_capture_is_read_where_asked_for() -> None:
    assert "secondary capture" in str(read_dicom(Modality="OT").error)
    assert read_dicom(PreparationSettings(size=64, secondary_capture=True), Modality="OT").error is None


@pytest.mark.parametrize("part", ["CHEST", "THORAX", "CHEST PA", "TORAX", "TORACE", None])
def test_chest_by_its_name_is_read(part: str | None) -> None:
    assert read_dicom(BodyPartExamined=part).error is None


@pytest.mark.parametrize("part", ["TIBIA", "THORACIC SPINE", "RIBCAGE"])
def test_other_body_part_is_refused_or_flagged(part: str) -> None:
    said = f"DICOM of body part {part}, not of the chest."
    assert read_dicom(BodyPartExamined=part).error == said
    flagged = read_dicom(PreparationSettings(size=64, wrong_kind="flag"), BodyPartExamined=part)
    assert (flagged.error, flagged.warnings) == (None, (said,))


def test_raw_detector_values_are_flagged() -> None:
    assert "FOR PROCESSING" in read_dicom(PresentationIntentType="FOR PROCESSING").warnings[0]
    assert read_dicom(PresentationIntentType="FOR PRESENTATION").warnings == ()


def test_contradicting_polarity_is_flagged() -> None:
    reading = read_dicom(PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="IDENTITY")
    assert "contradict" in reading.warnings[0]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_color_photograph_is_refused(kind: str) -> None:
    colors = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    photograph = Image.fromarray(colors).resize((200, 200), Image.Resampling.NEAREST)
    assert "a color picture" in str(read_png(photograph, kind=kind).error)
    assert read_png(photograph, PreparationSettings(size=64, wrong_kind="flag"), kind).error is None


def test_grey_in_a_color_mode_with_a_colored_stamp_is_read() -> None:
    image = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (256, 1))).convert("RGB")
    image.paste((255, 0, 0), (0, 0, 40, 20))
    assert read_png(image).error is None


@pytest.mark.parametrize("grey", [0, 100, 255])
def test_image_of_one_grey_is_flagged(grey: int) -> None:
    reading = read_png(Image.new("L", (80, 80), grey))
    assert reading.warnings == ("the image is blank: its greys span less than 8 of 255.",)


@pytest.mark.data
def test_real_radiographs_are_flagged_when_inverted_and_hardly_else(shared_data: Path) -> None:
    files = sorted((shared_data / "nih-256" / "images").iterdir())[::20]
    greys = [Image.open(file).convert("L") for file in files]
    flagged = sum(bool(read_png(image).warnings) for image in greys)
    found = sum(bool(read_png(Image.eval(image, lambda grey: 255 - grey)).warnings) for image in greys)
    assert flagged <= len(files) / 50
    assert found >= 0.9 * len(files)


def test_ramp_is_not_flagged() -> None:
    assert read_file(to_bytes(make_dicom(RAMP_8)), SETTINGS).warnings == ()
