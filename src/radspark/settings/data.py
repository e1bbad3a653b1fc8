"""Choices of data: which samples are in which split, how a file becomes a sample, how a sample varies in training."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from radspark.errors import ArgumentError
from radspark.settings.checks import require


@dataclass(frozen=True)
class SplitSettings:
    """Which radiographs train, validate and test. Shares are of patients."""

    policy: str = "official"
    """A name of `datasets.splits.SPLIT_POLICIES`."""
    validation_share: float = 0.1
    """Of the patients that do not test; where all three parts are drawn, of all patients. Has no effect where the
    validation part is official."""
    test_share: float = 0.2
    """Of all patients; only where the test part is drawn."""
    seed: int = 0
    test_sites: tuple[str, ...] = ()
    """Under the policy `site`: whoever has a radiograph from one of these tests."""
    test_from: str | None = None
    """Under the policy `date`: whoever is first seen on this day (`2020-01-31`) or later tests."""
    split_file: str | None = None
    """Under the policy `file`: CSV or Parquet with `image_id` and `split`, on any file system of Spark. Not kept."""

    def __post_init__(self) -> None:
        for name in ("validation_share", "test_share"):
            value = getattr(self, name)
            require(0 <= value < 1, f"{name} must be at least 0 and below 1, got {value}.")
        if self.test_from is not None:
            try:
                datetime.date.fromisoformat(self.test_from)
            except ValueError:
                raise ArgumentError(f"test_from must be a day such as 2020-01-31, got {self.test_from!r}.") from None


@dataclass(frozen=True)
class DataSettings:
    """Which data a model was trained on, and how the patients were dealt out."""

    dataset: str
    """Names of data sets, with ` + ` between several."""
    split: SplitSettings = SplitSettings()
    rules: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What was chosen about the labels; with several data sets, by the name of each."""
    fingerprints: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    """By data set and split: how many patients are in it, with a hash over them; empty where that is not known."""
    prepared: str | None = None
    """Fingerprint of the prepared set that the samples came from; None where they came from files."""

    @property
    def datasets(self) -> frozenset[str]:
        """Names of the data sets."""
        return frozenset(self.dataset.split(" + "))


@dataclass(frozen=True)
class PreparationSettings:
    """From decoded grey values to the uint8 square that is kept through Spark."""

    size: int = 256
    """Side of the prepared image in pixels, 16 to 4096."""
    aspect: Literal["stretch", "pad"] = "stretch"
    """`stretch` resizes both sides to `size`, as the 2019 system; `pad` keeps the aspect and pads with black."""
    grey_range: Literal["auto", "stored_bits", "own_range"] = "auto"
    """What maps to 0 and 255. `stored_bits`: the range of the stored bit depth. `own_range`: the image's minimum and
    maximum, padding left out. `auto`: a DICOM's VOI LUT or window where the file has one, else `stored_bits`."""
    voi: int = 0
    """Which VOI LUT or window is taken, where a DICOM has several: its number in the file's order, from 0; where there
    are fewer, the first."""
    sixteen_bit: Literal["full", "used_bits"] = "full"
    """What is white in a 16-bit PNG. `full`: 65535. `used_bits`: the most that as many bits hold as the image's
    brightest pixel needs, such as 4095."""
    secondary_capture: bool = False
    """Whether DICOM of modality OT or SC, which does not say how it was made, is taken for a radiograph."""
    wrong_kind: Literal["refuse", "flag"] = "refuse"
    """What becomes of an image that is no chest radiograph by its header or its colors: an error, or a warning."""

    def __post_init__(self) -> None:
        require(16 <= self.size <= 4096, f"size must be between 16 and 4096 pixels, got {self.size}.")
        require(self.voi >= 0, f"voi must be at least 0, got {self.voi}.")


@dataclass(frozen=True)
class AugmentationSettings:
    """Random changes of training samples, drawn per image from (seed, epoch, image). Evaluation has none of them."""

    flip: float = 0.5
    """Probability of a left-right flip."""
    brightness: float = 0.0
    """Largest shift of all grey values up or down, as a share of the full range."""
    brightness_probability: float = 0.5
    brightness_sign: Literal["both", "up"] = "both"
    """The 2019 chain only brightens: delta 0 to 32."""
    rotation_degrees: float = 0.0
    """Largest rotation to either side."""
    translation: float = 0.0
    """Largest shift along each axis, as a share of the side."""
    scale: float = 0.0
    """Largest change of size: 0.1 draws factors from 0.9 to 1.1."""
    crop: Literal["center", "random"] = "center"
    """Where the network's input is cut from the prepared image during training."""

    def __post_init__(self) -> None:
        for name in ("flip", "brightness", "brightness_probability", "translation", "scale"):
            value = getattr(self, name)
            require(0.0 <= value <= 1.0, f"augmentation.{name} must be between 0 and 1, got {value}.")
        require(self.scale < 1.0, f"augmentation.scale must be below 1, got {self.scale}.")
        require(
            0.0 <= self.rotation_degrees <= 180.0,
            f"augmentation.rotation_degrees must be between 0 and 180, got {self.rotation_degrees}.",
        )

    @property
    def is_off(self) -> bool:
        """True if a training sample is the evaluation sample."""
        geometric = self.flip or self.rotation_degrees or self.translation or self.scale
        bright = self.brightness and self.brightness_probability
        return not geometric and not bright and self.crop == "center"
