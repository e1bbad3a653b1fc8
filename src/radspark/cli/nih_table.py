"""NIH's label table as a column per finding, for `evaluate --predictions`, which needs no Spark.

`datasets.nih` reads the same table with Spark; a test holds both to the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from radspark.datasets.columns import MAX_AGE_YEARS, UNITS_PER_YEAR
from radspark.datasets.recognition import recognize_table
from radspark.errors import LabelTableError
from radspark.labels import NIH_FINDINGS

_NO_FINDING = "No Finding"


def is_nih_table(columns: Iterable[str]) -> bool:
    """Whether these are the columns of a `Data_Entry_2017*.csv`."""
    return recognize_table(columns) == "NIH ChestX-ray14"


def spread_nih_table(table: pd.DataFrame, *, file: Path) -> pd.DataFrame:
    """`Image Index`, `patient_id`, `age`, `sex`, `view` where the table has them, and 1 or 0 for each finding.

    Raises:
        LabelTableError: a finding is none of the 14.
    """
    cells = table["Finding Labels"].str.strip()
    found = cells.str.split(r"\s*\|\s*", regex=True)
    strange = sorted(set(found.dropna().explode()) - {_NO_FINDING, *NIH_FINDINGS})
    if strange:
        raise LabelTableError(f"{file} has the finding {strange[0]!r}; NIH's are {', '.join(NIH_FINDINGS)}.")
    indicators = found.dropna().explode()
    spread = pd.DataFrame({"Image Index": table["Image Index"]})
    if "Patient ID" in table:
        spread["patient_id"] = table["Patient ID"].str.strip()
    if "Patient Age" in table:
        spread["age"] = _years(table["Patient Age"])
    for name in ("Patient Gender", "Patient Sex"):
        if name in table:
            spread["sex"] = table[name].str.strip().str.upper().map({"M": "M", "F": "F"})
    if "View Position" in table:
        spread["view"] = table["View Position"].str.strip().str.upper()
    for name in NIH_FINDINGS:
        present = set(indicators.index[indicators == name])
        spread[name] = [float(row in present) for row in table.index]
    spread.loc[cells.isna(), list(NIH_FINDINGS)] = float("nan")
    return spread


def _years(age: pd.Series[Any]) -> pd.Series[Any]:
    parts = age.str.strip().str.upper().str.extract(r"^(\d+(?:\.\d+)?)([YMWD]?)$")
    years = pd.to_numeric(parts[0]) / parts[1].map(UNITS_PER_YEAR)
    return years.where(years <= MAX_AGE_YEARS)
