"""The record of an evaluation, which is `metrics.json` format 2, and its metrics by name; `evaluate` computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from radspark.errors import ArgumentError, DataError
from radspark.metrics.bootstrap import Bootstrap
from radspark.metrics.intervals import Interval

FORMAT_VERSION = 2


@dataclass(frozen=True)
class FindingEvaluation:
    """One finding: every measure, and on how many labels it rests."""

    positives: int
    negatives: int
    unknown: int
    threshold: float | None
    """At or above it the finding is called present; sensitivity and its kin hold there. None where none was chosen."""
    values: Mapping[str, float | None]
    """By the names in `MEASURES`; None where undefined."""
    undefined: Mapping[str, str] = field(default_factory=dict)
    """Why a measure, or its interval, is undefined."""
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    """Of the measures that have one; empty without resamples."""

    @property
    def auroc(self) -> float | None:
        """None without a positive or without a negative."""
        return self.values["auroc"]

    @property
    def average_precision(self) -> float | None:
        """None wherever AUROC is."""
        return self.values["average_precision"]

    @property
    def reason(self) -> str | None:
        """Why AUROC and average precision are undefined, or None where they are defined."""
        return self.undefined.get("auroc")


@dataclass(frozen=True)
class Evaluation:
    """All findings in label order, and what is computed over them together."""

    num_samples: int
    findings: Mapping[str, FindingEvaluation]
    means: Mapping[str, float | None]
    """By measure: unweighted mean over the findings for which it is defined, None if there are none."""
    weighted_means: Mapping[str, float | None]
    """As `means`, weighted by each finding's positives, as scikit-learn's `average="weighted"`."""
    loss: float | None
    """Binary cross-entropy in nats, mean over every known label of every finding; None if no label is known."""
    num_patients: int | None = None
    """None where patients are not known."""
    mean_intervals: Mapping[str, Interval] = field(default_factory=dict)
    weighted_mean_intervals: Mapping[str, Interval] = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)
    """Why a mean, its interval or the loss is undefined, by the names of `metrics.json`."""
    bootstrap: Bootstrap | None = None
    """How the intervals were made; None if there are none."""

    @property
    def mean_auroc(self) -> float | None:
        return self.means["auroc"]

    @property
    def mean_average_precision(self) -> float | None:
        return self.means["average_precision"]

    @property
    def method(self) -> str | None:
        """How the intervals were made, in words; None if there are none."""
        if self.bootstrap is None:
            return None
        return self.bootstrap.describe(over_patients=self.num_patients is not None)

    def to_dict(self) -> dict[str, Any]:
        """The content of `metrics.json`: plain values, None where undefined, and never NaN."""
        means: dict[str, Any] = {}
        for prefix, values, intervals in (
            ("mean", self.means, self.mean_intervals),
            ("weighted_mean", self.weighted_means, self.weighted_mean_intervals),
        ):
            for name, value in values.items():
                means |= self._figure(f"{prefix}_{name}", value, intervals.get(name))
        return {
            "format_version": FORMAT_VERSION,
            **means,
            "loss": self.loss,
            "num_samples": self.num_samples,
            "num_patients": self.num_patients,
            "method": self.method,
            "undefined": dict(self.undefined),
            **({} if self.bootstrap is None else describe_intervals(self._mean_intervals_by_name())),
            "findings": {name: self._finding_to_dict(finding) for name, finding in self.findings.items()},
        }

    def _finding_to_dict(self, finding: FindingEvaluation) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, value in finding.values.items():
            values |= self._figure(name, value, finding.intervals.get(name))
        return {
            **values,
            "threshold": finding.threshold,
            "positives": finding.positives,
            "negatives": finding.negatives,
            "unknown": finding.unknown,
            "reason": finding.reason,
            "undefined": dict(finding.undefined),
            **({} if self.bootstrap is None else describe_intervals(finding.intervals)),
        }

    def _mean_intervals_by_name(self) -> dict[str, Interval]:
        means = {f"mean_{name}": interval for name, interval in self.mean_intervals.items()}
        return means | {f"weighted_mean_{name}": interval for name, interval in self.weighted_mean_intervals.items()}

    def _figure(self, name: str, value: float | None, interval: Interval | None) -> dict[str, Any]:
        if self.bootstrap is None:
            return {name: value}
        return {name: value, f"{name}_ci": None if interval is None else [interval.low, interval.high]}


def describe_intervals(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    """What intervals do not rest on, and which are of another kind than the rest."""
    return {
        "dropped_resamples": {name: interval.dropped for name, interval in intervals.items() if interval.dropped},
        "interval_notes": {name: interval.note for name, interval in intervals.items() if interval.note is not None},
    }


@dataclass(frozen=True)
class Metric:
    """A number of an `Evaluation` that schedules, early stopping and `keep` can watch."""

    value: Callable[[Evaluation], float | None]
    larger_is_better: bool


METRICS: dict[str, Metric] = {
    "mean_auroc": Metric(lambda evaluation: evaluation.mean_auroc, larger_is_better=True),
    "mean_average_precision": Metric(lambda evaluation: evaluation.mean_average_precision, larger_is_better=True),
    "loss": Metric(lambda evaluation: evaluation.loss, larger_is_better=False),
}
"""By the names that `training.metric` and `Plateau.metric` take."""


def metric_value(evaluation: Evaluation, name: str) -> float:
    """The value of a metric that something depends on.

    Raises:
        ArgumentError: no metric of that name.
        DataError: the metric is undefined on these samples; the message says why.
    """
    if name not in METRICS:
        raise ArgumentError(f"metric must be one of {', '.join(METRICS)}, got {name!r}.")
    value = METRICS[name].value(evaluation)
    if value is None:
        raise DataError(
            f"{name} is undefined on these {evaluation.num_samples} samples: "
            "no finding has both a positive and a negative label; evaluate on more samples, or watch `loss`."
        )
    return value
