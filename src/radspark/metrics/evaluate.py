"""Evaluates scores: every measure per finding by one sort and one sum each, means, and intervals where asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from radspark.labels import LabelSet
from radspark.metrics.additive import log_losses, measure_sums, sum_terms, why_undefined
from radspark.metrics.bootstrap import MEASURES, MIN_PATIENTS, RANK_MEASURES, Bootstrap, Resampled, resample
from radspark.metrics.evaluation import Evaluation, FindingEvaluation
from radspark.metrics.intervals import Interval, is_constant, why_no_interval
from radspark.metrics.ranking import rank_checked
from radspark.metrics.scored import Scored


def evaluate_scores(
    labels_NC: npt.ArrayLike,
    scores_NC: npt.ArrayLike,
    label_set: LabelSet,
    *,
    patients: Sequence[Any] | npt.NDArray[Any] | None = None,
    thresholds: Mapping[str, float] | None = None,
    bootstrap: Bootstrap | None = None,
) -> Evaluation:
    """Evaluate probabilities against labels, one column per finding.

    Args:
        labels_NC: 1, 0, or NaN for unknown, in the order of `label_set`; unknown labels are left out, one by one.
        scores_NC: probabilities in [0, 1].
        patients: the same value for the images of one patient, which are resampled together.
        thresholds: by finding, chosen on other samples than these; 0.5 where not given.
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
    return Evaluation(
        num_samples=num_samples,
        findings=findings,
        means={name: _mean(findings, name, weighted=False) for name in MEASURES},
        weighted_means={name: _mean(findings, name, weighted=True) for name in MEASURES},
        loss=loss,
        num_patients=num_patients,
    )


def _evaluate_finding(scored: Scored, column: int) -> FindingEvaluation:
    labels, scores, threshold = scored.labels_NC[:, column], scored.scores_NC[:, column], scored.thresholds_C[column]
    ranking = rank_checked(labels, scores)
    sums_L = sum_terms(labels, scores, threshold=threshold)
    added = {name: None if np.isnan(value) else float(value) for name, value in measure_sums(sums_L).items()}
    reasons = dict.fromkeys(RANK_MEASURES, ranking.undefined_reason) if ranking.undefined_reason else {}
    return FindingEvaluation(
        positives=ranking.positives,
        negatives=ranking.negatives,
        unknown=len(labels) - ranking.positives - ranking.negatives,
        threshold=threshold,
        values={"auroc": ranking.auroc(), "average_precision": ranking.average_precision(), **added},
        undefined={**reasons, **why_undefined(sums_L)},
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
        found = _intervals(resampled, column, bootstrap)
        intervals = _telling(found)
        missing = {
            f"{measure}_ci": _why_no_interval(resampled, measure, column, interval)
            for measure, interval in found.items()
            if measure not in intervals and measure not in finding.undefined
        }
        findings[name] = replace(finding, intervals=intervals, undefined={**finding.undefined, **missing})
    mean_column = len(findings)
    return replace(
        evaluation,
        findings=findings,
        mean_intervals=_telling(_intervals(resampled, mean_column, bootstrap)),
        weighted_mean_intervals=_telling(_intervals(resampled, mean_column + 1, bootstrap)),
        bootstrap=bootstrap,
    )


def _intervals(resampled: Resampled, column: int, bootstrap: Bootstrap) -> dict[str, Interval | None]:
    return {measure: resampled.interval(measure, column, bootstrap) for measure in MEASURES}


def _telling(found: Mapping[str, Interval | None]) -> dict[str, Interval]:
    """Those that tell something of chance."""
    return {name: interval for name, interval in found.items() if interval is not None and not is_constant(interval)}


def _why_no_interval(resampled: Resampled, measure: str, column: int, interval: Interval | None) -> str:
    if not resampled.has_support(measure, column):
        return f"fewer than {MIN_PATIENTS} patients with a positive, or with a negative"
    return why_no_interval(resampled.values[measure][:, column], interval)
