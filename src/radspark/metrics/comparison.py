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
from radspark.metrics.evaluate import evaluate_scored
from radspark.metrics.evaluation import describe_intervals
from radspark.metrics.intervals import Interval
from radspark.metrics.multiplicity import holm
from radspark.metrics.rank_blocks import RankBlocks
from radspark.metrics.scored import Scored

FORMAT_VERSION = 2
NO_TEST = "too few patients of a class, or scores that rank without any error: the test has no variance to go by"


@dataclass(frozen=True)
class Difference:
    """One figure of two models; None where it is undefined."""

    first: float | None
    second: float | None
    difference: float | None
    """Second less first."""
    interval: Interval | None
    undefined: str | None = None
    """Why there is no difference."""
    no_interval: str | None = None
    """Why there is no interval."""


@dataclass(frozen=True)
class FindingComparison:
    """One finding of two models."""

    positives: int
    negatives: int
    thresholds: tuple[float | None, float | None]
    """Of the first model and of the second: each is called at its own."""
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
        means = {f"mean_{name}": figure for name, figure in self.means.items()}
        means |= {f"weighted_mean_{name}": figure for name, figure in self.weighted_means.items()}
        return {
            "format_version": FORMAT_VERSION,
            "num_samples": self.num_samples,
            "num_patients": self.num_patients,
            "method": self.method,
            **_to_dict(means),
            "findings": {name: _finding_to_dict(finding) for name, finding in self.findings.items()},
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
    evaluations = evaluate_scored(first), evaluate_scored(second)
    values = resample(first, bootstrap), resample(second, bootstrap)
    paired = _Paired(values, values[1].minus(values[0]), bootstrap)
    findings = {
        name: FindingComparison(
            positives=evaluations[0].findings[name].positives,
            negatives=evaluations[0].findings[name].negatives,
            thresholds=(evaluations[0].findings[name].threshold, evaluations[1].findings[name].threshold),
            differences=paired.compare(column, tuple(side.findings[name].undefined for side in evaluations)),
            p_value=_test(first, second, column),
        )
        for column, name in enumerate(first.label_set)
    }
    of_means = [
        paired.compare(column, tuple(side.undefined for side in evaluations), prefix=prefix)
        for column, prefix in enumerate(("mean_", "weighted_mean_"), start=len(findings))
    ]
    return Comparison(
        num_samples=len(first),
        num_patients=len(np.unique(first.patients_N)) if first.patients_known else None,
        findings=_adjust(findings),
        means=of_means[0],
        weighted_means=of_means[1],
        bootstrap=bootstrap,
    )


@dataclass(frozen=True, eq=False)
class _Paired:
    """Two models and their difference on the same resamples."""

    sides: tuple[Resampled, Resampled]
    difference: Resampled
    bootstrap: Bootstrap

    def compare(
        self, column: int, undefined: Sequence[Mapping[str, str]], *, prefix: str = ""
    ) -> dict[str, Difference]:
        """One column by measure; `undefined` says of each model why `PREFIXMEASURE` is."""
        return {
            measure: self._compare(measure, column, [reasons.get(f"{prefix}{measure}") for reasons in undefined])
            for measure in MEASURES
        }

    def _compare(self, measure: str, column: int, undefined: Sequence[str | None]) -> Difference:
        first, second, difference = (
            _defined(side.estimates[measure][column]) for side in (*self.sides, self.difference)
        )
        reason = next((reason for reason in undefined if reason is not None), None)
        interval = reason or self.difference.interval(measure, column, self.bootstrap)
        if isinstance(interval, str):
            return Difference(first, second, difference, None, reason, interval)
        return Difference(first, second, difference, interval)


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


def _finding_to_dict(finding: FindingComparison) -> dict[str, Any]:
    figures = _to_dict(finding.differences)
    tests = {"auroc_p_value": finding.p_value, "auroc_adjusted_p_value": finding.adjusted_p_value}
    if finding.p_value is None:
        figures["undefined"] |= dict.fromkeys(tests, finding.differences["auroc"].undefined or NO_TEST)
    return {
        "positives": finding.positives,
        "negatives": finding.negatives,
        "thresholds": list(finding.thresholds),
        **figures,
        **tests,
    }


def _to_dict(figures: Mapping[str, Difference]) -> dict[str, Any]:
    """Figures by name, and beside them why some are null and what their intervals do not rest on."""
    intervals = {name: figure.interval for name, figure in figures.items() if figure.interval is not None}
    reasons = {name: figure.undefined for name, figure in figures.items()}
    reasons |= {f"{name}_ci": figure.no_interval for name, figure in figures.items()}
    return {
        **{
            name: {
                "first": figure.first,
                "second": figure.second,
                "difference": figure.difference,
                "difference_ci": None if name not in intervals else [intervals[name].low, intervals[name].high],
            }
            for name, figure in figures.items()
        },
        "undefined": {name: reason for name, reason in reasons.items() if reason is not None},
        **describe_intervals(intervals),
    }
