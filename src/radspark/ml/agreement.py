"""Whether images are prepared, and samples split, as a recipe or a bundle has it; samples that do not tell are trusted.

Acts on what `read_images` and `load_samples` write beside their columns.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from radspark.frames.column_settings import column_settings
from radspark.samples.origin import find_origin, has_other_patients, leaking_differences
from radspark.settings import PreparationSettings, Recipe, require, to_dict

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from radspark.bundle import Bundle

logger = logging.getLogger(__name__)


def with_preparation_of(recipe: Recipe, samples: DataFrame, image_col: str) -> Recipe:
    """The recipe with the preparation that its images had; only their size may be another than the recipe's.

    Raises:
        ArgumentError: the recipe asks for another preparation than the images had.
    """
    found = column_settings(samples, image_col, PreparationSettings)
    if found is None:
        return recipe
    asked = replace(recipe.preparation, size=found.size)
    if asked != replace(PreparationSettings(), size=found.size):
        shown = _differences(asked, found, "recipe", "images")
        require(not shown, f"the images are not prepared as the recipe has it: {shown}; read them by its settings.")
    return replace(recipe, preparation=found)


def check_preparation(bundle: Bundle, images: DataFrame, image_col: str) -> None:
    """Check that images are prepared as a bundle's network saw them in training.

    Raises:
        ArgumentError: names each setting that differs, with both values.
    """
    found = column_settings(images, image_col, PreparationSettings)
    if found is None:
        return
    shown = _differences(bundle.preparation, found, "bundle", "images")
    require(
        not shown,
        f"column {image_col!r} is not prepared as the bundle needs it: {shown}; "
        "read the images with settings=model.bundle.preparation.",
    )


def warn_of_leak(bundle: Bundle, samples: DataFrame) -> None:
    """Warn if patients that a bundle was trained on can be among test samples, drawn by other settings."""
    tested = find_origin(samples)
    if bundle.data is None or tested is None:
        return
    differing = leaking_differences(bundle.data, tested, split="test")
    if differing:
        shown = ", ".join(
            f"{name} {getattr(bundle.data.split, name)!r} then, {getattr(tested.split, name)!r} now"
            for name in differing
        )
        logger.warning(
            "the samples are split otherwise than in training (%s): patients that were trained on can be among them",
            shown,
        )
    elif has_other_patients(bundle.data, tested, split="test"):
        logger.warning("the samples are split otherwise than in training: their test part is of other patients")


def _differences(first: PreparationSettings, second: PreparationSettings, of_first: str, of_second: str) -> str:
    ours, theirs = to_dict(first), to_dict(second)
    return ", ".join(
        f"{name} is {ours[name]!r} in the {of_first}, {theirs[name]!r} in the {of_second}"
        for name in ours
        if ours[name] != theirs[name]
    )
