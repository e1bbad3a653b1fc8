"""Column expressions that label tables share: stems, ages, sexes, views, dates. Which column is which is a reader's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column

MAX_AGE_YEARS = 120
"""Above this an age is a slip of the pen: the first NIH table has patients of 411 years."""

UNITS_PER_YEAR = {"": 1.0, "Y": 1.0, "M": 12.0, "W": 365.25 / 7, "D": 365.25}
"""Of the letters that end an age of DICOM (PS3.5 6.2, AS)."""

IMAGE_EXTENSIONS = ("png", "jpg", "jpeg", "dcm", "dicom")
"""Of radiographs, in any case; where two files have one stem, the earlier extension is taken."""


def stem(path: Column, *, num_parts: int = 1) -> Column:
    """Path without an image's extension and all but its last parts: `a/b/00000013_005.png` is `00000013_005`.

    With three parts, `x/patient1/study2/view1.jpg` is `patient1/study2/view1`. A DICOM UID keeps its dots.
    """
    name = F.regexp_replace(F.trim(path), rf"(?i)\.(?:{'|'.join(IMAGE_EXTENSIONS)})$", "")
    return blank_to_null(F.regexp_extract(name, rf"(?:[^/]+/){{0,{num_parts - 1}}}[^/]*$", 0))


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


def view(text: Column) -> Column:
    """A projection in capitals; every lateral is `LATERAL`, a lying patient's AP is `AP`; null where blank."""
    word = F.upper(blank_to_null(text))
    return F.when(word.isin("L", "LL", "RL"), "LATERAL").when(word == "AP_HORIZONTAL", "AP").otherwise(word)


def date_of(digits: Column) -> Column:
    """A date from `20120131` (DICOM PS3.5 6.2, DA) or `2012-01-31`; null for all else."""
    plain = F.regexp_replace(F.trim(digits), "-", "")
    return F.when(plain.rlike(r"^\d{8}(?:\.0)?$"), F.try_to_date(F.substring(plain, 1, 8), "yyyyMMdd"))


def blank_to_null(text: Column) -> Column:
    """Text without spaces around it; null where nothing is left."""
    return F.nullif(F.trim(text), F.lit(""))
