"""Column expressions that label tables share: stems, ages, sexes, views. Which column they stand in is a reader's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column

MAX_AGE_YEARS = 120
"""Above this an age is a slip of the pen: the first NIH table has patients of 411 years."""

UNITS_PER_YEAR = {"": 1.0, "Y": 1.0, "M": 12.0, "W": 365.25 / 7, "D": 365.25}
"""Of the letters that end an age of DICOM (PS3.5 6.2, AS)."""


def stem(path: Column) -> Column:
    """File name without folders and without its last extension: `a/b/00000013_005.png` is `00000013_005`."""
    return blank_to_null(F.regexp_replace(F.trim(path), r"^.*/|\.[^./]*$", ""))


def years(age: Column) -> Column:
    """Age in years from `58`, `058Y`, `006M`, `002W` or `012D` (DICOM PS3.5 6.2, AS).

    Null for all else, and above `MAX_AGE_YEARS`.
    """
    text = F.upper(F.trim(age))
    number = F.regexp_extract(text, r"^(\d+(?:\.\d+)?)[YMWD]?$", 1).try_cast("double")
    unit = F.regexp_extract(text, r"([YMWD]?)$", 1)
    per_year = F.create_map(*(F.lit(item) for pair in UNITS_PER_YEAR.items() for item in pair))
    value = number / per_year[unit]
    return F.when(value <= MAX_AGE_YEARS, value)


def sex(text: Column) -> Column:
    """`M` or `F` from `M`, `F`, `Male`, `female`; null for all else."""
    word = F.upper(F.trim(text))
    return F.when(word.isin("M", "MALE"), "M").when(word.isin("F", "FEMALE"), "F")


def blank_to_null(text: Column) -> Column:
    """Text without spaces around it; null where nothing is left."""
    return F.nullif(F.trim(text), F.lit(""))
