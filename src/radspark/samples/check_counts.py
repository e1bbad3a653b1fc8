"""Counts the radiographs of a data set by split, age, sex and view, and what is wrong with them, in one pass."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pyspark.sql import functions as F

from radspark.datasets.leaks import fingerprint, hash_place
from radspark.datasets.schema import SPLITS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

    from radspark.labels import LabelSet

UNKNOWN = "unknown"
"""Key of rows whose value is null."""
OTHER = "other"
"""Key of rows whose value is not among the commonest."""
MAX_VALUES = 1000
"""Most values, over all columns, that come to the driver: any row of a table can have a sex or a view of its own."""


class FindingCounts(NamedTuple):
    """Labels of one finding among some radiographs."""

    positives: int
    negatives: int
    unknown: int


@dataclass(frozen=True)
class SplitCheck:
    """The radiographs of one split that are there."""

    radiographs: int
    patients: int
    findings: Mapping[str, FindingCounts]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        findings = {finding: counts._asdict() for finding, counts in self.findings.items()}
        return {"radiographs": self.radiographs, "patients": self.patients, "findings": findings}


@dataclass(frozen=True)
class RadiographCounts:
    """Radiographs that are there and have a label. Where a column has too many values, `other` holds the rarest."""

    splits: Mapping[str, SplitCheck]
    """By split; `unknown` holds the radiographs in none, if there are any."""
    splits_fingerprint: str
    """Of which radiograph is in which split."""
    unreadable: int
    unreadable_errors: Mapping[str, int]
    """By error, the commonest first."""
    flagged: int
    """Those that are read and are odd."""
    flagged_warnings: Mapping[str, int]
    ages: Mapping[str, int]
    """By decade of life: `0-9`, `10-19`, and so on, or `unknown`."""
    sexes: Mapping[str, int]
    views: Mapping[str, int]


def count_radiographs(seen: DataFrame, labels: LabelSet, *, max_values: int = MAX_VALUES) -> RadiographCounts:
    """Count what was seen of radiographs.

    Args:
        seen: `image_id, patient_id, age, sex, view, split, labels, error, warning` of each.
    """
    rows = _count_values(seen, num_findings=len(labels)).limit(max_values).collect()
    of_splits = {row["value"]: row for row in rows if row["column"] == "split"}
    placed = [row for name, row in of_splits.items() if name != UNKNOWN]
    num_all, num_unreadable, num_flagged = (
        sum(row[name] for row in of_splits.values()) for name in ("radiographs", "unreadable", "flagged")
    )
    return RadiographCounts(
        splits={name: _read_split(of_splits[name], labels) for name in (*SPLITS, UNKNOWN) if name in of_splits},
        splits_fingerprint=fingerprint(
            sum(row["radiographs"] for row in placed),
            functools.reduce(operator.xor, (row["places"] for row in placed), 0),
        ),
        unreadable=num_unreadable,
        unreadable_errors=_read_values(rows, "error", num_unreadable),
        flagged=num_flagged,
        flagged_warnings=_read_values(rows, "warning", num_flagged),
        ages=_name_decades(_read_values(rows, "decade", num_all)),
        sexes=_read_values(rows, "sex", num_all),
        views=_read_values(rows, "view", num_all),
    )


def _read_split(row: Row, labels: LabelSet) -> SplitCheck:
    known = zip(row["positives"], row["negatives"], strict=True)
    counts = [FindingCounts(pos, neg, row["radiographs"] - pos - neg) for pos, neg in known]
    return SplitCheck(row["radiographs"], row["patients"], dict(zip(labels, counts, strict=True)))


def _read_values(rows: Sequence[Row], column: str, total: int) -> dict[str, int]:
    """The radiographs of each value of a column, and those of the values that did not come along."""
    counts = {row["value"]: row["radiographs"] for row in rows if row["column"] == column}
    others = total - sum(counts.values())
    return {**counts, OTHER: counts.get(OTHER, 0) + others} if others else counts


def _name_decades(counts: Mapping[str, int]) -> dict[str, int]:
    """By age, the unknown last."""
    decades = sorted(int(value) for value in counts if value.isdecimal())
    named = {f"{10 * decade}-{10 * decade + 9}": counts[str(decade)] for decade in decades}
    return named | {value: count for value, count in counts.items() if not value.isdecimal()}


def _count_values(seen: DataFrame, *, num_findings: int) -> DataFrame:
    """A row for each value of some columns, those of splits first, then the commonest."""
    by_label = [F.get("labels", F.lit(position)) for position in range(num_findings)]
    is_unreadable, is_split = F.col("error").isNotNull(), F.col("column") == "split"
    warning = F.when(~is_unreadable, F.col("warning"))
    known = {"split": F.col("split"), "decade": F.floor(F.col("age") / 10), "sex": F.col("sex"), "view": F.col("view")}
    columns = {name: F.coalesce(value.cast("string"), F.lit(UNKNOWN)) for name, value in known.items()}
    columns |= {"error": F.col("error"), "warning": warning}
    pairs = (F.struct(F.lit(name).alias("column"), value.alias("value")) for name, value in columns.items())
    values = seen.select(
        F.inline(F.array(*pairs)),
        "patient_id",
        "labels",
        is_unreadable.alias("is_unreadable"),
        warning.isNotNull().alias("is_flagged"),
        F.when(F.col("split").isNotNull(), hash_place()).alias("place"),
    )
    counted = (
        values.where(F.col("value").isNotNull())
        .groupBy("column", "value")
        .agg(
            F.count("*").alias("radiographs"),
            F.count_distinct(F.when(is_split, F.col("patient_id"))).alias("patients"),
            F.count_if("is_unreadable").alias("unreadable"),
            F.count_if("is_flagged").alias("flagged"),
            F.bit_xor("place").alias("places"),
            F.array(*(F.count_if(value == 1) for value in by_label)).alias("positives"),
            F.array(*(F.count_if(value == 0) for value in by_label)).alias("negatives"),
        )
    )
    return counted.orderBy(~is_split, F.desc("radiographs"), "value")
