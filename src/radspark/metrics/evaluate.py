"""Evaluates scores: every measure per finding by one sort and one sum each, means, and intervals where asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from radspark.labels import LabelSet
from radspark.metrics.additive import NO_THRESHOLD, log_losses, measure_sums, sum_terms, why_undefined
from radspark.metrics.bootstrap import MEASURES, RANK_MEASURES, Bootstrap, Resampled, resample
from radspark.metrics.evaluation import Evaluation, FindingEvaluation
from radspark.metrics.intervals import Interval
from radspark.metrics.ranking import rank_checked
from radspark.metrics.scored import Scored

_IN_NO_FINDING = "defined for no finding"
_IN_NO_POSITIVE = "defined for no finding that has a positive"


def evaluate_scores(
    labels_NC: npt.ArrayLike,
    scores_NC: npt.ArrayLike,
    label_set: LabelSet,
    *,
    patients: Sequence[Any] | npt.NDArray[Any] | None = None,
    thresholds: Mapping[str, float | None] | None = None,
    bootstrap: Bootstrap | None = None,
) -> Evaluation:
    """Evaluate probabilities against labels, one column per finding.

    Args:
        labels_NC: 1, 0, or NaN for unknown, in the order of `label_set`; unknown labels are left out, one by one.
        scores_NC: probabilities in [0, 1].
        patients: the same value for the images of one patient, which are resampled together.
        thresholds: by finding, chosen on other samples than these, None where none could be; 0.5 where not given.
        bootstrap: gives every figure an interval.

    Raises:
        ArgumentError: as `Scored.of`.
    """
    scored = Scored.of(labels_NC, scores_NC, label_set, patients=patients, thresholds=thresholds)
    return evaluate_scored(scored, bootstrap=bootstrap)


def evaluate_scored(scored: Scored, *, bootstrap: Bootstrap | None = None) -> Evaluation:
    """`evaluate_scores` for what is checked already."""
    evaluation = summarize(
        {name: _evaluate_finding(scored, column) for column, name in enumerate(scored.label_set)},
        num_samples=len(scored),
        num_patients=len(np.unique(scored.patients_N)) if scored.patients_known else None,
        loss=_loss(scored),
    )
    return evaluation if bootstrap is None else with_intervals(evaluation, resample(scored, bootstrap), bootstrap)


def summarize(
    findings: Mapping[str, FindingEvaluation], *, num_samples: int, num_patients: int | None, loss: float | None
) -> Evaluation:
    """Findings and their means, plain and weighted by positives."""
    means = {name: _mean(findings, name, weighted=False) for name in MEASURES}
    weighted_means = {name: _mean(findings, name, weighted=True) for name in MEASURES}
    return Evaluation(
        num_samples=num_samples,
        findings=findings,
        means=means,
        weighted_means=weighted_means,
        loss=loss,
        undefined={
            **{f"mean_{name}": _IN_NO_FINDING for name, value in means.items() if value is None},
            **{f"weighted_mean_{name}": _IN_NO_POSITIVE for name, value in weighted_means.items() if value is None},
            **({"loss": "no known label"} if loss is None else {}),
        },
        num_patients=num_patients,
    )


def _evaluate_finding(scored: Scored, column: int) -> FindingEvaluation:
    labels, scores, threshold = scored.labels_NC[:, column], scored.scores_NC[:, column], scored.thresholds_C[column]
    ranking = rank_checked(labels, scores)
    sums_L = sum_terms(labels, scores, threshold=threshold)
    added = {name: None if np.isnan(value) else float(value) for name, value in measure_sums(sums_L).items()}
    without = {"threshold": NO_THRESHOLD} if np.isnan(threshold) else {}
    reasons = dict.fromkeys(RANK_MEASURES, ranking.undefined_reason) if ranking.undefined_reason else {}
    return FindingEvaluation(
        positives=ranking.positives,
        negatives=ranking.negatives,
        unknown=len(labels) - ranking.positives - ranking.negatives,
        threshold=None if np.isnan(threshold) else threshold,
        values={"auroc": ranking.auroc(), "average_precision": ranking.average_precision(), **added},
        undefined={**reasons, **without, **why_undefined(sums_L)},
    )


def _mean(findings: Mapping[str, FindingEvaluation], measure: str, *, weighted: bool) -> float | None:
    pairs = [
        (value, finding.positives if weighted else 1)
        for finding in findings.values()
        if (value := finding.values[measure]) is not None
    ]
    total = sum(weight for _, weight in pairs)
    return float(sum(value * weight for value, weight in pairs) / total) if total else None


def _loss(scored: Scored) -> float | None:
    known = ~np.isnan(scored.labels_NC)
    return float(log_losses(scored.labels_NC[known], scored.scores_NC[known]).mean()) if known.any() else None


def with_intervals(evaluation: Evaluation, resampled: Resampled, bootstrap: Bootstrap) -> Evaluation:
    """An evaluation with the intervals that resamples of the same samples give."""
    findings = {}
    for column, (name, finding) in enumerate(evaluation.findings.items()):
        intervals, missing = find_intervals(resampled, column, bootstrap, undefined=finding.undefined)
        findings[name] = replace(finding, intervals=intervals, undefined={**finding.undefined, **missing})
    undefined, prefixes = dict(evaluation.undefined), ("mean_", "weighted_mean_")
    of_means = []
    for column, prefix in enumerate(prefixes, start=len(findings)):
        intervals, missing = find_intervals(resampled, column, bootstrap, undefined=undefined, prefix=prefix)
        undefined |= missing
        of_means.append(intervals)
    return replace(
        evaluation,
        findings=findings,
        undefined=undefined,
        mean_intervals=of_means[0],
        weighted_mean_intervals=of_means[1],
        bootstrap=bootstrap,
    )


def find_intervals(
    resampled: Resampled, column: int, bootstrap: Bootstrap, *, undefined: Mapping[str, str], prefix: str = ""
) -> tuple[dict[str, Interval], dict[str, str]]:
    """Intervals by measure; and why the others have none, by `PREFIXMEASURE_ci`.

    Args:
        undefined: why figures themselves are undefined, by `PREFIXMEASURE`: then it says why their intervals are.
    """
    found = {measure: resampled.interval(measure, column, bootstrap) for measure in resampled.estimates}
    return (
        {measure: interval for measure, interval in found.items() if isinstance(interval, Interval)},
        {
            f"{prefix}{measure}_ci": undefined.get(f"{prefix}{measure}", reason)
            for measure, reason in found.items()
            if isinstance(reason, str)
        },
    )
