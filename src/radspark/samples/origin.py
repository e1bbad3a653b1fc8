"""Which data set samples come from and how its splits were drawn: kept with their split column, and compared.

A model is tested on the split that its training left aside only if both drew their splits alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from radspark.datasets.splits import get_split_policy
from radspark.frames.column_settings import column_settings, settings_metadata
from radspark.settings import DataSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SPLIT_COLUMN = "split"


def mark_origin(frame: DataFrame, data: DataSettings) -> DataFrame:
    """The same rows, whose split column tells where they come from."""
    return frame.withColumn(SPLIT_COLUMN, F.col(SPLIT_COLUMN).alias(SPLIT_COLUMN, metadata=settings_metadata(data)))


def find_origin(frame: DataFrame, split_column: str = SPLIT_COLUMN) -> DataSettings | None:
    """Where samples come from; None where they do not tell."""
    return column_settings(frame, split_column, DataSettings)


def has_other_patients(trained: DataSettings, tested: DataSettings, *, split: str) -> bool:
    """Whether a split, made by the same settings, was found to be of other patients than in training.

    It is not where the split has the same patients, or where the splits that were trained on have: growth elsewhere
    does no harm. False where fingerprints are missing.
    """
    seen = ("train",) if split == "validation" else ("train", "validation")
    for name in trained.fingerprints.keys() & tested.fingerprints.keys():
        then, now = trained.fingerprints[name], tested.fingerprints[name]
        if then.get(split) != now.get(split) and any(then.get(part) != now.get(part) for part in seen):
            return split != "train"
    return False


def leaking_differences(trained: DataSettings, tested: DataSettings, *, split: str) -> tuple[str, ...]:
    """The split settings by which samples that were trained on can stand in a split of `tested`; empty if they cannot.

    Another data set has other patients. The training split has nothing to leak. Of a list of splits the settings say
    nothing: `has_other_patients` does.
    """
    if not trained.datasets & tested.datasets or split == "train":
        return ()
    if tested.split.policy == "file" and trained.fingerprints:
        return ()
    if trained.split.policy != tested.split.policy:
        return ("policy",)
    compared = get_split_policy(trained.split.policy).test_settings
    if split == "validation":
        compared = tuple(dict.fromkeys([*compared, "validation_share", "seed"]))
    return tuple(name for name in compared if getattr(trained.split, name) != getattr(tested.split, name))
