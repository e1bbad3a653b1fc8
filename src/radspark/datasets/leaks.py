"""That no patient stands in two splits, and fingerprints that tell splits apart without names.

Which radiograph goes where is the policies' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from radspark.errors import SplitError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_NAMED_PATIENTS = 3


@dataclass(frozen=True)
class Leak:
    """Patients that stand in more than one split."""

    num_patients: int
    examples: tuple[str, ...]
    """At most three of them."""


def find_leak(frame: DataFrame) -> Leak:
    """Count the patients of a label table that stand in more than one split, and name some."""
    in_two = (
        frame.where(F.col("split").isNotNull())
        .groupBy("patient_id")
        .agg(F.min("split").alias("split"), F.max("split").alias("other"))
        .where(F.col("split") != F.col("other"))
    )
    num_patients = in_two.count()
    if not num_patients:
        return Leak(0, ())
    named = in_two.orderBy("patient_id").limit(_NAMED_PATIENTS).collect()
    return Leak(num_patients, tuple(row["patient_id"] for row in named))


def check_no_leak(leak: Leak) -> None:
    """Check that each patient stands in one split only.

    Raises:
        SplitError: counts the patients in two splits and names up to three of them.
    """
    if leak.num_patients:
        raise SplitError(
            f"{leak.num_patients} {'patients stand' if leak.num_patients > 1 else 'patient stands'} in two splits "
            f"(for example {', '.join(leak.examples)}); correct the lists, or use split_policy='patient'."
        )


def fingerprint_splits(frame: DataFrame) -> str:
    """Number of rows with a split, and a hash of which image is in which, whatever their order."""
    placed = frame.where(F.col("split").isNotNull())
    row = placed.agg(F.count("*").alias("rows"), F.bit_xor(hash_place()).alias("hash")).first()
    assert row is not None, "an aggregate always has a row"
    return fingerprint(row["rows"], row["hash"])


def hash_place() -> Column:
    """64 bits for which image is in which split."""
    return F.xxhash64("image_id", "split")


def fingerprint(count: int, combined: int | None) -> str:
    """How many, and a XOR of their 64-bit hashes; None for none."""
    return f"{count}-{(combined or 0) & (1 << 64) - 1:016x}"
