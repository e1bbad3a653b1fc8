"""Which samples train, validate and test: named policies over a label table, and the check that no patient leaks.

A share is a share of patients, drawn by hash: whoever is in a split stays in it when patients are added.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from radspark.errors import SplitError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_HASH_DIGITS = 13
"""Hexadecimal digits of the hash that are used: 52 bits, which a double holds exactly."""

_NAMED_PATIENTS = 3


@dataclass(frozen=True)
class SplitShares:
    """Shares of patients that validate and test; the rest train."""

    validation: float = 0.1
    """Of the official train part where the test part is official, else of all."""
    test: float = 0.2
    """Has no effect where the test part is official."""

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"{name}_share must be at least 0 and below 1, got {value}.")
        if self.validation + self.test >= 1:
            raise ValueError(
                "validation_share and test_share must leave patients to train on, "
                f"got {self.validation} and {self.test}; lower one."
            )


@dataclass(frozen=True)
class SplitPolicy:
    """One way to assign splits."""

    name: str
    assign: Callable[[DataFrame, SplitShares, int], DataFrame]
    """(label table, shares, seed) to the table with its `split` column set."""
    needs_official: bool
    """Whether `split` must hold the data set's own train and test part beforehand."""
    leaks_patients: bool
    """Whether a patient can stand in two splits."""


def split_officially(frame: DataFrame, shares: SplitShares, seed: int) -> DataFrame:
    """Cut validation patients out of the official train part; the official test part is not touched."""
    validates = (F.col("split") == "train") & (draw_uniform("patient_id", seed) < shares.validation)
    return frame.withColumn("split", F.when(validates, "validation").otherwise(F.col("split")))


def split_by_patient(frame: DataFrame, shares: SplitShares, seed: int) -> DataFrame:
    """Draw whole patients for each split, whatever the official parts."""
    return frame.withColumn("split", _three_parts(draw_uniform("patient_id", seed), shares))


def split_by_image_leaking_patients(frame: DataFrame, shares: SplitShares, seed: int) -> DataFrame:
    """Draw single images for each split, as the 2019 system did: patients leak, and results come out too good.

    Only for comparison with published results that were made this way.
    """
    return frame.withColumn("split", _three_parts(draw_uniform("image_id", seed), shares))


SPLIT_POLICIES: Mapping[str, SplitPolicy] = {
    policy.name: policy
    for policy in (
        SplitPolicy("official", split_officially, needs_official=True, leaks_patients=False),
        SplitPolicy("patient", split_by_patient, needs_official=False, leaks_patients=False),
        SplitPolicy("image-leaks-patients", split_by_image_leaking_patients, needs_official=False, leaks_patients=True),
    )
}


def get_split_policy(name: str) -> SplitPolicy:
    """The policy of a name.

    Raises:
        ValueError: there is none; the message names the nearest.
    """
    if name not in SPLIT_POLICIES:
        near = difflib.get_close_matches(name, SPLIT_POLICIES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"split_policy must be one of {', '.join(SPLIT_POLICIES)}, got {name!r}.{hint}")
    return SPLIT_POLICIES[name]


@dataclass(frozen=True)
class Leak:
    """Patients that stand in more than one split."""

    num_patients: int
    examples: tuple[str, ...]
    """At most three of them."""


def find_leak(frame: DataFrame) -> Leak:
    """Count the patients with radiographs in more than one split, and name some."""
    leaking = (
        frame.where(F.col("split").isNotNull())
        .groupBy("patient_id")
        .agg(F.count_distinct("split").alias("num_splits"))
        .where(F.col("num_splits") > 1)
    )
    named = leaking.orderBy("patient_id").limit(_NAMED_PATIENTS).collect()
    return Leak(leaking.count() if named else 0, tuple(row["patient_id"] for row in named))


def check_no_leak(frame: DataFrame) -> None:
    """Check that each patient stands in one split only.

    Raises:
        SplitError: counts the patients in two splits and names up to three of them.
    """
    leak = find_leak(frame)
    if leak.num_patients:
        raise SplitError(
            f"{leak.num_patients} {'patients stand' if leak.num_patients > 1 else 'patient stands'} in two splits "
            f"(for example {', '.join(leak.examples)}); correct the lists, or use split_policy='patient'."
        )


def draw_uniform(id_column: str, seed: int) -> Column:
    """A uniform number in [0, 1) that depends on the seed and an id only: SHA-256, the same in every version."""
    digest = F.sha2(F.concat_ws(":", F.lit(str(seed)), F.col(id_column)), 256)
    digits = F.conv(F.substring(digest, 1, _HASH_DIGITS), 16, 10)
    return digits.cast("double") / float(16**_HASH_DIGITS)


def _three_parts(drawn: Column, shares: SplitShares) -> Column:
    return (
        F.when(drawn < shares.test, "test")
        .when(drawn < shares.test + shares.validation, "validation")
        .otherwise("train")
    )
