"""Two models on the same radiographs: paired differences of every measure, with intervals, and tests of AUROC.

Both models see the same resamples of patients, so what makes a resample easy cancels out of the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from radspark.errors import ArgumentError
from radspark.metrics.bootstrap import MEASURES, Bootstrap, Resampled, resample
from radspark.metrics.delong import difference_of, variance_of_blocks
from radspark.metrics.intervals import Interval
from radspark.metrics.multiplicity import holm
from radspark.metrics.rank_blocks import RankBlocks
from radspark.metrics.scored import Scored

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Difference:
    """One figure of two models; None where it is undefined."""

    first: float | None
    second: float | None
    difference: float | None
    """Second less first."""
    interval: Interval | None


@dataclass(frozen=True)
class FindingComparison:
    """One finding of two models."""

    positives: int
    negatives: int
    differences: Mapping[str, Difference]
    """By measure."""
    p_value: float | None
    """Of equal AUROCs, by DeLong's test in Obuchowski's form; None where it is undefined."""
    adjusted_p_value: float | None = None
    """Over all findings, by Holm."""


@dataclass(frozen=True)
class Comparison:
    """All findings in label order, and the means."""

    num_samples: int
    num_patients: int | None
    findings: Mapping[str, FindingComparison]
    means: Mapping[str, Difference]
    weighted_means: Mapping[str, Difference]
    bootstrap: Bootstrap = field(default_factory=Bootstrap)

    @property
    def method(self) -> str:
        """How the intervals were made, in words."""
        return f"paired {self.bootstrap.describe(over_patients=self.num_patients is not None)}"

    def to_dict(self) -> dict[str, Any]:
        """The content of `compare.json`."""
        return {
            "format_version": FORMAT_VERSION,
            "num_samples": self.num_samples,
            "num_patients": self.num_patients,
            "method": self.method,
            **{f"mean_{name}": _to_dict(value) for name, value in self.means.items()},
            **{f"weighted_mean_{name}": _to_dict(value) for name, value in self.weighted_means.items()},
            "findings": {
                name: {
                    "positives": finding.positives,
                    "negatives": finding.negatives,
                    **{measure: _to_dict(value) for measure, value in finding.differences.items()},
                    "auroc_p_value": finding.p_value,
                    "auroc_adjusted_p_value": finding.adjusted_p_value,
                }
                for name, finding in self.findings.items()
            },
        }


def compare_scored(first: Scored, second: Scored, *, bootstrap: Bootstrap) -> Comparison:
    """Differences of two models that scored the same samples, in the same order.

    Raises:
        ArgumentError: findings, labels or patients differ.
    """
    same = (
        first.label_set == second.label_set
        and np.array_equal(first.labels_NC, second.labels_NC, equal_nan=True)
        and np.array_equal(first.patients_N, second.patients_N)
    )
    if not same:
        raise ArgumentError("both models must have scored the same samples: findings, labels or patients differ.")
    values = resample(first, bootstrap), resample(second, bootstrap)
    difference = values[1].minus(values[0])
    findings = {
        name: FindingComparison(
            positives=int((first.labels_NC[:, column] == 1).sum()),
            negatives=int((first.labels_NC[:, column] == 0).sum()),
            differences=_differences(values, difference, column, bootstrap),
            p_value=_test(first, second, column),
        )
        for column, name in enumerate(first.label_set)
    }
    num_findings = len(findings)
    return Comparison(
        num_samples=len(first),
        num_patients=len(np.unique(first.patients_N)) if first.patients_known else None,
        findings=_adjust(findings),
        means=_differences(values, difference, num_findings, bootstrap),
        weighted_means=_differences(values, difference, num_findings + 1, bootstrap),
        bootstrap=bootstrap,
    )


def _differences(
    values: Sequence[Resampled], difference: Resampled, column: int, bootstrap: Bootstrap
) -> dict[str, Difference]:
    return {
        measure: Difference(
            first=_defined(values[0].estimates[measure][column]),
            second=_defined(values[1].estimates[measure][column]),
            difference=_defined(difference.estimates[measure][column]),
            interval=difference.interval(measure, column, bootstrap),
        )
        for measure in MEASURES
    }


def _test(first: Scored, second: Scored, column: int) -> float | None:
    blocks = [
        RankBlocks.of(side.labels_NC[:, column], side.scores_NC[:, column], side.patients_N, side.num_patients)
        for side in (first, second)
    ]
    if min(blocks[0].patients_with()) < 2:
        return None
    return difference_of(*variance_of_blocks(blocks)).p_value


def _adjust(findings: Mapping[str, FindingComparison]) -> dict[str, FindingComparison]:
    tested = {name: finding.p_value for name, finding in findings.items() if finding.p_value is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {name: replace(finding, adjusted_p_value=adjusted.get(name)) for name, finding in findings.items()}


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _to_dict(figure: Difference) -> dict[str, Any]:
    interval = figure.interval
    return {
        "first": figure.first,
        "second": figure.second,
        "difference": figure.difference,
        "difference_ci": None if interval is None else [interval.low, interval.high],
    }
