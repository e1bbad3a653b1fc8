"""Which images are chest radiographs: rules over header, colors and prepared greys, each refusing or flagging.

Every rule is a record; what it finds becomes the image's error or a warning. Whether a chest is in the picture is not
asked of the pixels: these rules catch what a header or a glance gives away.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from radspark.errors import UnreadableImageError
from radspark.images.header import DicomHeader
from radspark.settings import PreparationSettings

Greys = npt.NDArray[np.uint8]
T = TypeVar("T")

RADIOGRAPHY: Final = ("CR", "DX", "RG", "DR")
"""Modalities of projection radiography: computed, digital, and what older files call them (PS3.3 C.7.3.1.1.1)."""
SECONDARY_CAPTURE: Final = ("OT", "SC")
CHEST: Final = re.compile(r"CHEST|THORAX|TORAX|TORACE|LUNG|PECHO|POUMON|\bCXR\b")
"""Body parts by which sites name a chest radiograph; part of a longer name, such as CHEST PA, too."""
MAX_COLOR_SHARE: Final = 0.05
FEWEST_GREYS: Final = 8
"""An image whose prepared greys span less shows nothing."""


@dataclass(frozen=True)
class Rule(Generic[T]):
    """One way in which an image is not what is asked for."""

    name: str
    verdict: Literal["refuse", "flag"]
    find: Callable[[T, PreparationSettings], str | None]
    """What is wrong, as a sentence, or None."""


def judge(rules: tuple[Rule[T], ...], subject: T, settings: PreparationSettings) -> list[str]:
    """The warnings of all rules that flag, or the error of the first that refuses.

    Raises:
        UnreadableImageError: a rule refuses, and `settings.wrong_kind` does not turn that into a warning.
    """
    warnings = []
    for rule in rules:
        found = rule.find(subject, settings)
        if found is not None and rule.verdict == "refuse" and settings.wrong_kind == "refuse":
            raise UnreadableImageError(found)
        if found is not None:
            warnings.append(found)
    return warnings


def find_other_modality(header: DicomHeader, settings: PreparationSettings) -> str | None:
    """CT, MR, ultrasound; and secondary captures unless they are asked for."""
    modality = header.modality
    if modality is None or modality in RADIOGRAPHY:
        return None
    if modality in SECONDARY_CAPTURE:
        if settings.secondary_capture:
            return None
        return f"DICOM of modality {modality}, a secondary capture; it is read where `secondary_capture` asks for it."
    return f"DICOM of modality {modality}; a radiograph is {', '.join(RADIOGRAPHY[:-1])} or {RADIOGRAPHY[-1]}."


def find_other_body_part(header: DicomHeader, _settings: PreparationSettings) -> str | None:
    """A body part that is named and is not the chest."""
    if header.body_part is None or CHEST.search(header.body_part):
        return None
    return f"DICOM of body part {header.body_part}, not of the chest."


def find_raw_intent(header: DicomHeader, _settings: PreparationSettings) -> str | None:
    """Raw detector values, whose greys mean something else than those of a processed radiograph."""
    if header.presentation_intent != "FOR PROCESSING":
        return None
    return "the DICOM image is FOR PROCESSING: raw detector values, not meant to be shown."


def find_contradicting_polarity(header: DicomHeader, _settings: PreparationSettings) -> str | None:
    """A presentation LUT shape that the photometric interpretation forbids (PS3.3 C.8.11.3.1.2)."""
    says = (header.photometric_interpretation, header.presentation_lut_shape)
    if says not in (("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")):
        return None
    return (
        f"the DICOM image is {says[0]} with presentation LUT shape {says[1]}, which contradict; the shape was obeyed."
    )


def find_color_photograph(color_share: float, _settings: PreparationSettings) -> str | None:
    """More color than a marker or a stamp on a radiograph has."""
    if color_share <= MAX_COLOR_SHARE:
        return None
    return f"a color picture: {color_share:.0%} of its pixels are colored; a radiograph is grey."


def find_blank(pixels: Greys, _settings: PreparationSettings) -> str | None:
    """All black, all white, or all of one grey."""
    span = int(pixels.max()) - int(pixels.min())
    return None if span >= FEWEST_GREYS else "the image is blank: its greys span less than 8 of 255."


def find_inverted_greys(pixels: Greys, _settings: PreparationSettings) -> str | None:
    """Black and white exchanged: lungs brighter than the mediastinum, and a corner beside the neck brighter too.

    Both thresholds were set on 2,318 radiographs of NIH ChestX-ray14: of these it finds the two that are inverted and
    two others, and 95% of all when they are inverted.
    """
    height, width = pixels.shape
    rows, columns = np.linspace(0, height - 1, 64).astype(int), np.linspace(0, width - 1, 64).astype(int)
    small = pixels[np.ix_(rows, columns)].astype(np.float64)
    spread = small.std() + 1
    mediastinum = small[16:44, 28:36].mean()
    lungs = (small[16:40, 14:24].mean() + small[16:40, 40:50].mean()) / 2
    corners = max(small[:10, :8].mean(), small[:10, -8:].mean())
    darker, below_corners = (mediastinum - lungs) / spread, (mediastinum - corners) / spread
    if darker < -0.2 and darker + below_corners < -0.6:
        return "black and white seem to be exchanged."
    return None


HEADER_RULES: Final[tuple[Rule[DicomHeader], ...]] = (
    Rule("modality", "refuse", find_other_modality),
    Rule("body part", "refuse", find_other_body_part),
    Rule("intent", "flag", find_raw_intent),
    Rule("polarity", "flag", find_contradicting_polarity),
)
"""Judged before a pixel is decoded."""
COLOR_RULES: Final[tuple[Rule[float], ...]] = (Rule("color", "refuse", find_color_photograph),)
GREY_RULES: Final[tuple[Rule[Greys], ...]] = (
    Rule("blank", "flag", find_blank),
    Rule("inverted", "flag", find_inverted_greys),
)
"""Judged on the prepared image."""
